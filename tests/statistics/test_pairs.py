"""All pairs of arms."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dnntrain.statistics import compare, compare_pairs
from dnntrain.statistics.moderation import moderate
from tests.statistics.tables import ELU, RELU, STUDY, at_most, by_seed, normal, table

small = st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 3))


def test_two_arms_are_the_paired_t_test() -> None:
    (pair,) = compare_pairs({"relu": by_seed(RELU), "elu": by_seed(ELU)}, delta=0.003, higher_is_better=True)
    expected = stats.ttest_rel(ELU, RELU)
    interval = expected.confidence_interval()
    assert (pair.arm, pair.other) == ("elu", "relu")
    found = pair.comparison
    assert (found.p, found.low, found.high) == pytest.approx((expected.pvalue, interval.low, interval.high), abs=1e-6)


def test_each_pair_keeps_the_larger_error_and_tukeys_p() -> None:
    values = np.array([STUDY[name] for name in STUDY])
    pairs = compare_pairs(table(STUDY), delta=3, higher_is_better=True)
    assert [(pair.other, pair.arm) for pair in pairs] == list(combinations(STUDY, 2))
    for pair, (i, j) in zip(pairs, combinations(range(4), 2), strict=True):
        errors = []
        for baseline, arm in ((i, j), (j, i)):
            others = [row for row in range(4) if row != baseline]
            found = moderate(values[others] - values[baseline])
            at = others.index(arm)
            errors.append((found.se[at], found.df[at]))
        se, df = max(errors, key=lambda each: (round(each[0], 9), -each[1]))
        assert (pair.comparison.se, pair.comparison.df) == pytest.approx((se, df))
        assert pair.comparison.difference == pytest.approx(values[j].mean() - values[i].mean())
        t = -stats.t.ppf(stats.t.sf(abs(pair.comparison.difference) / se, df), 12)
        assert pair.comparison.p == pytest.approx(stats.studentized_range.sf(math.sqrt(2) * t, 4, 12), abs=1e-6)


def test_equal_variances_give_tukeys_test() -> None:
    """Where the pool is fully trusted for a pair, its p is that of a two-way layout with Tukey's range."""
    for seed in range(50):
        values = normal(1, 8, (1, 1, 1), effect=1.0, seed=seed)[0]
        residuals = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
        se = math.sqrt(2 * (residuals**2).sum() / 14 / 8)
        pairs = compare_pairs({str(i): by_seed(row) for i, row in enumerate(values)}, delta=1, higher_is_better=True)
        exact = [pair.comparison for pair in pairs if pair.comparison.pooling == 1]
        for each in exact:
            t = abs(each.difference) / se
            assert each.p == pytest.approx(stats.studentized_range.sf(math.sqrt(2) * t, 3, 14), abs=0.08)
        if exact:
            return
    pytest.fail("no pair with a fully trusted pool")


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 5), st.integers(3, 6), st.data())
def test_p_agrees_with_the_interval(arms: int, n: int, data: st.DataObject) -> None:
    rows = st.lists(small, min_size=n, max_size=n)
    values = data.draw(st.lists(rows, min_size=arms, max_size=arms))
    pairs = compare_pairs({str(i): by_seed(row) for i, row in enumerate(values)}, delta=1, higher_is_better=True)
    assert len(pairs) == arms * (arms - 1) / 2
    for found in (pair.comparison for pair in pairs):
        if math.isnan(found.p):
            assert found.verdict in ("same difference at every seed", "equal at every seed")
        elif abs(found.p - 0.05) > 1e-6:
            assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


def test_the_direction_and_the_order_of_a_pair() -> None:
    up, down = (compare_pairs(table(STUDY), delta=3, higher_is_better=higher)[0] for higher in (True, False))
    assert (up.other, up.arm, up.comparison.verdict) == ("base", "a", "better")
    assert down.comparison.verdict == "worse"
    turned = compare_pairs(
        table({name: STUDY[name] for name in ("a", "base", "b", "c")}), delta=3, higher_is_better=True
    )
    assert turned[0].comparison.low == pytest.approx(-up.comparison.high)


def test_pairs_are_wider_than_comparisons_with_one_baseline() -> None:
    pairs = {
        (pair.other, pair.arm): pair.comparison for pair in compare_pairs(table(STUDY), delta=3, higher_is_better=True)
    }
    family = compare(by_seed(STUDY["base"]), table({name: STUDY[name] for name in "abc"}), delta=3)
    for name, each in family.comparisons.items():
        assert pairs["base", name].high - pairs["base", name].low > each.high - each.low


def test_incomplete_arms_and_few_seeds() -> None:
    values = table(STUDY)
    values["b"] = {s: values["b"][s] for s in (0, 1, 2, 3)}
    values["one"] = {0: 70.0}
    values["none"] = {}
    found = {(pair.other, pair.arm): pair.comparison for pair in compare_pairs(values, delta=3, higher_is_better=True)}
    assert found["a", "b"].n == 4 and math.isfinite(found["a", "b"].low)
    assert found["base", "one"].verdict == "one seed: no interval"
    assert found["one", "none"].verdict == "no run to compare"
    assert compare_pairs({}, delta=1, higher_is_better=True) == []
    with pytest.raises(ValueError, match="delta"):
        compare_pairs(values, delta=-1, higher_is_better=True)


STUDIES = 400


@pytest.mark.parametrize("deviations", [(1, 1, 1), (1, 1, 1, 4), (1, 2, 3)])
def test_the_family_wise_error_over_all_pairs(deviations: tuple[float, ...]) -> None:
    wrong = 0
    for values in normal(STUDIES, 5, deviations, seed=9):
        pairs = compare_pairs({str(i): by_seed(row) for i, row in enumerate(values)}, delta=1, higher_is_better=True)
        wrong += any(pair.comparison.p < 0.05 for pair in pairs)
    assert wrong / STUDIES <= at_most(0.06, STUDIES)
