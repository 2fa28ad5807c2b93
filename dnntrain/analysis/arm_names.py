"""Names of arms that an analysis recognizes, beyond those that users choose."""

from __future__ import annotations

SCRATCH, TRANSFER = "scratch", "transfer"
"""Training from scratch, and reuse of a trained network, in a transfer study."""

EVERYTHING = "all"
"""All factors together, in a one-out or in-and-out design."""


def without(factor: str) -> str:
    """The arm with all factors but one."""
    return f"no {factor}"
