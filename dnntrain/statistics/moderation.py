"""Standard errors of several arms' differences from one baseline, moderated by the variance that the arms share.

Each arm gets a weighted mean of a variance pooled over the arms and of its own. The weight of the pool, how the pool is
formed, and its degrees of freedom follow continuously from p values of variance tests, so there is no preliminary test
that could decide wrongly. The idea of a moderated variance is that of Smyth 2004 ("Linear models and empirical Bayes
methods for assessing differential expression"). The weights were found by simulation (`tests/bench/error_rates`).

Arrays are [..., arm, seed]. Leading axes are separate studies.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnntrain.statistics.distributions import TINY, Array
from dnntrain.utils.lazy import special

PRIOR = 12.0
"""Degrees of freedom with which the pooled variance counts against an arm's own."""

OUTLYING = 6.0
"""An arm whose residual variance is this many times that of the others loses weight in the pool."""

SMALL_VARIANCE = 0.1
"""An arm's variance is suspiciously small where P(smaller) < SMALL_VARIANCE / arms."""

ROW_LEVEL = 0.05
"""A row whose p in `row_tests` is below this loses weight in the tests of the other rows."""


class Pool(NamedTuple):
    """What the arms share. Each field has the shape of the leading axes."""

    variance: Array
    """Of the difference of one arm and the baseline at one seed."""
    df: Array
    p_baseline: Array
    """P value of the test that the baseline varies as the arms do."""
    p_sphericity: Array
    """P value of the test that all arms have equal variances and correlations."""
    trust: Array
    """Weight, 0 to 1, of the common variance that is right only if baseline and correlations are as they should be."""


class Moderated(NamedTuple):
    """Each arm's mean difference from the baseline, [..., arm]."""

    mean: Array
    se: Array
    df: Array
    pooling: Array
    """How far an arm shares the pool, 0 (judged by its own variance alone) to 1; g of step 7."""
    pool: Pool | None
    """None for a single arm, which is judged by its own variance: the paired t test."""


def moderate(differences: Array) -> Moderated:
    """The mean, standard error, and degrees of freedom of each arm's differences from the baseline.

    With one arm this is the paired t test.

    Args:
        differences: [..., arm, seed]: arm − baseline at each of at least two seeds, with some variance in each arm.
    """
    arms, n = differences.shape[-2:]
    nu = n - 1
    mean = differences.mean(-1)
    centered = differences - mean[..., None]
    own = (centered**2).sum(-1) / nu
    if arms == 1:
        return Moderated(mean, np.sqrt(own / n), np.full(mean.shape, float(nu)), np.zeros(mean.shape), None)
    ratio, p = row_tests(np.concatenate([np.zeros_like(centered[..., :1, :]), centered], -2))
    weight = np.minimum(1, (OUTLYING / np.clip(ratio[..., 1:], 1e-9, 1e9)) ** 3)
    pool = pooled_variance(centered, weight, p[..., 0])
    smaller = special.fdtr(nu, pool.df[..., None], own / np.maximum(pool.variance, TINY)[..., None])
    pooling = np.minimum(1, np.minimum(p[..., 1:] / arm_level(n, arms), smaller * arms / SMALL_VARIANCE))
    se, df = mixed_error(own, n, pool, pooling)
    return Moderated(mean, se, df, pooling, pool)


def arm_level(n: int, arms: int) -> float:
    """The p value of the test of an arm's variance below which the pool begins to count less for it."""
    return max(0.1, 2 / (n - 1) ** 2) * arms / max(arms - 1, 1)


def moderate_alone(differences: Array, pool: Pool | None, judged: int, doubted_from: float = 1.0) -> Moderated:
    """The same for one arm that is outside of the pool, because it lacks seeds or is judged later than the others.

    Args:
        differences: [..., seed]: arm − baseline at the arm's own seeds, at least two.
        pool: The pool of the other arms, with the same leading axes; None gives the paired t test.
        judged: The number of arms that are judged.
        doubted_from: The p value of the variance's test below which the pool begins to lose weight. An arm that is
            not part of the pool is doubted from 1 on.

    Returns:
        Fields of shape [..., 1].
    """
    n, mean = differences.shape[-1], differences.mean(-1, keepdims=True)
    own = differences.var(-1, ddof=1, keepdims=True)
    if pool is None:
        return Moderated(mean, np.sqrt(own / n), np.full(mean.shape, n - 1.0), np.zeros(mean.shape), None)
    ratio = own / np.maximum(pool.variance, TINY)[..., None]
    larger, smaller = (tail(n - 1, pool.df[..., None], ratio) for tail in (special.fdtrc, special.fdtr))
    pooling = np.minimum(1, np.minimum(larger / doubted_from, smaller * judged / SMALL_VARIANCE))
    se, df = mixed_error(own, n, pool, pooling)
    return Moderated(mean, se, df, pooling, pool)


def mixed_error(own: Array, n: int, pool: Pool, pooling: Array) -> tuple[Array, Array]:
    """Standard error and df of means over n seeds, whose variance is a weighted mean of the arm's own and the pool's.

    The pool contains the arm, so that Cov(pool, own) = Var(pool): hence the df (Satterthwaite 1946).
    """
    nu = n - 1
    own_weight = 1 - pooling * PRIOR / (PRIOR + nu)
    variance = own_weight * own + (1 - own_weight) * pool.variance[..., None]
    df = 1 / ((1 - own_weight**2) / pool.df[..., None] + own_weight**2 / nu)
    return np.sqrt(variance / n), df


def row_tests(rows: Array, rounds: int = 3, kept: int = 1) -> tuple[Array, Array]:
    """Tests each row's variance in the layout arm + seed against that of all others (Russell and Bradley 1958).

    Rows are compared with the others' weighted mean. In each round, rows that vary significantly more lose weight, so
    that one such row cannot hide another.

    Args:
        rows: [..., row, seed], each with mean 0.
        rounds: How often to change the weights.
        kept: How many of the first rows always have weight 1. By default only the baseline, row 0.

    Returns:
        F and P(larger F), [..., row]; 0 and 1 where too little weight is left to test against.
    """
    nu = rows.shape[-1] - 1
    weight = np.ones(rows.shape[:-1])
    own = (rows**2).sum(-1)
    for remaining in range(rounds, -1, -1):
        total = (weight[..., None] * rows).sum(-2, keepdims=True)
        others = np.maximum(weight.sum(-1, keepdims=True) - weight, 1e-9)
        center = (total - weight[..., None] * rows) / others[..., None]
        numerator = ((rows - center) ** 2).sum(-1) / (nu * (1 + 1 / others))
        squares = (weight * own).sum(-1, keepdims=True) - weight * own - others * (center**2).sum(-1)
        testable = others - 1 > 0.3
        rows_left = np.maximum(others - 1, 0.3)
        with np.errstate(over="ignore"):  # the others may have no variance, and large numbers an infinite ratio to it
            ratio = np.where(testable, numerator / np.maximum(squares / (nu * rows_left), TINY), 0.0)
        p = np.where(testable, special.fdtrc(nu, nu * rows_left, ratio), 1.0)
        if remaining:
            weight[..., kept:] = np.minimum(1, p[..., kept:] / ROW_LEVEL)
    return ratio, p


def pooled_variance(centered: Array, weight: Array, p_baseline: Array) -> Pool:
    """The variance of a difference, pooled over the arms.

    Two estimates are mixed. Twice the residual mean square of the layout arm + seed is Dunnett's, and right if all
    variances and correlations are equal. The mean variance of the differences is always right, with fewer degrees of
    freedom (Box 1954; Satterthwaite 1946). The first counts less the smaller the p values of the baseline's variance
    and of sphericity are.

    Args:
        centered: [..., arm, seed], differences minus their mean.
        weight: [..., arm], the arms' weights in the pool.
        p_baseline: [...], the p value of the baseline's variance.
    """
    nu = centered.shape[-1] - 1
    total = weight.sum(-1)
    common = (weight[..., None] * centered).sum(-2) / total[..., None]
    always_right = (weight * (centered**2).sum(-1) / nu).sum(-1) / total
    if_equal = 2 * (always_right - total / (total + 1) * (common**2).sum(-1) / nu)
    weighted = centered * np.sqrt(weight)[..., None]
    satterthwaite = 1 / sphericity(np.swapaxes(weighted, -1, -2) @ weighted)
    rows = np.concatenate([np.zeros_like(centered[..., :1, :]), centered], -2)
    products = residual_products(rows, np.concatenate([np.ones_like(weight[..., :1]), weight], -1))
    p_sphericity = sphericity_p(sphericity(products), total, nu)
    trust_mean, trust = (np.minimum(1, p / pool_level(nu)) for p in (p_baseline, np.minimum(p_baseline, p_sphericity)))
    variance = trust_mean * if_equal + (1 - trust_mean) * always_right
    df = 1 / (trust / (nu * np.maximum(total, 1)) + (1 - trust) / (nu * satterthwaite))
    return Pool(variance, df, p_baseline, p_sphericity, trust)


def pool_level(nu: int) -> float:
    """The p value of the tests of the baseline and of sphericity below which the pool begins to be doubted."""
    return 0.2 if nu > 3 else 0.3


def residual_products(rows: Array, weight: Array) -> Array:
    """G, [..., seed, seed]: products of the residuals of the layout row + seed, summed over the weighted rows.

    Args:
        rows: [..., row, seed], each with mean 0.
        weight: [..., row].
    """
    weights = weight[..., None]
    center = (weights * rows).sum(-2, keepdims=True) / weights.sum(-2, keepdims=True)
    residuals = (rows - center) * np.sqrt(weights)
    products: Array = np.swapaxes(residuals, -1, -2) @ residuals
    return products


def trace(matrix: Array) -> Array:
    """The trace over the last two axes."""
    result: Array = np.trace(matrix, axis1=-2, axis2=-1)
    return result


def sphericity(products: Array) -> Array:
    """U = tr G² / (tr G)² (John 1972, "The distribution of a statistic used for testing sphericity of normal
    distributions"): the smallest where all variances and correlations are equal.

    1/U counts the directions in which the rows vary; times ν, it is Satterthwaite's df of their mean variance.
    """
    result: Array = np.maximum((products**2).sum((-1, -2)), TINY) / np.maximum(trace(products), TINY) ** 2
    return result


def sphericity_p(u: Array, arms: Array, nu: int) -> Array:
    """P(larger U) if all variances and correlations are equal.

    U lies in [1/min(arms, ν), 1]. It is taken as Beta with its exact first two moments, which follow from those of
    Wishart matrices, because U and tr G are independent. In simulations p = .05 is off by at most .017 (4 seeds and 3
    arms), and from 7 seeds on by at most .006.

    Args:
        u: John's statistic, [...].
        arms: The sum of the arms' weights, [...].
        nu: Seeds − 1.
    """
    if nu <= 1:
        return np.ones_like(u)
    p = np.maximum(arms, 1.99)
    size = p * nu
    first = (nu + p + 1) / (size + 2)
    second = (
        size**2 * (nu + p + 1) ** 2 + 4 * size * (2 * nu * nu + 5 * size + 2 * p * p + 5 * nu + 5 * p + 5)
    ) / (size * (size + 2) * (size + 4) * (size + 6))  # fmt: skip
    low = 1 / np.minimum(p, nu)
    mean, variance = (first - low) / (1 - low), (second - first**2) / (1 - low) ** 2
    concentration = mean * (1 - mean) / variance - 1
    tail = special.betaincc(mean * concentration, (1 - mean) * concentration, np.clip((u - low) / (1 - low), 0, 1))
    result: Array = np.where(arms > 1.99, tail, 1.0)
    return result
