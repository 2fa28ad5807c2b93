"""Our runs against published values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dnntrain.statistics import compare_published
from dnntrain.statistics.published import MANY_RUNS
from tests.statistics.tables import at_most

OURS = [0.8728, 0.8654, 0.8743, 0.8672, 0.8698]


def test_two_standard_deviations_are_welchs_test() -> None:
    theirs = [0.881, 0.885, 0.873, 0.879]
    found = compare_published(OURS, float(np.mean(theirs)), float(np.std(theirs, ddof=1)), 4)
    expected = stats.ttest_ind(OURS, theirs, equal_var=False)
    interval = expected.confidence_interval()
    assert (found.z, found.df, found.p) == pytest.approx((expected.statistic, expected.df, expected.pvalue))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.verdict == "differs" and found.runs_needed is None


def test_a_single_published_run_differs_outside_the_prediction_interval() -> None:
    # mean ± t(4) · sd · √(1 + 1/5): the prediction interval of one more run (Hahn and Meeker 1991, ch. 4)
    margin = float(stats.t.ppf(0.975, 4)) * float(np.std(OURS, ddof=1)) * math.sqrt(1 + 1 / 5)
    high = float(np.mean(OURS)) + margin
    for value, verdict in ((high + 1e-6, "differs"), (high - 1e-6, "cannot tell")):
        found = compare_published(OURS, value)
        assert found.verdict == verdict and found.df == 4
    assert found.difference - found.low == pytest.approx(margin)


def test_compatible_needs_an_interval_not_only_a_large_p() -> None:
    center, deviation = float(np.mean(OURS)), float(np.std(OURS, ddof=1))
    assert compare_published(OURS, center).verdict == "compatible"
    near = compare_published(OURS, center + deviation)
    assert near.verdict == "cannot tell" and near.p > 0.3 and near.runs_needed == 9
    assert compare_published(OURS[:3], float(np.mean(OURS[:3]))).verdict == "cannot tell"  # three runs
    assert compare_published(OURS, center, deviation, 5).margin == pytest.approx(3 * deviation)


def test_the_runs_needed_are_the_first_that_tell() -> None:
    """With runs of the same mean and deviation, so many give another verdict, and one fewer does not."""
    center, deviation = float(np.mean(OURS)), float(np.std(OURS, ddof=1))
    needed = compare_published(OURS, center + deviation).runs_needed
    assert needed is not None
    for runs, told in ((needed - 1, False), (needed, True)):
        half = stats.t.isf(0.05, runs - 1) * deviation * math.sqrt(1 + 1 / runs)
        assert (deviation + half < 3 * deviation) == told
    assert compare_published(OURS, center + 1.7 * deviation).runs_needed is None  # one run of theirs is too little
    assert MANY_RUNS == 1000


def test_many_published_values_are_corrected_for() -> None:
    value = float(np.mean(OURS)) + 3.2 * float(np.std(OURS, ddof=1))
    one, seven = compare_published(OURS, value), compare_published(OURS, value, k=7)
    assert (one.verdict, seven.verdict) == ("differs", "cannot tell")
    assert seven.p == pytest.approx(7 * one.p) and seven.high - seven.low > one.high - one.low


def test_a_side_without_a_deviation_takes_the_others() -> None:
    found = compare_published([0.87], 0.88, 0.004, 10)
    assert found.z == pytest.approx(-0.01 / (0.004 * math.sqrt(1.1))) and found.df == 9
    nothing = compare_published([0.87], 0.88)
    assert nothing.verdict == "cannot tell" and math.isnan(nothing.p) and nothing.runs_needed is None
    assert compare_published([0.5, 0.5, 0.5], 0.5).verdict == "cannot tell"


def test_a_published_deviation_without_runs_counts_as_of_two() -> None:
    assert compare_published(OURS, 0.87, 0.003) == compare_published(OURS, 0.87, 0.003, 2)


def test_bad_arguments_are_refused() -> None:
    for arguments in (([], 1.0), (OURS, 1.0, 0.1, 1), (OURS, 1.0, -0.1, 5), (OURS, 1.0, None, 0)):
        with pytest.raises(ValueError, match="cannot be compared"):
            compare_published(*arguments)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=100)
@given(
    st.integers(2, 12),
    st.one_of(st.none(), st.floats(0.1, 4)),
    st.integers(2, 12),
    st.floats(-4, 4),
    st.integers(1, 8),
    st.integers(0, 10**6),
)
def test_the_verdict_agrees_with_p_and_interval(
    n: int, sd: float | None, runs: int, shift: float, k: int, seed: int
) -> None:
    values = list(np.random.default_rng(seed).standard_normal(n))
    found = compare_published(values, shift, sd, runs, k=k)
    assert (found.verdict == "differs") == (found.p < 0.05) == (found.low > 0 or found.high < 0)
    if found.verdict != "cannot tell":
        assert found.runs_needed is None
    elif found.runs_needed is not None:
        assert n < found.runs_needed <= MANY_RUNS
    if found.verdict == "compatible":
        assert abs(found.difference) < found.margin


def test_a_true_reproduction_is_said_to_differ_in_5_of_100_cases() -> None:
    random = np.random.default_rng(0)
    single = [compare_published(list(row[:5]), float(row[5])).verdict for row in random.standard_normal((3000, 6))]
    assert single.count("differs") / 3000 <= at_most(0.05, 3000)
    both = [
        compare_published(list(row[:5]), float(row[5:].mean()), float(row[5:].std(ddof=1)), 5).verdict
        for row in random.standard_normal((3000, 10))
    ]
    assert both.count("differs") / 3000 <= at_most(0.05, 3000) and both.count("compatible") > 2000
