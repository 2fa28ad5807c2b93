"""Contrasts of several arms, such as the effects of a factorial design, with moderated variances.

A contrast is computed for every seed from that seed's runs, so that what a seed does to all arms cancels. Like an arm's
difference in `moderation`, it gets a weighted mean of its own variance and of a pooled one. There is no baseline here:
all arms are tested alike, and the pooled variance is the residual mean square of the layout arm + seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dnntrain.statistics.comparisons import why_unjudged
from dnntrain.statistics.corrections import BONFERRONI, NONE, Correction
from dnntrain.statistics.descriptive import LEVEL, Interval, without_rounding
from dnntrain.statistics.distributions import TINY, Array
from dnntrain.statistics.estimates import Estimate, ValuesBySeed
from dnntrain.statistics.moderation import (
    OUTLYING,
    SMALL_VARIANCE,
    Pool,
    arm_level,
    mixed_error,
    pool_level,
    residual_products,
    row_tests,
    sphericity,
    sphericity_p,
    trace,
)
from dnntrain.statistics.significance import TTest, one_sample_t
from dnntrain.statistics.verdicts import BETTER, EQUIVALENT, INCONCLUSIVE, WORSE, verdict
from dnntrain.utils.lazy import special

Contrast = Mapping[str, float]
"""The weight of each arm."""


INTERACTIONS = {
    BETTER: "synergistic",
    WORSE: "redundant",
    EQUIVALENT: "additive",
    INCONCLUSIVE: "not told from additive",
}
"""The words for a difference of differences, by those for a difference."""


@dataclass(frozen=True)
class ContrastResult:
    """A contrast with its intervals, in the metric's unit."""

    n: int
    """Seeds at which all its arms have a value."""
    interval: Interval
    """Simultaneous over the contrasts that are judged together; a point without variance, nan below two seeds."""
    narrow: Interval
    """The interval at level 1 − 2α (90 %), by which it is judged whether the contrast is small."""
    p: float
    """Adjusted as the interval; nan without variance."""
    df: float
    verdict: str
    """As in `verdict`; the reason if there is none."""


def judge_contrasts(
    contrasts: Sequence[Contrast],
    values: Mapping[str, ValuesBySeed],
    delta: float,
    higher_is_better: bool = True,
    level: float = LEVEL,
    adjusted: bool = True,
) -> list[ContrastResult]:
    """Estimates contrasts and judges them together, with Bonferroni's correction for those that have a variance.

    Args:
        contrasts: The weights, which sum to 0 in each. A contrast without arms gets nan.
        values: The values by seed of every arm.
        delta: The smallest difference that matters, in the metric's unit.
        higher_is_better: The metric's direction.
        level: The confidence of the intervals.
        adjusted: Whether to correct for the number of contrasts.

    Raises:
        ValueError: If delta is negative or a value is not finite.
    """
    if not delta >= 0:
        raise ValueError(f"delta must not be negative, but is {delta}")
    estimates = estimate_contrasts(contrasts, values)
    judged = sum(estimate.test.judgeable for estimate in estimates)
    correction = Correction(BONFERRONI if adjusted else NONE, max(judged, 1), 2)
    results = []
    for estimate in estimates:
        test, p = estimate.test, math.nan
        half = narrow = 0.0 if estimate.n > 1 else math.nan
        if test.judgeable:
            half, narrow = (correction.critical(each, test.df) * test.se for each in (level, 2 * level - 1))
            p = correction.p(test.t, test.df)
        center = test.difference
        said = why_unjudged(estimate) or verdict(center, half, narrow, delta, higher_is_better)
        wide = Interval(center, center - half, center + half)
        inner = Interval(center, center - narrow, center + narrow)
        results.append(ContrastResult(estimate.n, wide, inner, p, test.df, said))
    return results


def as_interaction(said: str) -> str:
    """The verdict on a difference of differences, in the words for an interaction."""
    word, comma, rest = said.partition(",")
    return INTERACTIONS.get(word, word) + comma + rest


def estimate_contrasts(contrasts: Sequence[Contrast], values: Mapping[str, ValuesBySeed]) -> list[Estimate]:
    """Estimates each contrast at the seeds that all its arms share; every arm with these seeds adds to the pool."""
    if not all(math.isfinite(value) for by_seed in values.values() for value in by_seed.values()):
        raise ValueError("a value is not finite")
    seeds = [shared_seeds(contrast, values) for contrast in contrasts]
    alone = [one_sample_t(by_seed(contrast, values, at)) for contrast, at in zip(contrasts, seeds, strict=True)]
    estimates = [Estimate(test, len(at)) for test, at in zip(alone, seeds, strict=True)]
    judged = [i for i, test in enumerate(alone) if test.judgeable]
    for at in {seeds[i] for i in judged}:
        arms = [arm for arm, found in values.items() if found.keys() >= set(at)]
        together = [i for i in judged if seeds[i] == at]
        table = np.array([[values[arm][seed] for seed in at] for arm in arms])
        weights = np.array([[contrasts[i].get(arm, 0.0) for arm in arms] for i in together])
        for i, estimate in zip(together, moderate_contrasts(table, weights, len(judged)), strict=True):
            estimates[i] = estimate
    return estimates


def shared_seeds(contrast: Contrast, values: Mapping[str, ValuesBySeed]) -> tuple[int, ...]:
    """The seeds at which all arms of a contrast have a value."""
    return tuple(sorted(set.intersection(*(set(values.get(arm, {})) for arm in contrast)))) if contrast else ()


def by_seed(contrast: Contrast, values: Mapping[str, ValuesBySeed], seeds: Sequence[int]) -> list[float]:
    """The value of a contrast at each seed."""
    scale = max((abs(values[arm][seed]) for arm in contrast for seed in seeds), default=0.0)
    found = [sum(weight * values[arm][seed] for arm, weight in contrast.items()) for seed in seeds]
    return without_rounding(found, scale)


def moderate_contrasts(table: Array, weights: Array, judged: int) -> list[Estimate]:
    """Estimates contrasts of a complete table [arm, seed].

    The pooled variance counts the less for a contrast, the smaller the least of two p values is: that its arms vary as
    the others do (the smallest of their row tests, by Šidák 1967), and that its own variance is that of the other
    contrasts. In simulations of 2×2, 2³, 3×2, and in-and-out designs with 3, 5, and 10 seeds and equal or unequal
    variances, the family-wise error is at most 5.5 %.

    Args:
        table: The values, at least two arms and two seeds.
        weights: [contrast, arm]; each contrast has some variance.
        judged: The number of contrasts that are judged together.
    """
    arms, n = table.shape
    nu = n - 1
    rows = table - table.mean(-1, keepdims=True)
    ratio, p_row = row_tests(rows, kept=0)
    weight = np.minimum(1, (OUTLYING / np.clip(ratio, 1e-9, 1e9)) ** 3)
    free = max(float(weight.sum()) - 1, 1.0)
    pool = residual_pool(rows, weight, free)
    contrasts, size = weights @ table, (weights**2).sum(-1)
    own = contrasts.var(-1, ddof=1)
    involved = weights != 0
    p_rows = 1 - (1 - np.where(involved, p_row, 1).min(-1)) ** involved.sum(-1)
    rest_df = nu * (free - 1)
    if rest_df > 0.3 * nu:
        rest = np.maximum(pool.variance * nu * free - own / size * nu, 0) / rest_df
        with np.errstate(over="ignore"):  # the rest may have no variance, and large numbers an infinite ratio to it
            p_own = special.fdtrc(nu, rest_df, own / size / np.maximum(rest, TINY))
    else:
        p_own = np.ones_like(own)
    smaller = special.fdtr(nu, pool.df, own / size / pool.variance)
    doubt = np.minimum(p_rows, p_own) / arm_level(n, arms)
    pooling = np.minimum(1, np.minimum(doubt, smaller * judged / SMALL_VARIANCE))
    se, df = mixed_error(own / size, n, pool, pooling)
    return [
        Estimate(TTest(float(mean), float(error), float(each_df)), n, float(share))
        for mean, error, each_df, share in zip(contrasts.mean(-1), se * np.sqrt(size), df, pooling, strict=True)
    ]


def residual_pool(rows: Array, weight: Array, free: float) -> Pool:
    """The weighted residual mean square of the layout arm + seed; its df count less where sphericity is doubtful."""
    nu, products = rows.shape[-1] - 1, residual_products(rows, weight)
    u = sphericity(products)
    p_sphericity = sphericity_p(u, np.array(free), nu)
    trust = np.minimum(1, p_sphericity / pool_level(nu))
    df = 1 / (trust / (nu * free) + (1 - trust) * u / nu)
    return Pool(trace(products) / (nu * free), df, np.ones(()), p_sphericity, trust)
