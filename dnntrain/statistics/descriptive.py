"""One arm's runs, and two arms' beside each other, in a few numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dnntrain.statistics.distributions import t_critical

LEVEL = 0.95
"""Two-sided confidence of every interval."""

ROUNDING = 1e-12
"""A deviation below this share of the values themselves is the rounding of equal numbers, and counts as zero."""


@dataclass(frozen=True)
class Interval:
    """A mean with its two-sided t interval, in the values' unit; nan where there is none."""

    mean: float
    low: float
    high: float


def mean(values: Sequence[float]) -> float:
    """The mean, in the values' unit; nan of nothing."""
    if not values:
        return math.nan
    finite = all(map(math.isfinite, values))
    return (math.fsum(values) if finite else sum(values)) / len(values)  # fsum raises at inf − inf


def deviation(values: Sequence[float]) -> float:
    """The sample's standard deviation (ddof 1), in the values' unit; nan below two values, 0 of equal ones."""
    if len(values) < 2:
        return math.nan
    center = mean(values)
    spread = math.sqrt(math.fsum((value - center) ** 2 for value in values) / (len(values) - 1))
    return 0.0 if spread <= ROUNDING * abs(center) else spread


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Student's interval of the mean; unbounded (nan) below two values.

    Unlike the bootstrap's it keeps its coverage at 3 to 10 values (Student 1908, "The probable error of a mean").
    """
    n, center = len(values), mean(values)
    if n < 2:
        return Interval(center, math.nan, math.nan)
    margin = t_critical(level, n - 1) * deviation(values) / math.sqrt(n)
    return Interval(center, center - margin, center + margin)


def paired_interval(ours: Mapping[int, float], theirs: Mapping[int, float], level: float = LEVEL) -> Interval | None:
    """The interval of the mean difference over the seeds that both have; None where they share none."""
    shared = ours.keys() & theirs.keys()
    return t_interval(paired_differences(*pairs(ours, theirs)), level) if shared else None


def pairs(ours: Mapping[int, float], theirs: Mapping[int, float]) -> tuple[list[float], list[float]]:
    """The values of the seeds that both have."""
    shared = sorted(ours.keys() & theirs.keys())
    return [ours[seed] for seed in shared], [theirs[seed] for seed in shared]


def paired_differences(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Pair by pair, free of rounding; ValueError for unequal lengths."""
    scale = max(map(abs, (*ours, *theirs)), default=0.0)
    return without_rounding([x - y for x, y in zip(ours, theirs, strict=True)], scale)


def without_rounding(values: list[float], scale: float) -> list[float]:
    """Differences of numbers as large as `scale`; those equal but for rounding made so, that no t is made of it."""
    if not values or not math.isfinite(scale) or not max(values) - min(values) <= ROUNDING * scale:
        return values
    center = mean(values)
    return [center if abs(center) > ROUNDING * scale else 0.0] * len(values)


def correlation(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Pearson's r of two arms over the same seeds; nan below three pairs (two always give ±1) or without variance.

    Pairing by seed narrows an interval only where r is above about 0.2. ValueError for unequal lengths.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"a correlation needs pairs, not {len(ours)} and {len(theirs)} values")
    spread = deviation(ours) * deviation(theirs)
    if len(ours) < 3 or not spread > 0:
        return math.nan
    products = [(x - mean(ours)) * (y - mean(theirs)) for x, y in zip(ours, theirs, strict=True)]
    return max(-1.0, min(1.0, math.fsum(products) / (len(ours) - 1) / spread))


def hedges_g(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Hedges' g: the difference of the means (ours − theirs) in standard deviations of one run; nan without variance.

    g = J(m) · (x̄ − ȳ) / s_pooled with m = n₁ + n₂ − 2 and the exact correction
    J(m) = Γ(m/2) / (√(m/2) Γ((m−1)/2)) (Hedges 1981, "Distribution theory for Glass's estimator", eq. 6e).
    Paired and unpaired runs get the same g: paired, s_pooled is the root mean square of the two deviations, so this is
    d_av (Cumming 2012, ch. 11), not the d_z of the differences, which grows with the seeds' correlation r and cannot be
    compared between studies. With r the correction is then slightly too weak: +1 % at r = .3 and n = 3, +5 % at .6.
    """
    degrees = len(ours) + len(theirs) - 2
    squares = [(len(values) - 1) * deviation(values) ** 2 for values in (ours, theirs) if len(values) > 1]
    if degrees < 2 or not ours or not theirs or not math.fsum(squares) > 0:
        return math.nan
    factor = math.exp(math.lgamma(degrees / 2) - math.lgamma((degrees - 1) / 2)) / math.sqrt(degrees / 2)
    return factor * (mean(ours) - mean(theirs)) / math.sqrt(math.fsum(squares) / degrees)


def binomial_se(accuracy: float, n_images: int) -> float:
    """The standard error that a test set of `n_images` gives an accuracy, both as shares: √(p (1 − p) / n).

    It is what another test set of this size would change, and all seeds share it: 0.0030 at 0.90 and 10,000 images.
    ValueError for a share outside 0 to 1 or no images.
    """
    if not 0 <= accuracy <= 1 or n_images < 1:
        raise ValueError(f"no binomial error of {accuracy} on {n_images} images")
    return math.sqrt(accuracy * (1 - accuracy) / n_images)


def prediction_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Where one further run would lie: mean ± t(n − 1) · sd · √(1 + 1/n); nan ends below two values.

    Source: Hahn and Meeker 1991, Statistical Intervals, ch. 4.
    """
    n, center = len(values), mean(values)
    if n < 2:
        return Interval(center, math.nan, math.nan)
    margin = t_critical(level, n - 1) * deviation(values) * math.sqrt(1 + 1 / n)
    return Interval(center, center - margin, center + margin)
