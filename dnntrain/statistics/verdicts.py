"""What a difference and its intervals say about an arm, in words."""

from __future__ import annotations

BETTER, WORSE, EQUIVALENT, INCONCLUSIVE = "better", "worse", "equivalent", "inconclusive"

WITHIN = ", but within ±δ"
"""Follows 'better' or 'worse' where the difference is also too small to matter."""

FEWEST_SEEDS = 3
"""With fewer seeds there is no verdict: at 2 seeds a comparison has next to no power."""

TOO_FEW_SEEDS = ("no run to compare", "one seed: no interval", "two seeds: no verdict")
"""The words for fewer than `FEWEST_SEEDS` seeds."""

NO_VARIANCE = "same difference at every seed"
"""The word for differences without variance, whose interval would be a point and say nothing of other seeds."""


def verdict(difference: float, margin: float, narrow: float, delta: float, higher_is_better: bool = True) -> str:
    """Turns a difference into a verdict: whether it is real by the 95 % interval, and small by the 90 % one.

    Args:
        difference: arm − baseline, in the metric's unit.
        margin: Half the width of the interval at the family's level.
        narrow: Half the width of the interval at level 1 − 2α, for the two one-sided tests (Schuirmann 1987).
        delta: The smallest difference that matters, in the metric's unit.
        higher_is_better: The metric's direction.

    Returns:
        'better' or 'worse' if the interval excludes 0, followed by ', but within ±δ' if the narrow interval lies
        inside ±δ; else 'equivalent' if the narrow interval lies inside ±δ, or 'inconclusive'.
    """
    within = abs(difference) + narrow < delta
    if abs(difference) <= margin:
        return EQUIVALENT if within else INCONCLUSIVE
    word = BETTER if (difference > 0) == higher_is_better else WORSE
    return word + WITHIN if within else word
