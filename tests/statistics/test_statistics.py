"""The statistics against hand-computed values, published tables, scipy, and simulated studies."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from dnntrain.statistics import (
    MANY_SEEDS,
    ComparisonFamily,
    binomial_se,
    compare,
    correlation,
    deviating_row,
    deviation,
    dunnett_critical,
    dunnett_p,
    effects,
    fisher_exact,
    further_seeds,
    hedges_g,
    holm,
    mean,
    paired_interval,
    paired_t,
    solo_and_marginal,
    t_critical,
    t_interval,
    verdict,
    welch_t,
)
from dnntrain.statistics.significance import residual_squares
from tests.bench.error_rates import SCENARIOS, draw, judge

ELU = [0.871, 0.874, 0.869, 0.880, 0.872]
RELU = [0.866, 0.871, 0.868, 0.873, 0.870]

small = st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 3))
probabilities = st.floats(0, 1)


def by_seed(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values))


def study(values: np.ndarray, **options: object) -> ComparisonFamily:
    """The comparison of a table of arms × seeds; the first row is the baseline."""
    baseline, *arms = ({seed: float(value) for seed, value in enumerate(row)} for row in values)
    return compare(baseline, {f"arm {i}": arm for i, arm in enumerate(arms)}, **{"delta": 0.3, **options})  # type: ignore[arg-type]


# --- one arm, two arms -----------------------------------------------------------------------------------------------


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


def test_binomial_error() -> None:
    assert binomial_se(0.9, 10_000) == pytest.approx(0.003)
    with pytest.raises(ValueError, match="on 0 images"):
        binomial_se(0.9, 0)
    with pytest.raises(ValueError, match="of 90"):
        binomial_se(90, 100)


# --- several tests, proportions, variances ---------------------------------------------------------------------------


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm's own kind of example
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
    adjusted = holm([0.02, math.nan, 0.04])
    assert adjusted[0] == 0.04 and math.isnan(adjusted[1]) and adjusted[2] == 0.04


@settings(deadline=None)
@given(st.lists(probabilities, max_size=8))
def test_holm_lies_between_the_raw_p_and_bonferronis_and_keeps_their_order(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(raw <= new <= min(1, len(p) * raw) + 1e-12 for raw, new in zip(p, adjusted, strict=True))
    assert [adjusted[i] for i in np.argsort(p)] == sorted(adjusted)


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


def test_the_deviating_row_is_an_f_test_of_one_against_the_rest() -> None:
    values = np.random.default_rng(3).standard_normal((4, 6)) * [[1], [1], [5], [1]]
    squares = residual_squares(values)
    row, p = deviating_row(squares, 6)
    ours = squares[2] * 4 / 3
    f = (ours / 5) / ((squares.sum() - ours) / 10)
    assert row == 2 and p == pytest.approx(min(1, 4 * stats.f.sf(f, 5, 10)))


@pytest.mark.parametrize(("arms", "n"), [(3, 3), (6, 5)])
def test_the_test_of_variances_keeps_its_level(arms: int, n: int) -> None:
    _, p = deviating_row(residual_squares(draw(50_000, n, (1,) * arms, 0.0)), n)
    assert 0.15 <= np.mean(p < 0.2) <= 0.203  # Bonferroni's is a little strict
    assert np.mean(p < 0.01) == pytest.approx(0.01, abs=0.002)


def test_rounding_is_no_variance() -> None:
    seeds = np.array([0.1, 0.7, 0.3])
    assert not residual_squares(seeds + np.array([[0.1], [0.2], [0.4]])).any()
    assert deviating_row(np.zeros(3), 3)[1] == 1


# --- Dunnett's distribution ------------------------------------------------------------------------------------------

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


# --- the family: which method, and its numbers -----------------------------------------------------------------------

TABLE = np.array([[10.0, 12.0, 11.0], [13.0, 14.0, 15.0], [10.0, 13.0, 10.0]])


def test_blocked_dunnett_by_hand() -> None:
    # means 11, 14, 11; seeds' means 11, 13, 12; the residuals' squares sum to 4 with df 2 · 2: s² = 1, se = √(2/3)
    family = study(TABLE, delta=3.5)
    first, second = family.comparisons.values()
    assert family.method == "blocked Dunnett" and (family.k, family.df) == (2, 4)
    assert (first.difference, first.se) == pytest.approx((3, math.sqrt(2 / 3)))
    assert first.high - first.difference == pytest.approx(family.critical * first.se)
    assert first.p == pytest.approx(dunnett_p(3 / math.sqrt(2 / 3), 2, 4)) and first.p < 0.05
    assert (first.wins, second.wins, first.n) == (3, 1, 3)
    assert first.verdict == "better" and second.verdict == "equivalent"
    assert first.r == pytest.approx(0.5)


def test_pooling_is_the_two_way_analysis_of_variance() -> None:
    values = draw(1, 6, (1, 1, 1, 1), 0.0, seed=1)[0]
    blocks, arms = np.eye(6)[np.tile(range(6), 4)], np.eye(4)[np.repeat(range(4), 6)]
    design = np.hstack([blocks, arms[:, 1:]])
    (*_, arm1, _, _), squares, rank, _ = np.linalg.lstsq(design, values.ravel(), rcond=None)
    covariance = np.linalg.inv(design.T @ design) * squares[0] / (24 - rank)
    family = study(values)
    found = family.comparisons["arm 0"]
    assert family.method == "blocked Dunnett" and family.df == 24 - rank == 15
    assert (found.difference, found.se) == pytest.approx((arm1, math.sqrt(covariance[6, 6])))


def test_one_arm_is_the_paired_t_test() -> None:
    family = compare(by_seed(RELU), {"elu": by_seed(ELU)}, delta=0.003)
    expected = stats.ttest_rel(ELU, RELU)
    elu = family.comparisons["elu"]
    interval = expected.confidence_interval()
    assert (elu.p, elu.low, elu.high) == pytest.approx((expected.pvalue, interval.low, interval.high), abs=1e-6)
    assert family.method == "blocked Dunnett" and "paired t test" in family.reason


def test_a_clearly_larger_variance_turns_to_paired_t() -> None:
    family = study(draw(1, 10, (1, 1, 1, 1, 1, 8), 0.0)[0])
    assert family.method == "paired t with Holm" and "arm 4 varies most" in family.reason
    assert family.critical == pytest.approx(t_critical(1 - 0.05 / 5, 9)) and family.df == 9


def test_a_diverged_arm_turns_to_paired_t_over_the_shared_seeds() -> None:
    arms = {"elu": by_seed(ELU), "ill": {0: 0.85, 2: 0.86, 3: 0.84}}
    family = compare(by_seed(RELU), arms, diverged={"ill": 2, "elu": 0}, delta=0.003)
    assert family.method == "paired t with Holm" and "ill diverged" in family.reason
    elu, ill = family.comparisons["elu"], family.comparisons["ill"]
    raw = [stats.ttest_rel(ELU, RELU).pvalue, stats.ttest_rel([0.85, 0.86, 0.84], [RELU[i] for i in (0, 2, 3)]).pvalue]
    assert [elu.p, ill.p] == pytest.approx(holm(raw))
    assert (elu.n, ill.n) == (5, 3) and math.isnan(family.df)
    assert ill.high - ill.difference == pytest.approx(t_critical(0.975, 2) * ill.se)


def test_missing_seeds_turn_to_paired_t_and_strange_seeds_to_welch() -> None:
    family = compare(by_seed(RELU), {"elu": by_seed(ELU[:4])}, delta=0.003)
    assert family.method == "paired t with Holm" and "different seeds" in family.reason
    family = compare(by_seed(RELU), {"elu": {seed + 10: value for seed, value in enumerate(ELU)}}, delta=0.003)
    assert family.method == "Welch t with Holm" and "fewer than two seeds" in family.reason
    expected = stats.ttest_ind(ELU, RELU, equal_var=False)
    elu = family.comparisons["elu"]
    assert (elu.p, elu.df) == pytest.approx((expected.pvalue, expected.df))
    assert elu.wins is None and math.isnan(elu.r) and elu.n == 5


def test_one_seed_has_no_interval() -> None:
    family = compare({0: 0.8}, {"elu": {0: 0.9}, "lost": {}}, diverged={"lost": 1}, delta=0.003)
    elu, lost = family.comparisons["elu"], family.comparisons["lost"]
    assert family.method == "none" and family.k == 0 and math.isnan(family.smallest_detectable)
    assert elu.difference == pytest.approx(0.1) and math.isnan(elu.low) and math.isnan(elu.p)
    assert elu.verdict == "no uncertainty available" and "only one run" in elu.note and elu.further_seeds is None
    assert math.isnan(lost.difference) and lost.n == 0 and "no run" in lost.note
    assert compare({}, {}, delta=0.1).comparisons == {}
    assert compare({0: 1.0, 1: 2.0}, {"a": {}, "b": {7: 1.0}}, delta=0.1).method == "none"


def test_an_arm_with_one_run_does_not_take_the_others_pairing_or_power() -> None:
    arms = {"elu": by_seed(ELU), "lost": {3: 0.1}}
    family = compare(by_seed(RELU), arms, diverged={"lost": 4}, delta=0.003)
    assert family.method == "paired t with Holm" and family.k == 1
    assert family.comparisons["elu"].p == pytest.approx(stats.ttest_rel(ELU, RELU).pvalue)
    assert family.comparisons["lost"].difference == pytest.approx(0.1 - RELU[3])


def test_no_variance_gives_a_point_and_says_so() -> None:
    baseline = by_seed([0.84, 0.85, 0.86])
    arms = {"same": dict(baseline), "more": by_seed([0.85, 0.86, 0.87])}
    family = compare(baseline, arms, delta=0.003)
    same, more = family.comparisons["same"], family.comparisons["more"]
    assert family.k == 0 and math.isnan(family.critical)
    assert (same.low, same.high) == (0, 0) and "as good as the baseline" in same.note
    assert more.low == more.high == pytest.approx(0.01) and "same difference at every seed" in more.note
    assert more.verdict == "no uncertainty available" and math.isnan(more.p)
    with_noise = compare(baseline, {**arms, "elu": by_seed(ELU[:3])}, delta=0.003)
    assert with_noise.method == "paired t with Holm" and with_noise.k == 1
    apart = compare({0: 1.0, 1: 1.0}, {"a": {5: 2.0, 6: 2.0}}, delta=0.1).comparisons["a"]
    assert (apart.low, apart.high) == (1, 1) and apart.note


def test_infinite_losses_do_not_raise() -> None:
    arms = {"elu": by_seed(ELU), "wild": by_seed([math.inf, -math.inf, 0.8, 0.8, math.nan])}
    family = compare(by_seed(RELU), arms, delta=0.003)
    assert family.method == "paired t with Holm" and "not finite" in family.reason
    assert "not finite" in family.comparisons["wild"].note and family.comparisons["elu"].p < 1


def test_a_negative_delta_is_refused() -> None:
    with pytest.raises(ValueError, match="delta"):
        compare({}, {}, delta=-1)


@settings(deadline=None)
@given(st.integers(2, 5), st.integers(2, 6), st.data())
def test_any_table_of_numbers_can_be_compared(arms: int, n: int, data: st.DataObject) -> None:
    values = np.array(data.draw(st.lists(st.lists(small, min_size=n, max_size=n), min_size=arms, max_size=arms)))
    for comparison in study(values).comparisons.values():
        assert not comparison.low > comparison.high
        if math.isnan(comparison.p):
            assert comparison.note and comparison.verdict == "no uncertainty available"
        else:
            assert comparison.low < comparison.difference < comparison.high and not comparison.note


def test_seeds_and_units_do_not_matter() -> None:
    """Adding to every arm what a seed adds changes nothing; percent instead of shares changes only the unit."""
    values = draw(1, 5, (1, 1, 1), 1.0)[0]
    plain, shifted, scaled = study(values), study(values + np.arange(5)), study(100 * values, delta=30)
    for name, comparison in plain.comparisons.items():
        assert shifted.comparisons[name].p == pytest.approx(comparison.p)
        assert scaled.comparisons[name].low == pytest.approx(100 * comparison.low)
        assert scaled.comparisons[name].verdict == comparison.verdict
        assert scaled.comparisons[name].further_seeds == comparison.further_seeds
        assert scaled.comparisons[name].g == pytest.approx(comparison.g)


def test_the_smallest_detectable_effect_is_detected_in_four_of_five_studies() -> None:
    for n in (3, 10):
        family = study(draw(1, n, (1,) * 6, 0.0, seed=1)[0])
        assert family.method == "blocked Dunnett"
        effect = family.smallest_detectable / family.comparisons["arm 0"].se * math.sqrt(2 / n)  # the true se
        power = judge(draw(20_000, n, (1,) * 6, effect), effect)["Dunnett"].power()
        assert power == pytest.approx(0.8, abs=0.01)


# --- the verdict, and what would settle it ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "higher", "lower"),
    [
        (0.1, 0.9, "better", "worse"),
        (0.4, 0.9, "better", "worse"),
        (-0.9, -0.1, "worse", "better"),
        (0.1, 0.2, "better, but within ±δ", "worse, but within ±δ"),
        (-0.2, -0.1, "worse, but within ±δ", "better, but within ±δ"),
        (-0.2, 0.2, "equivalent", "equivalent"),
        (0.0, 0.2, "equivalent", "equivalent"),
        (-0.3, 0.2, "inconclusive", "inconclusive"),
        (-0.2, 0.9, "inconclusive", "inconclusive"),
        (math.nan, math.nan, "no uncertainty available", "no uncertainty available"),
    ],
)
def test_verdict(low: float, high: float, higher: str, lower: str) -> None:
    assert verdict(low, high, 0.3) == higher
    assert verdict(low, high, 0.3, higher_is_better=False) == lower


def test_direction_turns_wins_and_verdict_but_not_the_difference() -> None:
    up, down = study(TABLE, delta=1.0), study(TABLE, delta=1.0, higher_is_better=False)
    ours, theirs = up.comparisons["arm 0"], down.comparisons["arm 0"]
    assert (ours.verdict, theirs.verdict) == ("better", "worse") and (ours.wins, theirs.wins) == (3, 0)
    assert ours.difference == theirs.difference


def test_further_seeds_is_the_smallest_number_that_does() -> None:
    def half_width(m: int) -> float:
        return t_critical(0.95, m - 1) * 1.0 / math.sqrt(m)  # sd 1

    more = further_seeds(5, 1 / math.sqrt(5), 4, 0.3, lambda df: t_critical(0.95, df))
    assert half_width(5 + more) <= 0.3 < half_width(5 + more - 1)
    assert further_seeds(5, 1 / math.sqrt(5), 4, 9.0, lambda df: t_critical(0.95, df)) == 0
    assert further_seeds(5, 1.0, 4, 0.0, lambda df: t_critical(0.95, df)) == MANY_SEEDS + 1
    with pytest.raises(ValueError, match="below two"):
        further_seeds(1, 1.0, 1, 0.3, lambda df: 2.0)


def test_the_further_seeds_settle_the_verdict_if_nothing_else_changes() -> None:
    open_verdicts = 0
    for seed in range(10):
        family = study(draw(1, 5, (1,) * 4, 0.3, seed=seed)[0], delta=1.0)
        for found in family.comparisons.values():
            assert (found.further_seeds == 0) == (found.verdict != "inconclusive")
            if found.verdict == "inconclusive" and family.method == "blocked Dunnett":
                open_verdicts += 1
                m = 5 + (found.further_seeds or 0)
                margin = dunnett_critical(0.95, 3, 3 * (m - 1)) * found.se * math.sqrt(5 / m)
                said = verdict(found.difference - margin, found.difference + margin, 1.0)
                assert said != "inconclusive"
    assert open_verdicts > 5


# --- crossed techniques ----------------------------------------------------------------------------------------------


def crossed() -> tuple[dict[str, dict[str, str]], dict[str, dict[int, float]]]:
    """y = 10 + 2 bn + 4 elu + 6 bn·elu + seed, and a little that is the seed's and the arm's own."""
    random = np.random.default_rng(0)
    levels, values = {}, {}
    for bn, elu in product((0, 1), repeat=2):
        name = f"bn{bn} elu{elu}"
        levels[name] = {"bn": ("off", "on")[bn], "activation": ("relu", "elu")[elu]}
        values[name] = {s: 10 + 2 * bn + 4 * elu + 6 * bn * elu + s + 0.01 * random.standard_normal() for s in range(5)}
    return levels, values


def test_effects_of_a_crossed_design() -> None:
    found = {effect.name: effect for effect in effects(*crossed())}
    assert list(found) == ["bn=on", "activation=elu", "bn=on × activation=elu"]
    assert found["bn=on"].interval.mean == pytest.approx(5, abs=0.03)  # 2 alone, 8 with elu
    assert found["activation=elu"].interval.mean == pytest.approx(7, abs=0.03)  # 4 and 10
    assert found["bn=on × activation=elu"].interval.mean == pytest.approx(3, abs=0.03)  # half of 8 − 2
    assert all(effect.n == 5 and effect.arms == 4 and effect.p < 0.001 for effect in found.values())
    assert found["bn=on"].references == ("off",)


def test_an_effect_is_the_t_test_of_its_contrast() -> None:
    levels, values = crossed()
    effect = effects(levels, values)[0]
    table = {name: np.array(list(by.values())) for name, by in values.items()}
    contrast = (table["bn1 elu0"] + table["bn1 elu1"] - table["bn0 elu0"] - table["bn0 elu1"]) / 2
    expected = stats.ttest_1samp(contrast, 0)
    assert (effect.interval.low, effect.interval.high) == pytest.approx(tuple(expected.confidence_interval()))
    raw = [stats.ttest_1samp(contrast, 0).pvalue]
    assert effect.p >= raw[0]


def test_more_than_two_levels_are_each_compared_with_the_first() -> None:
    levels = {f"{a}{b}": {"lr": a, "bn": b} for a in ("low", "mid", "high") for b in ("off", "on")}
    height = {"low": 0, "mid": 1, "high": 5, "off": 0, "on": 10}
    values = {name: {0: height[at["lr"]] + height[at["bn"]]} for name, at in levels.items()}
    found = {effect.name: effect.interval.mean for effect in effects(levels, values)}
    expected = {"lr=mid": 1, "lr=high": 5, "bn=on": 10, "lr=mid × bn=on": 0, "lr=high × bn=on": 0}
    assert found == pytest.approx(expected)
    assert all(math.isnan(effect.p) for effect in effects(levels, values))  # one seed


def test_effects_with_gaps() -> None:
    levels, values = crossed()
    del values["bn1 elu1"][3]  # diverged
    assert {effect.n for effect in effects(levels, values)} == {4}
    del levels["bn1 elu1"]  # not planned: main effects from what is left, no interaction
    main, other, interaction = effects(levels, values)
    assert main.arms == other.arms == 2 and main.interval.mean == pytest.approx(2, abs=0.03)
    assert interaction.arms == interaction.n == 0 and math.isnan(interaction.interval.mean)


def test_effects_of_equal_runs_are_not_judged_by_rounding() -> None:
    levels, values = crossed()
    equal = {name: {seed: 0.1 * seed + 0.7 for seed in by} for name, by in values.items()}
    assert all(effect.interval.mean == 0 and math.isnan(effect.p) for effect in effects(levels, equal))


def test_effects_refuse_unlike_arms() -> None:
    with pytest.raises(ValueError, match="factors"):
        effects({"a": {"x": "1"}, "b": {"y": "1"}}, {})
    with pytest.raises(ValueError, match="same levels"):
        effects({"a": {"x": "1"}, "b": {"x": "1"}}, {})
    assert effects({}, {}) == []


def test_solo_gain_beside_marginal_loss() -> None:
    noise = np.random.default_rng(1).standard_normal((8, 5)) * 0.01
    base, everything = ({s: level + s + noise[i, s] for s in range(5)} for i, level in enumerate((10.0, 20.0)))
    alone = {"bn": 5.0, "elu": 1.0, "dropout": 2.0}
    without = {"bn": 19.0, "elu": 15.0, "dropout": 18.0}
    one_in = {
        name: {s: 10 + gain + s + noise[2 + i, s] for s in range(5)} for i, (name, gain) in enumerate(alone.items())
    }
    one_out = {
        name: {s: level + s + noise[5 + i, s] for s in range(5)} for i, (name, level) in enumerate(without.items())
    }
    found = solo_and_marginal(base, everything, one_in, {**one_out, "other": {}})
    assert {name: each.reading for name, each in found.items()} == {
        "bn": "redundant",
        "elu": "synergistic",
        "dropout": "additive",
    }
    bn = found["bn"]
    assert (bn.solo.mean, bn.marginal.mean, bn.gap.mean) == pytest.approx((5, 1, -4), abs=0.05) and bn.n == 5
    gaps = [everything[s] - one_out["bn"][s] - one_in["bn"][s] + base[s] for s in range(5)]
    low, high = stats.ttest_1samp(gaps, 0).confidence_interval(1 - 0.05 / 3)
    assert (bn.gap.low, bn.gap.high) == pytest.approx((low, high))
    losses = solo_and_marginal(base, everything, one_in, one_out, higher_is_better=False)
    assert losses["bn"].solo.mean == pytest.approx(-bn.solo.mean) and losses["bn"].reading == "synergistic"


def test_solo_and_marginal_of_one_seed_or_none() -> None:
    found = solo_and_marginal({0: 1.0}, {0: 3.0}, {"bn": {0: 2.0}, "elu": {}}, {"bn": {0: 2.5}, "elu": {0: 1.0}})
    assert found["bn"].gap.mean == -0.5 and found["bn"].reading == "no uncertainty available"
    assert found["elu"].n == 0 and math.isnan(found["elu"].solo.mean)


# --- simulated studies -----------------------------------------------------------------------------------------------

STUDIES = 20_000
SLACK = 0.004
"""2.6 standard errors of a share of 5 % in so many studies."""


@pytest.mark.parametrize("n", [3, 5, 10])
def test_equal_variances_keep_coverage_and_family_wise_error(n: int) -> None:
    judged = judge(draw(STUDIES, n, SCENARIOS["equal variances"], 0.0))
    for name, each in judged.items():
        assert 0.93 <= each.coverage() <= 0.97, name
        assert each.false_alarms(0.0) <= 0.06, name
    assert judged["Dunnett"].coverage() == pytest.approx(0.95, abs=SLACK)


@pytest.mark.parametrize(("n", "remains"), [(3, 0.11), (5, 0.07), (10, 0.052)])
@pytest.mark.parametrize("scenario", ["one arm of 4 SD", "baseline of 4 SD", "ten arms, one 4 SD"])
def test_a_wild_arm_leaves_the_fallback_its_error_and_is_mostly_recognised(
    scenario: str, n: int, remains: float
) -> None:
    judged = judge(draw(STUDIES, n, SCENARIOS[scenario], 0.0))
    assert judged["Holm"].false_alarms(0.0) <= 0.06
    assert judged["Holm"].coverage() >= 0.94
    assert judged["Dunnett"].false_alarms(0.0) > 0.1  # what it is guarded against
    assert judged["chosen"].false_alarms(0.0) <= remains + SLACK


@pytest.mark.parametrize(
    ("n", "dunnett", "fallback", "chosen"), [(3, 0.35, 0.07, 0.30), (5, 0.66, 0.28, 0.60), (10, 0.96, 0.85, 0.94)]
)
def test_power_at_two_deviations(n: int, dunnett: float, fallback: float, chosen: float) -> None:
    judged = judge(draw(STUDIES, n, SCENARIOS["equal variances"], 2.0), 2.0)
    assert [each.power() for each in judged.values()] == pytest.approx([dunnett, fallback, chosen], abs=0.015)
    assert all(each.false_alarms(2.0) <= 0.06 for each in judged.values())


@pytest.mark.parametrize("scenario", ["equal variances", "one arm of 4 SD"])
def test_the_simulation_judges_as_compare_does(scenario: str) -> None:
    values = draw(60, 5, SCENARIOS[scenario], 2.0)
    judged = judge(values, 2.0)["chosen"]
    truth = [2.0, 0, 0, 0, 0]
    methods = set()
    for table, rejected, covered in zip(values, judged.rejected, judged.covered, strict=True):
        family = study(table)
        methods.add(family.method)
        found = family.comparisons.values()
        assert [each.p < 0.05 for each in found] == list(rejected)
        assert [each.low <= true <= each.high for each, true in zip(found, truth, strict=True)] == list(covered)
    assert methods == {"blocked Dunnett", "paired t with Holm"}


def test_the_statistics_import_neither_torch_nor_scipys_statistics() -> None:
    program = "import sys, dnntrain.statistics; print(*{'torch', 'scipy.stats'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"
