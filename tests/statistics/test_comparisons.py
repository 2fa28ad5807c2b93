"""All arms against the baseline: the specification's example, the other methods, and the limits of what is judged."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dnntrain.statistics import METHODS, compare, dunnett_p, t_critical
from dnntrain.statistics.moderation import moderate, moderate_alone
from tests.statistics.tables import ELU, RELU, STUDY, by_seed, normal, study, table

ARMS = table({name: row for name, row in STUDY.items() if name != "base"})
BASE = by_seed(STUDY["base"])

small = st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 3))


def test_the_worked_example() -> None:
    """The specification's quadrature is off by 3e-6 in p, hence the tolerance."""
    family = compare(BASE, ARMS, delta=3)
    a, b, c = family.comparisons.values()
    assert (family.method, family.k, family.n) == ("moderated", 3, 5)
    assert (a.difference, a.low, a.high, a.p) == pytest.approx((3.2, 1.370697, 5.029303, 0.005733), abs=5e-5)
    assert a.p == pytest.approx(0.005733, abs=5e-6) and a.verdict == "better"
    assert a.smallest_detectable == pytest.approx(2.391171, abs=5e-5)
    assert (b.low, b.high) == pytest.approx((-1.794762, 1.794762), abs=5e-5) and b.verdict == "equivalent"
    assert b.p == pytest.approx(1) and b.p_equivalent == pytest.approx(0.003669, abs=5e-6)
    assert (c.low, c.high) == pytest.approx((-17.679266, 19.679266), abs=5e-4)
    assert c.p == pytest.approx(0.994755, abs=5e-6) and c.verdict == "inconclusive"
    assert (a.wins, b.wins, c.wins) == (5, 2, 2) and a.n == 5
    assert c.pooling < 0.1 < a.pooling


def test_one_arm_is_the_paired_t_test_by_every_paired_method() -> None:
    expected = stats.ttest_rel(ELU, RELU)
    interval = expected.confidence_interval()
    for method in ("moderated", "paired", "dunnett"):
        elu = compare(by_seed(RELU), {"elu": by_seed(ELU)}, delta=0.003, method=method).comparisons["elu"]
        assert (elu.p, elu.low, elu.high) == pytest.approx((expected.pvalue, interval.low, interval.high), abs=1e-6)
        assert elu.df == 4


def test_two_one_sided_tests_by_hand() -> None:
    """One arm: equivalence is two t tests at 5 %, and the narrow interval is the 90 % one."""
    difference = np.array(ELU) - np.array(RELU)
    for delta in (0.004, 0.006, 0.01):
        elu = compare(by_seed(RELU), {"elu": by_seed(ELU)}, delta=delta).comparisons["elu"]
        above = stats.ttest_1samp(difference, -delta, alternative="greater").pvalue
        below = stats.ttest_1samp(difference, delta, alternative="less").pvalue
        assert elu.p_equivalent == pytest.approx(max(above, below), abs=1e-6) or elu.p_equivalent == 1
        narrow = stats.ttest_1samp(difference, 0).confidence_interval(0.9)
        assert (elu.narrow_low, elu.narrow_high) == pytest.approx((narrow.low, narrow.high), abs=1e-7)
        assert (elu.p_equivalent < 0.05) == ("within" in elu.verdict or elu.verdict == "equivalent")


def test_blocked_dunnett_by_hand() -> None:
    # means 11, 14, 11; seeds' means 11, 13, 12; the residuals' squares sum to 4 with df 2 · 2: s² = 1, se = √(2/3)
    values = np.array([[10.0, 12.0, 11.0], [13.0, 14.0, 15.0], [10.0, 13.0, 10.0]])
    first, second = study(values, delta=3.5, method="dunnett").comparisons.values()
    assert (first.difference, first.se, first.df) == pytest.approx((3, math.sqrt(2 / 3), 4))
    assert first.p == pytest.approx(dunnett_p(3 / math.sqrt(2 / 3), 2, 4)) and first.p < 0.05
    assert (first.wins, second.wins, first.n) == (3, 1, 3) and first.r == pytest.approx(0.5)


def test_pooling_by_dunnett_is_the_two_way_analysis_of_variance() -> None:
    values = normal(1, 6, (1, 1, 1, 1), seed=1)[0]
    blocks, arms = np.eye(6)[np.tile(range(6), 4)], np.eye(4)[np.repeat(range(4), 6)]
    design = np.hstack([blocks, arms[:, 1:]])
    (*_, arm1, _, _), squares, rank, _ = np.linalg.lstsq(design, values.ravel(), rcond=None)
    covariance = np.linalg.inv(design.T @ design) * squares[0] / (24 - rank)
    found = study(values, method="dunnett").comparisons["arm 0"]
    assert found.df == 24 - rank == 15
    assert (found.difference, found.se) == pytest.approx((arm1, math.sqrt(covariance[6, 6])))


def test_paired_and_welch_use_bonferroni() -> None:
    values = normal(1, 6, (1, 2, 3), seed=2)[0]
    for method, test in (
        ("paired", stats.ttest_rel),
        ("welch", lambda x, y: stats.ttest_ind(x, y, equal_var=False)),
    ):
        found = study(values, method=method).comparisons
        raw = [test(row, values[0]) for row in values[1:]]
        assert [each.p for each in found.values()] == pytest.approx([min(1, 2 * each.pvalue) for each in raw])
        for each, expected in zip(found.values(), raw, strict=True):
            interval = expected.confidence_interval(1 - 0.05 / 2)
            assert (each.low, each.high) == pytest.approx((interval.low, interval.high))


def test_welch_does_not_pair() -> None:
    family = compare(by_seed(RELU), {"elu": {s + 10: v for s, v in enumerate(ELU)}}, delta=0.003, method="welch")
    elu = family.comparisons["elu"]
    assert elu.wins is None and math.isnan(elu.r) and elu.n == 5 and family.k == 1


def test_without_correction_each_arm_has_its_own_level() -> None:
    family = compare(BASE, ARMS, delta=3, adjusted=False)
    a = family.comparisons["a"]
    assert a.critical == pytest.approx(t_critical(0.95, a.df)) and a.p < compare(BASE, ARMS, delta=3).comparisons["a"].p
    more = compare(BASE, ARMS, delta=3, k=12)
    assert more.k == 12 and more.comparisons["a"].p > compare(BASE, ARMS, delta=3).comparisons["a"].p


@settings(deadline=None, max_examples=150)
@given(st.integers(2, 6), st.integers(3, 6), st.sampled_from(METHODS), st.floats(0, 3), st.data())
def test_p_agrees_with_the_interval(arms: int, n: int, method: str, delta: float, data: st.DataObject) -> None:
    rows = st.lists(small, min_size=n, max_size=n)
    values = np.array(data.draw(st.lists(rows, min_size=arms, max_size=arms)))
    for each in study(values, delta=delta, method=method).comparisons.values():
        assert not each.low > each.high
        if math.isnan(each.p):
            assert each.note == each.verdict
            continue
        if abs(each.p - 0.05) > 1e-6:  # the precision of the critical value
            assert (each.p < 0.05) == (each.low > 0 or each.high < 0)
        assert each.low <= each.narrow_low <= each.difference <= each.narrow_high <= each.high
        if abs(each.p_equivalent - 0.05) > 1e-6 and each.p_equivalent > 0:
            assert (each.p_equivalent < 0.05) == (-delta < each.narrow_low and each.narrow_high < delta)


def test_an_incomplete_arm_costs_the_others_nothing() -> None:
    short = {seed: ARMS["b"][seed] for seed in (0, 1, 2)}
    family = compare(BASE, {"a": ARMS["a"], "c": ARMS["c"], "short": short}, delta=3)
    assert family.k == 3
    without = moderate(np.array([[ARMS[name][s] - BASE[s] for s in range(5)] for name in ("a", "c")]))
    found = family.comparisons
    assert (found["a"].se, found["c"].df) == pytest.approx((without.se[0], without.df[1]))
    alone = moderate_alone(np.array([short[s] - BASE[s] for s in short]), without.pool, judged=3)
    assert (found["short"].se, found["short"].df) == pytest.approx((alone.se[0], alone.df[0]))
    assert found["short"].n == 3 and found["short"].critical > found["a"].critical * 0.5


def test_without_two_complete_arms_there_is_no_pool() -> None:
    family = compare(BASE, {"a": ARMS["a"], "short": {s: ARMS["b"][s] for s in range(3)}}, delta=3)
    assert family.pool is None
    assert [each.df for each in family.comparisons.values()] == [4, 2]


def test_the_pool_of_an_earlier_look_judges_single_arms() -> None:
    pool = compare(BASE, ARMS, delta=3).pool
    later = compare({**BASE, 5: 73.0}, {"a": {**ARMS["a"], 5: 76.0}}, delta=3, k=3, pool=pool)
    alone = compare({**BASE, 5: 73.0}, {"a": {**ARMS["a"], 5: 76.0}}, delta=3, k=3)
    assert later.pool is pool and later.comparisons["a"].df != alone.comparisons["a"].df == 5


def test_seeds_that_the_baseline_lacks_do_not_count() -> None:
    extra = {**ARMS["a"], 9: 1000.0}
    assert compare(BASE, {"a": extra}, delta=3) == compare(BASE, {"a": ARMS["a"]}, delta=3)


def test_few_seeds_get_no_verdict() -> None:
    arms = {"one": {0: 0.9}, "two": {0: 0.9, 1: 0.7}, "none": {7: 0.9}, "lost": {}}
    found = compare({0: 0.8, 1: 0.8, 2: 0.8}, arms, delta=0.003).comparisons
    assert {name: each.verdict for name, each in found.items()} == {
        "one": "one seed: no interval",
        "two": "two seeds: no verdict",
        "none": "no run to compare",
        "lost": "no run to compare",
    }
    assert found["one"].difference == pytest.approx(0.1) and math.isnan(found["one"].low)
    assert found["two"].low < found["two"].difference < found["two"].high  # the interval only
    assert math.isnan(found["none"].difference)


def test_two_seeds_of_all_arms() -> None:
    found = compare({0: 1.0, 1: 2.0}, {"a": {0: 2.0, 1: 2.5}, "b": {0: 0.0, 1: 9.0}}, delta=1).comparisons
    assert all(math.isfinite(each.low) and each.verdict == "two seeds: no verdict" for each in found.values())


def test_no_variance_gives_a_point_and_says_so() -> None:
    baseline = by_seed([0.84, 0.85, 0.86])
    arms = {"same": dict(baseline), "more": by_seed([0.85, 0.86, 0.87])}
    family = compare(baseline, arms, delta=0.003)
    same, more = family.comparisons["same"], family.comparisons["more"]
    assert family.k == 0 and math.isnan(more.critical) and not more.is_judged
    assert (same.low, same.high) == (0, 0) and same.verdict == "equal at every seed"
    assert more.low == more.high == pytest.approx(0.01) and more.verdict == "same difference at every seed"
    assert math.isnan(more.p)
    with_noise = compare(baseline, {**arms, "elu": by_seed(ELU[:3])}, delta=0.003)
    assert with_noise.k == 1
    alone = stats.ttest_rel(ELU[:3], [0.84, 0.85, 0.86])
    assert with_noise.comparisons["elu"].p == pytest.approx(alone.pvalue, abs=1e-6)


def test_duplicates_of_an_arm_are_judged_alike() -> None:
    found = compare(BASE, {"a": ARMS["a"], "again": ARMS["a"], "b": ARMS["b"]}, delta=3).comparisons
    assert (found["a"].low, found["a"].p) == (found["again"].low, found["again"].p)
    assert math.isfinite(found["a"].low)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="delta"):
        compare({}, {}, delta=-1)
    with pytest.raises(ValueError, match="known: moderated, dunnett, paired, welch"):
        compare(BASE, ARMS, delta=1, method="tukey")
    with pytest.raises(ValueError, match="not finite"):
        compare(BASE, {"wild": {0: math.inf}}, delta=1)
    with pytest.raises(ValueError, match="a lacks seed 3"):
        compare(BASE, {"a": {s: ARMS["a"][s] for s in (0, 1, 2)}}, delta=1, method="dunnett")


def test_seeds_and_units_do_not_matter() -> None:
    """Adding to every arm what a seed adds changes nothing; percent instead of shares changes only the unit."""
    values = normal(1, 5, (1, 1, 1), effect=1.0)[0]
    plain, shifted, scaled = study(values), study(values + np.arange(5)), study(100 * values, delta=30)
    for name, comparison in plain.comparisons.items():
        assert shifted.comparisons[name].p == pytest.approx(comparison.p)
        assert scaled.comparisons[name].low == pytest.approx(100 * comparison.low)
        assert scaled.comparisons[name].verdict == comparison.verdict
        assert scaled.comparisons[name].g == pytest.approx(comparison.g)


def test_direction_turns_wins_and_verdict_but_not_the_difference() -> None:
    up, down = (compare(BASE, ARMS, delta=1, higher_is_better=higher).comparisons["a"] for higher in (True, False))
    assert (up.verdict, down.verdict) == ("better", "worse") and (up.wins, down.wins) == (5, 0)
    assert up.difference == down.difference


def test_the_statistics_import_neither_torch_nor_scipys_statistics() -> None:
    program = "import sys, dnntrain.statistics; print(*{'torch', 'scipy.stats'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"
