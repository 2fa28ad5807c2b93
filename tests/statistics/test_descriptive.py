"""Summaries of one arm, tests of two arms, rates, and single runs, against hand-computed values and scipy."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from dnntrain.statistics import (
    correlation,
    deviation,
    fisher_exact,
    hedges_g,
    mean,
    paired_interval,
    paired_t,
    t_interval,
    welch_t,
)
from tests.statistics.tables import ELU, RELU


def test_descriptions_of_nothing_one_and_equal_values() -> None:
    assert math.isnan(mean([])) and math.isnan(deviation([1.0])) and math.isnan(t_interval([1.0]).low)
    assert deviation([0.1] * 3) == 0
    assert t_interval([0.1] * 3).low == t_interval([0.1] * 3).high
    assert paired_interval({1: 0.5}, {2: 0.5}) is None


def test_t_interval_is_scipys() -> None:
    expected = stats.ttest_1samp(ELU, 0).confidence_interval(0.95)
    assert (t_interval(ELU).low, t_interval(ELU).high) == pytest.approx(tuple(expected), abs=1e-12)


def test_paired_t_by_hand_and_by_scipy() -> None:
    test = paired_t([3.0, 5.0, 7.0], [2.0, 3.0, 4.0])  # differences 1, 2, 3: mean 2, sd 1
    assert (test.difference, test.se, test.df) == (2.0, pytest.approx(1 / math.sqrt(3)), 2)
    test, expected = paired_t(ELU, RELU), stats.ttest_rel(ELU, RELU)
    assert (test.t, test.p) == pytest.approx((expected.statistic, expected.pvalue))
    with pytest.raises(ValueError, match="shorter"):
        paired_t([1.0], [])


def test_a_constant_difference_is_not_judged_by_its_rounding() -> None:
    test = paired_t([0.85, 0.86, 0.87], [0.84, 0.85, 0.86])  # differ in the last bits
    assert test.se == 0 and math.isnan(test.p)


def test_welch_t_is_scipys() -> None:
    test, expected = welch_t(ELU, RELU[:3]), stats.ttest_ind(ELU, RELU[:3], equal_var=False)
    assert (test.t, test.df, test.p) == pytest.approx((expected.statistic, expected.df, expected.pvalue))
    assert math.isnan(welch_t(ELU, [1.0]).p)
    assert welch_t([2.0, 2.0], [1.0, 1.0]).se == 0


def test_correlation() -> None:
    assert correlation(ELU, RELU) == pytest.approx(stats.pearsonr(ELU, RELU).statistic)
    assert math.isnan(correlation([1.0, 2.0], [1.0, 3.0])) and math.isnan(correlation([1.0] * 3, [1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match="needs pairs"):
        correlation([1.0], [])


def test_hedges_g() -> None:
    # by hand: means differ by 2, both variances 1, m = 4: J = Γ(2) / (√2 Γ(1.5)) = 0.797885
    assert hedges_g([3.0, 4.0, 5.0], [1.0, 2.0, 3.0]) == pytest.approx(2 * 0.7978845608)
    assert hedges_g([5.0, 6.0, 9.0], [1.0, 2.0]) == -hedges_g([1.0, 2.0], [5.0, 6.0, 9.0])
    assert math.isnan(hedges_g([1.0], [2.0])) and math.isnan(hedges_g([1.0, 1.0], [2.0, 2.0]))
    assert math.isnan(hedges_g([], [1.0, 2.0, 3.0]))


def test_hedges_g_is_unbiased() -> None:
    random = np.random.default_rng(0)
    ours, theirs = random.standard_normal((2, 5000, 5))
    found = [hedges_g(list(x + 1), list(y)) for x, y in zip(ours, theirs, strict=True)]
    assert np.mean(found) == pytest.approx(1, abs=0.04)


def test_fisher_exact_is_scipys() -> None:
    assert fisher_exact(3, 3, 0, 3) == pytest.approx(0.1)  # 2 of the 20 ways to choose 3 of 6
    for n, m in ((3, 3), (5, 5), (5, 10), (10, 3)):
        for a, b in product(range(n + 1), range(m + 1)):
            expected = stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue
            assert fisher_exact(a, n, b, m) == pytest.approx(expected), (a, n, b, m)
    assert fisher_exact(0, 0, 0, 0) == 1
    assert 0 < fisher_exact(400, 1000, 300, 1000) < 1e-5
    with pytest.raises(ValueError, match="no counts"):
        fisher_exact(4, 3, 0, 3)
