"""How many seeds a comparison needs, judged by its variance alone.

A pilot's difference is never used, only its variance, so that the pilot's runs can be part of the study (an internal
pilot; Wittes and Brittain 1990).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

from dnntrain.statistics.comparisons import Comparison
from dnntrain.statistics.descriptive import LEVEL
from dnntrain.statistics.distributions import POWER, detectable, tail_level
from dnntrain.statistics.verdicts import FEWEST_SEEDS
from dnntrain.utils.lazy import special

DIFFERENCE, EQUIVALENCE = GOALS = ("difference", "equivalence")
"""What a study is to show of an arm: that it differs from the baseline, or that it does not by more than δ."""

MANY_SEEDS = 1000
"""More seeds than this are not counted: the answer is then one more."""


@dataclass(frozen=True)
class SeedRange:
    """Seeds that a comparison needs; `MANY_SEEDS` + 1 for more than `MANY_SEEDS`."""

    advised: int
    """At the estimated variance times 1 + 1/df. In simulations, 74 to 84 % of studies then show what they should."""
    low: int
    high: int
    """At the ends of the variance's 80 % interval."""


def plan_seeds(
    comparison: Comparison, k: int, delta: float, goal: str = DIFFERENCE, level: float = LEVEL
) -> SeedRange | None:
    """The seeds with which a comparison would show a true difference of delta, or equivalence, with 80 % power.

    Args:
        comparison: The comparison so far, which serves as the pilot.
        k: The comparisons to correct for.
        delta: The true difference to show, or the margin of equivalence, in the metric's unit.
        goal: One of `GOALS`.
        level: The simultaneous confidence of the intervals that will judge them.

    Returns:
        None if the comparison has no variance, or delta is not positive.
    """
    if not comparison.is_judged or not delta > 0:
        return None
    n, df = comparison.n, comparison.df
    factors = (1 + 1 / df, *(df / (2 * float(special.gammaincinv(df / 2, tail))) for tail in (0.9, 0.1)))
    variance = n * comparison.se**2
    advised, low, high = (seeds_needed(variance * factor, df, n, k, delta, goal, level=level) for factor in factors)
    return SeedRange(advised, low, high)


def planned_detectable(comparison: Comparison, k: int, seeds: int, goal: str = DIFFERENCE) -> float | None:
    """The smallest true difference that a comparison would show with planned seeds, in the metric's unit.

    It agrees with `plan_seeds`, which advises so many seeds for this difference: both take the variance times 1 + 1/df,
    because a pilot's variance is uncertain.

    Args:
        comparison: The pilot.
        k: The comparisons to correct for.
        seeds: The planned seeds, at least 2.
        goal: One of `GOALS`.

    Returns:
        None if the pilot has no variance.
    """
    if not comparison.is_judged:
        return None
    n, df = comparison.n, comparison.df
    return detectable_difference(n * comparison.se**2 * (1 + 1 / df), df, n, k, seeds, goal)


def seeds_needed(
    variance: float,
    df: float,
    n: int,
    k: int,
    delta: float,
    goal: str = DIFFERENCE,
    power: float = POWER,
    level: float = LEVEL,
) -> int:
    """The smallest number of seeds, not below n, with the power to show a true difference or equivalence at 0.

    A difference is shown if |t| is above the family's critical value, equivalence if the interval at level 1 − 2α lies
    within ±delta. The answer is found by bisection.

    Args:
        variance: Of one difference between arm and baseline at the same seed.
        df: Degrees of freedom of the variance. With more seeds they grow in proportion to the seeds − 1.
        n: The seeds that gave the variance.
        k: The comparisons to correct for.
        delta: The true difference, or the margin of equivalence, in the metric's unit.
        goal: One of `GOALS`.
        power: The probability of showing it.
        level: The simultaneous confidence of the intervals.

    Returns:
        The number of seeds, or `MANY_SEEDS` + 1.

    Raises:
        ValueError: If n is below 2, delta is not positive, or the goal is unknown.
    """
    if n < 2 or not delta > 0 or goal not in GOALS:
        raise ValueError(f"no plan from {n} seeds to show '{goal}' with delta {delta}")

    candidates = range(max(FEWEST_SEEDS, n), MANY_SEEDS + 1)
    return candidates.start + bisect_left(
        candidates,
        True,
        key=lambda seeds: detectable_difference(variance, df, n, k, seeds, goal, power, level) <= delta,
    )


def detectable_difference(
    variance: float,
    df: float,
    n: int,
    k: int,
    seeds: int,
    goal: str = DIFFERENCE,
    power: float = POWER,
    level: float = LEVEL,
) -> float:
    """The smallest true difference that so many seeds would show, in the metric's unit.

    The arguments are those of `seeds_needed`. For equivalence, it is the smallest margin that would be shown at a true
    difference of 0. The distribution of t is the noncentral one (Cohen 1988, ch. 2).
    """
    growing_df, se = df * (seeds - 1) / (n - 1), math.sqrt(variance / seeds)
    tail = tail_level(k, seeds, level if goal == DIFFERENCE else 2 * level - 1)
    critical = float(-special.stdtrit(growing_df, tail / 2))
    if goal == DIFFERENCE:
        return se * detectable(critical, growing_df, power)
    return se * (critical + float(special.stdtrit(growing_df, (1 + power) / 2)))
