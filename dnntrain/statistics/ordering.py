"""Tests of an order of arms: whether each arm beats the next, and whether the arms follow the order as a whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dnntrain.statistics.comparisons import why_unjudged
from dnntrain.statistics.contrasts import ContrastResult, estimate_contrasts
from dnntrain.statistics.corrections import holm
from dnntrain.statistics.descriptive import LEVEL, Interval
from dnntrain.statistics.distributions import Array, t_critical
from dnntrain.statistics.estimates import ValuesBySeed
from dnntrain.statistics.verdicts import BETTER, INCONCLUSIVE, WORSE
from dnntrain.utils.lazy import special


@dataclass(frozen=True)
class TrendTest:
    """Page's test of a trend over arms, with the seeds as blocks."""

    n: int
    """Seeds at which all arms have a run."""
    statistic: float
    """Page's L: the sum over the arms of the predicted rank times the sum of the ranks."""
    p: float
    """One-sided: small where the arms follow the order."""


def judge_steps(
    order: Sequence[str], values: Mapping[str, ValuesBySeed], higher_is_better: bool, level: float = LEVEL
) -> list[ContrastResult]:
    """Compares each arm of an order with the next one, arm − next, at the seeds that both have.

    Variances are moderated over all arms (`estimate_contrasts`). Each step has two one-sided tests, one for the order
    and one for its reverse, and each of the two directions is a family that is corrected by Holm's method (Holm 1979,
    "A simple sequentially rejective multiple test procedure") at half the error. So in 95 % of studies, no step is
    called better or worse that is not. In simulations of six arms with 3, 5, and 10 seeds and equal or unequal
    variances, the error is at most 5.1 %.

    Args:
        order: At least two arms, the best first.
        values: The values by seed of these arms, and of others that add to the pooled variance.
        higher_is_better: The metric's direction.
        level: 1 − the error over all steps.

    Returns:
        A result for each step. Its p is that of the direction that the difference has, doubled and corrected, so that a
        step is judged where p < 1 − level. The intervals are those of each step alone.

    Raises:
        ValueError: If a value is not finite.
    """
    estimates = estimate_contrasts([{arm: 1.0, following: -1.0} for arm, following in pairwise(order)], values)
    judged = [i for i, estimate in enumerate(estimates) if estimate.test.judgeable]
    sign = 1 if higher_is_better else -1
    t, df = (np.array([getattr(estimates[i].test, name) for i in judged]) for name in ("t", "df"))
    ahead, behind = (dict(zip(judged, holm(special.stdtr(df, side * t)), strict=True)) for side in (-sign, sign))
    results = []
    for i, estimate in enumerate(estimates):
        test, p = estimate.test, math.nan
        is_ahead = sign * test.difference > 0
        if test.judgeable:
            p = min(1.0, 2 * float((ahead if is_ahead else behind)[i]))
        word = INCONCLUSIVE if not p < 1 - level else BETTER if is_ahead else WORSE
        halves = [
            t_critical(each, test.df) * test.se if test.judgeable else math.nan for each in (level, 2 * level - 1)
        ]
        wide, narrow = (Interval(test.difference, test.difference - half, test.difference + half) for half in halves)
        results.append(ContrastResult(estimate.n, wide, narrow, p, test.df, why_unjudged(estimate) or word))
    return results


def page_trend(scores: Array) -> TrendTest:
    """Page's test for ordered alternatives (Page 1963, "Ordered hypotheses for multiple treatments").

    The alternative is that the arms follow the order and at least one step of it is strict, so a trend does not say
    that each step holds. The p value is exact for few seeds and arms, else by the normal approximation.

    Args:
        scores: [seed, arm], higher is better; at least two seeds, and three arms in the order to test, the best first.
            A lost run is -inf; ties share their mean rank.
    """
    from scipy.stats import page_trend_test  # takes a second to import

    seeds, arms = scores.shape
    found = page_trend_test(scores, predicted_ranks=np.arange(arms, 0, -1))
    return TrendTest(seeds, float(found.statistic), float(found.pvalue))
