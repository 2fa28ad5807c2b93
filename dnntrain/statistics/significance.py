"""Tests of two arms, of proportions, and of single runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dnntrain.statistics.descriptive import LEVEL, ROUNDING, Interval, deviation, mean, paired_differences
from dnntrain.statistics.distributions import t_p
from dnntrain.utils.lazy import special


@dataclass(frozen=True)
class TTest:
    """An estimated difference with its standard error (both in the values' unit) and degrees of freedom."""

    difference: float
    se: float
    df: float

    @property
    def judgeable(self) -> bool:
        """Whether the difference has a positive, finite standard error."""
        return 0 < self.se < math.inf

    @property
    def t(self) -> float:
        """The difference in standard errors; nan unless `judgeable`."""
        return self.difference / self.se if self.judgeable else math.nan

    @property
    def p(self) -> float:
        """The unadjusted two-sided p value; nan unless `judgeable`."""
        return t_p(self.t, self.df)


def one_sample_t(values: Sequence[float]) -> TTest:
    """Student's test of whether the mean differs from 0; se is nan below two values."""
    n = len(values)
    return TTest(mean(values), deviation(values) / math.sqrt(n) if n else math.nan, n - 1 if n > 1 else math.nan)


def paired_t(ours: Sequence[float], theirs: Sequence[float]) -> TTest:
    """The paired t test with n − 1 df (Student 1908). Differences that are equal except for rounding have se 0.

    Raises:
        ValueError: If the lengths differ.
    """
    return one_sample_t(paired_differences(ours, theirs))


def welch_t(ours: Sequence[float], theirs: Sequence[float]) -> TTest:
    """The t test for unequal variances (Welch 1947), with Satterthwaite's df.

    se is nan if either side has fewer than two values.
    """
    ours_part, theirs_part = (deviation(x) ** 2 / len(x) if x else math.nan for x in (ours, theirs))
    variance = ours_part + theirs_part
    difference = mean(ours) - mean(theirs)
    if not variance > 0:
        return TTest(difference, variance, math.nan)
    df = variance**2 / (ours_part**2 / (len(ours) - 1) + theirs_part**2 / (len(theirs) - 1))
    return TTest(difference, math.sqrt(variance), df)


def fisher_exact(a: int, n: int, b: int, m: int) -> float:
    """Fisher's exact test of equal rates, two-sided (Fisher 1934, "Statistical methods", § 21.02).

    p sums the probabilities of all tables with these margins that are no more probable than the observed one. The sum
    is computed in integers.

    Args:
        a: Events among the first `n`.
        n: Size of the first group.
        b: Events among the second `m`.
        m: Size of the second group.

    Raises:
        ValueError: If a is not from 0 to n, or b not from 0 to m.
    """
    if not (0 <= a <= n and 0 <= b <= m):
        raise ValueError(f"{a} of {n} and {b} of {m} are no counts")
    total = a + b
    ways = [math.comb(n, x) * math.comb(m, total - x) for x in range(max(0, total - m), min(n, total) + 1)]
    seen = math.comb(n, a) * math.comb(m, b)
    return sum(way for way in ways if way <= seen) / math.comb(n + m, total)


def rate_limit(lost: int, n: int, level: float = LEVEL) -> float:
    """The one-sided upper limit of a rate of which `lost` of n were seen (Clopper and Pearson 1934).

    Raises:
        ValueError: If lost is not from 0 to n, or n is 0.
    """
    check_count(lost, n)
    return 1.0 if lost == n else float(special.betaincinv(lost + 1, n - lost, level))


def rate_interval(lost: int, n: int, level: float = LEVEL) -> Interval:
    """The two-sided interval of a rate of which `lost` of n were seen (Clopper and Pearson 1934).

    Raises:
        ValueError: If lost is not from 0 to n, or n is 0.
    """
    check_count(lost, n)
    one_sided = (1 + level) / 2
    return Interval(lost / n, 1 - rate_limit(n - lost, n, one_sided), rate_limit(lost, n, one_sided))


def unseen_rate(n: int, level: float = LEVEL) -> float:
    """The largest rate of events that n runs without any event leave possible: 1 − .05^(1/n)."""
    return rate_limit(0, n, level)


def check_count(a: int, n: int) -> None:
    """Raise ValueError unless a of n is a count of at least one trial."""
    if not (0 <= a <= n and n > 0):
        raise ValueError(f"{a} of {n} is no rate")


def outlying_runs(values: Mapping[int, float], level: float = LEVEL) -> list[int]:
    """The seeds whose single value makes the spread of an arm.

    Each value is compared with the mean of the others by their standard deviation, which is the externally studentized
    residual (Cook and Weisberg 1982, ch. 2), with Bonferroni's correction for the number of values. Two outliers on
    opposite sides can hide each other.

    Args:
        values: By seed.
        level: The confidence that no seed is named if all values come from one normal distribution.

    Returns:
        The seeds in the order given; none below four values, whose spread without one is hardly known.
    """
    n = len(values)
    outlying = []
    for seed, value in values.items() if n > 3 else ():
        others = [other for key, other in values.items() if key != seed]
        distance, spread = abs(value - mean(others)), deviation(others) * math.sqrt(1 + 1 / len(others))
        is_beyond_rounding = distance > ROUNDING * max(abs(value), abs(mean(others)))
        if is_beyond_rounding and (spread == 0 or n * t_p(distance / spread, n - 2) < 1 - level):
            outlying.append(seed)
    return outlying
