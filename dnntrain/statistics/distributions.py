"""Student's t distribution, and Dunnett's: that of the largest of several t statistics that share a baseline."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from dnntrain.utils.lazy import special

POWER = 0.8
"""The probability with which a smallest detectable effect is found (Cohen 1988)."""

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

TINY = 1e-300
"""Stands for a variance of 0 in a divisor."""

NORMALS = 32
"""Quadrature points for the baseline's error. With those of `scale_grid`, p is within 3e-7 for k ≤ 200."""


def t_p(t: float, df: float) -> float:
    """The two-sided p value of Student's t (Student 1908); nan for nan."""
    return float(2 * special.stdtr(df, -abs(t)))


def t_critical(level: float, df: float) -> float:
    """The critical value of |t|: P(|t| < value) = level."""
    return float(special.stdtrit(df, (1 + level) / 2))


def dunnett_p(t: float, k: int, df: float) -> float:
    """The p value P(max |Tᵢ| ≥ |t|) of k multivariate t statistics with correlations ½ (Dunnett 1955; Hsu 1996, ch. 3).

    With Tᵢ = (Xᵢ + Z) / (√2 s), where X and Z are standard normal and s² = χ²/df,
    1 − p = ∫∫ φ(z) [Φ(z + √2 |t| s) − Φ(z − √2 |t| s)]ᵏ dz f(s) ds. Both integrands are smooth and vanish at both
    ends, so the trapezoidal rule converges exponentially.

    Args:
        t: The statistic; nan gives nan.
        k: Number of comparisons.
        df: Degrees of freedom; inf for the normal distribution.

    Raises:
        ValueError: If k < 1 or df ≤ 0.
    """
    if k < 1 or not df > 0:
        raise ValueError(f"no Dunnett distribution of k = {k} and df = {df}")
    if math.isnan(t):
        return math.nan
    scales, scale_weights = scale_grid(df)
    z, z_weights = normal_grid()
    reach = (math.sqrt(2) * abs(t) * scales)[:, None]
    within = special.ndtr(z + reach) - special.ndtr(z - reach)
    return min(1.0, float(scale_weights @ (1 - within**k) @ z_weights))


@lru_cache(maxsize=4096)
def dunnett_critical(level: float, k: int, df: float) -> float:
    """The critical value of max |Tᵢ| in `dunnett_p` (tables: Dunnett 1964).

    It lies between Student's quantile and Bonferroni's.

    Args:
        level: P(max |Tᵢ| < value), between 0 and 1.
        k: Number of comparisons.
        df: Degrees of freedom; inf for the normal distribution.

    Raises:
        ValueError: If k < 1, df ≤ 0, or the level does not lie between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not {level}")

    finite = min(df, 1e9)  # stdtrit has no infinity
    return falling_root(
        lambda t: dunnett_p(t, k, df) / (1 - level),
        t_critical(level, finite),
        t_critical(1 - (1 - level) / k, finite),
    )


def falling_root(ratio: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling ratio of p values is 1, between two positive ends.

    It is found by regula falsi on its logarithm as a function of log t, which is nearly linear, with the Illinois
    modification (Dowell and Jarratt 1971).
    """
    low, high = math.log(low), math.log(high)
    at_low, at_high, last = math.log(ratio(math.exp(low))), math.log(ratio(math.exp(high))), 0.0
    middle, at_middle = high, at_high
    while abs(at_middle) > 1e-8 and at_low > 0 > at_high:
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        at_middle = math.log(ratio(math.exp(middle)))
        if at_middle > 0:
            low, at_low, at_high = middle, at_middle, at_high / 2 if last > 0 else at_high
        else:
            high, at_high, at_low = middle, at_middle, at_low / 2 if last < 0 else at_low
        last = at_middle
    return math.exp(middle)


def studentized_range_p(q: float, groups: int, df: float) -> float:
    """P(range of `groups` standard normals ≥ q s), where s² = χ²/df: Tukey's p of the largest of all differences.

    For a range w, P(range < w) = r ∫ φ(z) [Φ(z) − Φ(z − w)]ʳ⁻¹ dz (Hartley 1942). With q = √2 |t|, this is the family's
    p of the t statistics of all pairs.

    Args:
        q: The range in standard deviations; nan gives nan.
        groups: Number of groups r.
        df: Degrees of freedom; inf for known variances.

    Raises:
        ValueError: If there are fewer than two groups or df ≤ 0.
    """
    if groups < 2 or not df > 0:
        raise ValueError(f"no studentized range of {groups} groups and df = {df}")
    if math.isnan(q):
        return math.nan
    scales, scale_weights = scale_grid(df)
    z, z_weights = whole_normal_grid()
    within = groups * (special.ndtr(z) - special.ndtr(z - abs(q) * scales[:, None])) ** (groups - 1)
    return min(1.0, max(0.0, 1 - float(scale_weights @ within @ z_weights)))


@lru_cache(maxsize=4096)
def studentized_range_critical(level: float, groups: int, df: float) -> float:
    """The critical value of q in `studentized_range_p`, between those of Student's t and of Bonferroni's.

    Args:
        level: P(q < value), between 0 and 1.
        groups: Number of groups, at least 2.
        df: Degrees of freedom; inf for known variances.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not {level}")
    finite, pairs = min(df, 1e9), groups * (groups - 1) / 2
    ends = (2**0.5 * t_critical(1 - (1 - level) / count, finite) for count in (1, pairs))
    return falling_root(lambda q: studentized_range_p(q, groups, df) / (1 - level), *ends)


@lru_cache(maxsize=4096)
def tail_level(k: int, n: int, level: float, pairwise: bool = False) -> float:
    """The two-sided tail of one t statistic at which the p value of its family is 1 − level.

    The family's p is that of the largest of k comparisons with one baseline (Dunnett), or of all pairs of k + 1 arms
    (Tukey), at k (n − 1) degrees of freedom. A statistic with other degrees of freedom is judged by the same tail, so
    that its p is below 1 − level exactly where its interval leaves out 0.

    Args:
        k: Arms − 1.
        n: Seeds, at least 2.
        level: The family's confidence, between 0 and 1.
        pairwise: Whether all pairs are compared, not only those with the baseline.
    """
    df = k * (n - 1)
    t = studentized_range_critical(level, k + 1, df) / 2**0.5 if pairwise else dunnett_critical(level, k, df)
    return t_p(t, df)


def detectable(critical: float, df: float, power: float = POWER) -> float:
    """The effect, in standard errors, for which |t| exceeds `critical` with probability `power` (Cohen 1988, ch. 2).

    It is the noncentrality c with P(t′(df, c) > critical) = power. The opposite tail is neglected.
    """
    return float(special.nctdtrinc(df, 1 - power, critical))


@lru_cache(maxsize=256)
def scale_grid(df: float) -> tuple[Array, Array]:
    """Quadrature points of s = √(χ²/df) and their weights, evenly spaced in log s, where the density is smooth.

    Small df need more points, because the density's tail gets longer while the integrand's edge stays as sharp.
    """
    if math.isinf(df):
        return np.ones(1), np.ones(1)
    low, high = (
        math.log(2 * x / df) / 2 for x in (special.gammaincinv(df / 2, 1e-9), special.gammainccinv(df / 2, 1e-12))
    )
    log_s = np.linspace(low, high, 24 + math.ceil(140 / df))
    log_density = df * (log_s - np.exp(2 * log_s) / 2)  # of log s, up to a constant
    weights = np.exp(log_density - log_density.max())
    return np.exp(log_s), weights / weights.sum()


@lru_cache(maxsize=1)
def normal_grid() -> tuple[Array, Array]:
    """Quadrature points z ≥ 0 and their weights; the integrand is even in z."""
    z = np.linspace(0, 6, NORMALS)
    weights = np.exp(-z * z / 2)
    weights[0] /= 2
    return z, weights / weights.sum()


@lru_cache(maxsize=1)
def whole_normal_grid() -> tuple[Array, Array]:
    """Quadrature points z of both signs and their weights."""
    z = np.linspace(-7, 7, 101)
    weights = np.exp(-z * z / 2)
    return z, weights / weights.sum()
