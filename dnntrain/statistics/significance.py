"""Tests of two arms, of proportions and of variances, and the correction for several of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincc

from dnntrain.statistics.descriptive import ROUNDING, deviation, mean, paired_differences
from dnntrain.statistics.distributions import Array, t_p


@dataclass(frozen=True)
class TTest:
    """An estimated difference with its standard error (both in the values' unit) and degrees of freedom."""

    difference: float
    se: float
    df: float

    @property
    def judgeable(self) -> bool:
        """Whether there is a variance to judge the difference by."""
        return 0 < self.se < math.inf

    @property
    def t(self) -> float:
        """The difference in standard errors; nan where there is no variance to judge it by."""
        return self.difference / self.se if self.judgeable else math.nan

    @property
    def p(self) -> float:
        """Two-sided, of this test alone; nan as t."""
        return t_p(self.t, self.df)


def one_sample_t(values: Sequence[float]) -> TTest:
    """Whether the mean differs from 0; se is nan below two values."""
    n = len(values)
    return TTest(mean(values), deviation(values) / math.sqrt(n) if n else math.nan, n - 1 if n > 1 else math.nan)


def paired_t(ours: Sequence[float], theirs: Sequence[float]) -> TTest:
    """The mean of the differences, pair by pair, df = n − 1 (Student 1908); ValueError for unequal lengths.

    Equal differences have se 0, also where only their rounding differs.
    """
    return one_sample_t(paired_differences(ours, theirs))


def welch_t(ours: Sequence[float], theirs: Sequence[float]) -> TTest:
    """The difference of the means where variances may differ, with Satterthwaite's df (Welch 1947).

    se is nan where either side has fewer than two values.
    """
    ours_part, theirs_part = (deviation(x) ** 2 / len(x) if x else math.nan for x in (ours, theirs))
    variance = ours_part + theirs_part
    difference = mean(ours) - mean(theirs)
    if not variance > 0:
        return TTest(difference, variance, math.nan)
    df = variance**2 / (ours_part**2 / (len(ours) - 1) + theirs_part**2 / (len(theirs) - 1))
    return TTest(difference, math.sqrt(variance), df)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p in the given order: the i-th smallest of m times m − i + 1, made monotone, at most 1 (Holm 1979).

    nan stays nan and is not counted: a test that could not be made cannot raise a false alarm.
    """
    adjusted, largest = [math.nan] * len(p_values), 0.0
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def fisher_exact(a: int, n: int, b: int, m: int) -> float:
    """Two-sided p that `a` of `n` and `b` of `m` have one rate (Fisher 1934, "Statistical methods", § 21.02).

    The sum, in whole numbers, over all tables with these margins that are no more probable than the one seen.
    ValueError for counts outside 0 to n and 0 to m.
    """
    if not (0 <= a <= n and 0 <= b <= m):
        raise ValueError(f"{a} of {n} and {b} of {m} are no counts")
    total = a + b
    ways = [math.comb(n, x) * math.comb(m, total - x) for x in range(max(0, total - m), min(n, total) + 1)]
    seen = math.comb(n, a) * math.comb(m, b)
    return sum(way for way in ways if way <= seen) / math.comb(n + m, total)


def residual_squares(table: Array) -> Array:
    """Each row's sum of squares after rows' and columns' means are taken out; the last axis is the column.

    Further axes in front are further tables. Residuals that are mere rounding of the table's values count as 0.
    """
    means = table.mean(-1, keepdims=True) + table.mean(-2, keepdims=True) - table.mean((-2, -1), keepdims=True)
    rounding = ROUNDING * np.abs(table).max((-2, -1), keepdims=True)
    residuals: Array = np.where(np.abs(table - means) > rounding, table - means, 0.0)
    squares: Array = np.einsum("...j,...j->...", residuals, residuals)
    return squares


def deviating_row(squares: Array, columns: int) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.intp]], Array]:
    """The row that varies most in a two-way layout, and p that it does so by chance, from its `residual_squares`.

    Under equal variances a row's share of all squares, times a/(a − 1) for a rows and n columns, is distributed as
    Beta((n−1)/2, (a−2)(n−1)/2): the F test of one row's variance against all others' (Russell and Bradley 1958,
    "One-way variances in a two-way classification", Biometrika 45), here for the largest of `a`, by Bonferroni. p is
    1 for two rows, which always vary alike. Further axes in front of the rows' are further tables.
    """
    rows, row, total = squares.shape[-1], squares.argmax(-1), squares.sum(-1)
    if rows < 3 or columns < 2:
        return row, np.ones(row.shape)
    share = np.divide(squares.max(-1), total, out=np.zeros(row.shape), where=total > 0) * rows / (rows - 1)
    tail = betaincc((columns - 1) / 2, (rows - 2) * (columns - 1) / 2, np.minimum(share, 1.0))
    return row, np.minimum(rows * tail, 1.0)
