"""What an interval says about an arm, and how many more seeds would settle an open verdict."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable

from dnntrain.statistics.significance import TTest

UNKNOWN, INCONCLUSIVE = "no uncertainty available", "inconclusive"

MANY_SEEDS = 1000
"""The search for the number of further seeds ends here; `further_seeds` returns 1001 if more are needed."""


def verdict(low: float, high: float, delta: float, higher_is_better: bool = True) -> str:
    """Turns the interval of arm − baseline into a verdict.

    Args:
        low: The interval's lower end, in the metric's unit.
        high: The upper end.
        delta: The smallest difference that matters, in the metric's unit.
        higher_is_better: The metric's direction.

    Returns:
        'better' or 'worse' if the interval excludes 0. 'equivalent' if it lies inside ±δ (Schuirmann 1987; a 95 %
        interval is stricter than his 90 %). 'better, but within ±δ' or 'worse, but within ±δ' if both hold,
        'inconclusive' if neither does, and 'no uncertainty available' for nan.
    """
    if math.isnan(low) or math.isnan(high):
        return UNKNOWN
    within = -delta < low and high < delta
    if low <= 0 <= high:
        return "equivalent" if within else INCONCLUSIVE
    word = "better" if (low > 0) == higher_is_better else "worse"
    return f"{word}, but within ±δ" if within else word


def seeds_to_settle(
    conclusion: str, test: TTest, n: int, delta: float, critical_of: Callable[[float], float]
) -> int | None:
    """How many further seeds would settle the verdict if difference and variance stay as they are.

    The interval's half-width must shrink to δ, or if d = |difference| is below δ, to the larger of d and δ − d: below
    d the interval excludes 0, below δ − d it lies inside ±δ. A d above δ is not used, because with few seeds it is
    often a chance result.
    """
    if not test.judgeable:
        return None
    if conclusion != INCONCLUSIVE:
        return 0
    size = abs(test.difference)
    return further_seeds(n, test.se, test.df, max(size, delta - size) if size < delta else delta, critical_of)


def further_seeds(n: int, se: float, df: float, target: float, critical_of: Callable[[float], float]) -> int:
    """How many more seeds would bring the interval's half-width to a target, at the same variance.

    With m seeds, se √(n/m) and df (m − 1)/(n − 1) replace `se` and `df`. The variance is itself an estimate, so this
    number is only a probable one.

    Args:
        n: Seeds so far.
        se: Standard error at n seeds.
        df: Degrees of freedom at n seeds.
        target: The wanted half-width, in the unit of `se`.
        critical_of: The critical value at given degrees of freedom.

    Returns:
        The number; 1001 if more than 1000 are needed.

    Raises:
        ValueError: If n is below 2.
    """
    if n < 2:
        raise ValueError("no variance to plan by below two seeds")

    def is_resolved(m: int) -> bool:
        return critical_of(df * (m - 1) / (n - 1)) * se * math.sqrt(n / m) <= target

    return bisect_left(range(n, n + MANY_SEEDS + 1), True, key=is_resolved)
