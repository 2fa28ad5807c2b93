"""Names of arms that an analysis recognizes, beyond those that users choose."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

SCRATCH, TRANSFER = "scratch", "transfer"
"""Training from scratch, and reuse of a trained network, in a transfer study."""

EVERYTHING = "all"
"""All factors together, in a one-out or in-and-out design."""


def without(factor: str) -> str:
    """The arm with all factors but one."""
    return f"no {factor}"


class SizedArm(NamedTuple):
    """An arm of a transfer at one number of training examples, and the one that trains as many from scratch."""

    size: int
    strategy: str
    arm: str
    scratch: str


def sized_name(strategy: str, size: int) -> str:
    """The arm with this strategy at a training size: 'frozen (40)'."""
    return f"{strategy} ({size})"


def sized_arms(arms: Iterable[str]) -> list[SizedArm]:
    """The arms to compare with scratch of a study that varies the training size, by size; empty for other studies."""
    names = list(arms)
    matches = [re.fullmatch(r"(.+) \((\d+)\)", name) for name in names]
    found = [SizedArm(int(m[2]), m[1], m[0], sized_name(SCRATCH, int(m[2]))) for m in matches if m]
    if len(found) < len(names):
        return []
    return sorted((each for each in found if each.strategy != SCRATCH and each.scratch in names), key=lambda s: s.size)
