"""Dunnett's distribution and the studentized range against published tables, scipy, and integrals."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from dnntrain.statistics import dunnett_critical, dunnett_p, t_critical
from dnntrain.statistics.distributions import (
    detectable,
    studentized_range_critical,
    studentized_range_p,
    tail_level,
)

PUBLISHED = {  # Dunnett (1964), Biometrics 20, two-sided: (level, df) → k = 1 … 9
    (0.95, 5): (2.57, 3.03, 3.29, 3.48, 3.62, 3.73, 3.82, 3.90, 3.97),
    (0.95, 10): (2.23, 2.57, 2.76, 2.89, 2.99, 3.07, 3.14, 3.19, 3.24),
    (0.95, 20): (2.09, 2.38, 2.54, 2.65, 2.73, 2.80, 2.86, 2.90, 2.95),
    (0.95, math.inf): (1.96, 2.21, 2.35, 2.44, 2.51, 2.57, 2.61, 2.65, 2.69),
    (0.99, 10): (3.17, 3.53, 3.74, 3.88, 3.99, 4.08, 4.16, 4.22, 4.28),
}


@pytest.mark.parametrize(("level", "df"), PUBLISHED)
def test_dunnetts_published_tables(level: float, df: float) -> None:
    for k, published in enumerate(PUBLISHED[level, df], start=1):
        assert dunnett_critical(level, k, df) == pytest.approx(published, abs=0.0101), k


@pytest.mark.parametrize("df", [1, 2, 4, 20, 300, 1e6])
@pytest.mark.parametrize("t", [0.0, 0.5, 2.0, 5.0, 60.0])
def test_one_arm_is_students_t(t: float, df: float) -> None:
    assert dunnett_p(t, 1, df) == pytest.approx(2 * stats.t.sf(t, df), abs=1e-6)
    assert dunnett_critical(0.95, 1, df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-9)


@pytest.mark.parametrize(("k", "df", "t"), [(2, 4, 3.0), (5, 20, 2.7), (5, 1, 8.0), (20, 60, 1.5), (200, 400, 3.4)])
def test_dunnett_p_is_the_double_integral(k: int, df: float, t: float) -> None:
    def within(z: float, s: float) -> float:
        reach = math.sqrt(2) * t * s
        return float((special.ndtr(z + reach) - special.ndtr(z - reach)) ** k * stats.norm.pdf(z))

    chi = stats.chi(df, scale=1 / math.sqrt(df))
    points, weights = np.polynomial.legendre.leggauss(200)  # over the quantiles of s, apart from our own rule
    scales = chi.ppf((points + 1) / 2)
    inner = [2 * integrate.quad(within, 0, 9, args=(s,), epsabs=1e-9)[0] for s in scales]
    tolerance = 1e-6 if df > 1 else 3e-6  # of the reference, whose integrand has an edge at s = 0
    assert dunnett_p(t, k, df) == pytest.approx(1 - float(weights @ inner) / 2, abs=tolerance)


def test_dunnett_p_is_scipys() -> None:
    values = np.random.default_rng(5).normal([[0], [1], [0.5], [2]], 1, (4, 6))
    expected = stats.dunnett(*values[1:], control=values[0], random_state=0)  # one-way: df = 24 − 4
    ours = [dunnett_p(t, 3, 20) for t in expected.statistic]
    assert ours == pytest.approx(list(expected.pvalue), abs=1e-3)  # its integral is random
    shape = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    multivariate = stats.multivariate_t(shape=shape, df=8, seed=0)
    inside = multivariate.cdf(np.full(3, 2.2), lower_limit=np.full(3, -2.2), random_state=0)
    assert dunnett_p(2.2, 3, 8) == pytest.approx(1 - inside, abs=1e-3)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 300), st.floats(1, 1000), st.floats(0.5, 0.999))
def test_dunnetts_quantile_inverts_its_p_and_lies_below_bonferronis(k: int, df: float, level: float) -> None:
    critical = dunnett_critical(level, k, df)
    assert dunnett_p(critical, k, df) == pytest.approx(1 - level, abs=1e-6)
    assert dunnett_p(-critical, k, df) == dunnett_p(critical, k, df)
    assert t_critical(level, df) * (1 - 1e-6) <= critical <= t_critical(1 - (1 - level) / k, df) * (1 + 1e-6)


def test_dunnetts_distribution_is_fast() -> None:
    start = time.perf_counter()
    for df in range(100, 130):
        dunnett_critical(0.95, 7, df)
    assert (time.perf_counter() - start) / 30 < 0.02  # 2 ms on a free core


def test_dunnett_refuses_nonsense() -> None:
    for k, df in ((0, 5), (3, 0), (3, math.nan)):
        with pytest.raises(ValueError, match="no Dunnett distribution"):
            dunnett_p(2.0, k, df)
    with pytest.raises(ValueError, match="a level"):
        dunnett_critical(1.0, 3, 5)
    assert math.isnan(dunnett_p(math.nan, 3, 5))


ONE_SIDED = {  # Dunnett (1955), JASA 50, one-sided, level .95: df → k = 2 … 9
    10: (2.15, 2.34, 2.47, 2.56, 2.64, 2.70, 2.76, 2.81),
    20: (2.03, 2.19, 2.30, 2.39, 2.46, 2.51, 2.56, 2.60),
    math.inf: (1.92, 2.06, 2.16, 2.23, 2.29, 2.34, 2.38, 2.42),
}


@pytest.mark.parametrize("df", ONE_SIDED)
def test_the_two_sided_value_at_90_percent_is_the_one_sided_one_at_95(df: float) -> None:
    """The best set and equivalence use it so."""
    for k, published in enumerate(ONE_SIDED[df], start=2):
        assert dunnett_critical(0.9, k, df) == pytest.approx(published, abs=0.0101), k


PUBLISHED_RANGES = {  # upper 5 % points of the studentized range, e.g. Pearson and Hartley, table 29: df → 2 … 6 groups
    5: (3.64, 4.60, 5.22, 5.67, 6.03),
    10: (3.15, 3.88, 4.33, 4.65, 4.91),
    20: (2.95, 3.58, 3.96, 4.23, 4.45),
    math.inf: (2.77, 3.31, 3.63, 3.86, 4.03),
}


@pytest.mark.parametrize("df", PUBLISHED_RANGES)
def test_published_studentized_ranges(df: float) -> None:
    for groups, published in enumerate(PUBLISHED_RANGES[df], start=2):
        assert studentized_range_critical(0.95, groups, df) == pytest.approx(published, abs=0.0101), groups


@pytest.mark.parametrize(
    ("q", "groups", "df"), [(3.5, 3, 10), (4, 6, 20), (5, 30, 116), (20, 3, 2), (3, 5, 8), (12, 5, 1), (0.5, 4, 9)]
)
def test_the_studentized_range_is_scipys(q: float, groups: int, df: float) -> None:
    assert studentized_range_p(q, groups, df) == pytest.approx(stats.studentized_range.sf(q, groups, df), abs=1e-7)


def test_the_studentized_range_of_two_groups_is_students_t() -> None:
    for t in (0.3, 2.0, 6.0):
        assert studentized_range_p(math.sqrt(2) * t, 2, 7) == pytest.approx(2 * stats.t.sf(t, 7), abs=1e-7)
    assert studentized_range_critical(0.95, 2, 7) == pytest.approx(math.sqrt(2) * stats.t.ppf(0.975, 7), rel=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 60), st.floats(1, 500), st.floats(0.5, 0.999))
def test_the_ranges_quantile_inverts_its_p(groups: int, df: float, level: float) -> None:
    assert studentized_range_p(studentized_range_critical(level, groups, df), groups, df) == pytest.approx(
        1 - level, abs=1e-6
    )


def test_the_range_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="no studentized range"):
        studentized_range_p(2.0, 1, 5)
    with pytest.raises(ValueError, match="a level"):
        studentized_range_critical(0.0, 3, 5)
    assert math.isnan(studentized_range_p(math.nan, 3, 5))


def test_the_tail_of_a_family() -> None:
    assert tail_level(3, 5, 0.95) == pytest.approx(0.01993166, abs=5e-6)
    assert tail_level(1, 5, 0.95) == pytest.approx(0.05, abs=1e-7)
    assert 0.05 / 6 < tail_level(3, 5, 0.95, pairwise=True) < tail_level(3, 5, 0.95)  # 6 pairs of 4 arms
    assert tail_level(1, 5, 0.95, pairwise=True) == pytest.approx(0.05, abs=1e-6)


def test_the_detectable_effect_has_its_power() -> None:
    for df, critical in ((4.0, 3.2), (19.7, 2.1), (1.5, 12.0)):
        effect = detectable(critical, df, 0.8)
        assert stats.nct.sf(critical, df, effect) == pytest.approx(0.8, abs=1e-6)
