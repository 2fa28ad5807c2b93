"""Student's t distribution, and Dunnett's: that of the largest of several t statistics that share a baseline."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

# scipy.stats takes a second to import, too long for a report; the tests use it as the reference
from scipy.special import gammainccinv, gammaincinv, nctdtrinc, ndtr, stdtr, stdtrit

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

NORMALS = 32
"""Quadrature points for the baseline's error. With those of `scale_grid`, p is within 3e-7 for k ≤ 200."""


def t_p(t: float, df: float) -> float:
    """The two-sided p value of Student's t (Student 1908); nan for nan."""
    return float(2 * stdtr(df, -abs(t)))


def t_critical(level: float, df: float) -> float:
    """The critical value of |t|: P(|t| < value) = level."""
    return float(stdtrit(df, (1 + level) / 2))


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
    within = ndtr(z + reach) - ndtr(z - reach)
    return min(1.0, float(scale_weights @ (1 - within**k) @ z_weights))


@lru_cache(maxsize=4096)
def dunnett_critical(level: float, k: int, df: float) -> float:
    """The critical value of max |Tᵢ| in `dunnett_p` (tables: Dunnett 1964).

    It lies between Student's quantile and Bonferroni's. It is found by regula falsi on log p as a function of log t,
    which is nearly linear, with the Illinois modification (Dowell and Jarratt 1971).

    Args:
        level: P(max |Tᵢ| < value), between 0 and 1.
        k: Number of comparisons.
        df: Degrees of freedom; inf for the normal distribution.

    Raises:
        ValueError: If k < 1, df ≤ 0, or the level does not lie between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not {level}")

    def excess(log_t: float) -> float:
        return math.log(dunnett_p(math.exp(log_t), k, df) / (1 - level))

    finite = min(df, 1e9)  # stdtrit has no infinity
    low, high = math.log(t_critical(level, finite)), math.log(t_critical(1 - (1 - level) / k, finite))
    at_low, at_high, last = excess(low), excess(high), 0.0
    middle, at_middle = high, at_high
    while abs(at_middle) > 1e-8 and at_low > 0 > at_high:
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        at_middle = excess(middle)
        if at_middle > 0:
            low, at_low, at_high = middle, at_middle, at_high / 2 if last > 0 else at_high
        else:
            high, at_high, at_low = middle, at_middle, at_low / 2 if last < 0 else at_low
        last = at_middle
    return math.exp(middle)


@lru_cache(maxsize=4096)
def tail_level(k: int, n: int, level: float) -> float:
    """The two-sided tail of one t statistic at which the p value of a family of k is 1 − level.

    The family's p is Dunnett's at k (n − 1) degrees of freedom. A statistic with other degrees of freedom is judged by
    the same tail, so that its p is below 1 − level exactly where its interval leaves out 0.

    Args:
        k: Number of comparisons.
        n: Seeds, at least 2.
        level: The family's confidence, between 0 and 1.
    """
    df = k * (n - 1)
    return t_p(dunnett_critical(level, k, df), df)


def detectable(critical: float, df: float, power: float) -> float:
    """The effect, in standard errors, for which |t| exceeds `critical` with probability `power` (Cohen 1988, ch. 2).

    It is the noncentrality c with P(t′(df, c) > critical) = power. The opposite tail is neglected.
    """
    return float(nctdtrinc(df, 1 - power, critical))


@lru_cache(maxsize=256)
def scale_grid(df: float) -> tuple[Array, Array]:
    """Quadrature points of s = √(χ²/df) and their weights, evenly spaced in log s, where the density is smooth.

    Small df need more points, because the density's tail gets longer while the integrand's edge stays as sharp.
    """
    if math.isinf(df):
        return np.ones(1), np.ones(1)
    low, high = (math.log(2 * x / df) / 2 for x in (gammaincinv(df / 2, 1e-9), gammainccinv(df / 2, 1e-12)))
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
