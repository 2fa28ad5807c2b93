"""Names of arms that an analysis recognizes, beyond those that users choose."""

from __future__ import annotations

import re
from collections.abc import Iterable

SCRATCH, TRANSFER = "scratch", "transfer"
"""Training from scratch, and reuse of a trained network, in a transfer study."""

EVERYTHING = "all"
"""All factors together, in a one-out or in-and-out design."""


def without(factor: str) -> str:
    """The arm with all factors but one."""
    return f"no {factor}"


def size_pairs(arms: Iterable[str]) -> dict[int, tuple[str, str]]:
    """By training size, the arms of scratch and transfer, if all arms are such; empty for other studies."""
    by_size: dict[int, dict[str, str]] = {}
    for arm in arms:
        match = re.fullmatch(rf"({SCRATCH}|{TRANSFER}) \((\d+)\)", arm)
        if not match:
            return {}
        by_size.setdefault(int(match[2]), {})[match[1]] = arm
    return {size: (arm[SCRATCH], arm[TRANSFER]) for size, arm in sorted(by_size.items()) if len(arm) == 2}
