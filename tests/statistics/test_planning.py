"""Seeds for 80 % power, against simulation and a search from below."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dnntrain.statistics import (
    MANY_SEEDS,
    SeedRange,
    compare,
    detectable_difference,
    plan_seeds,
    planned_detectable,
    seeds_needed,
)
from dnntrain.statistics.distributions import tail_level
from dnntrain.statistics.planning import EQUIVALENCE, GOALS
from tests.statistics.tables import STUDY, by_seed, normal, study

ARMS = compare(by_seed(STUDY["base"]), {name: by_seed(STUDY[name]) for name in "abc"}, delta=3).comparisons


def has_power(variance: float, df: float, n: int, k: int, delta: float, goal: str, seeds: int) -> bool:
    """The specification's condition, with scipy's distributions."""
    f, effect = df * (seeds - 1) / (n - 1), delta / math.sqrt(variance / seeds)
    if goal == EQUIVALENCE:
        c = stats.t.isf(tail_level(k, seeds, 0.9) / 2, f)
        return bool(2 * stats.t.cdf(effect - c, f) - 1 >= 0.8)
    power = stats.nct.sf(stats.t.isf(tail_level(k, seeds, 0.95) / 2, f), f, effect)
    return bool(power >= 0.8 or effect > 50)  # scipy has no tail so far out


@settings(deadline=None, max_examples=40)
@given(
    st.floats(0.05, 9),
    st.floats(1.5, 40),
    st.integers(3, 12),
    st.integers(1, 12),
    st.floats(0.5, 3),
    st.sampled_from(GOALS),
)
def test_the_first_number_of_seeds_that_is_enough(
    variance: float, df: float, n: int, k: int, delta: float, goal: str
) -> None:
    found = seeds_needed(variance, df, n, k, delta, goal)
    if found <= MANY_SEEDS:
        assert has_power(variance, df, n, k, delta, goal, found)
    if found > max(3, n):
        assert not has_power(variance, df, n, k, delta, goal, found - 1)


def test_one_arm_as_in_textbooks() -> None:
    """d = 1 and known variance: (z.975 + z.8)² = 7.85 pairs; with t about 10."""
    assert seeds_needed(1.0, 9, 10, 1, 1.0) == 10
    assert seeds_needed(1.0, 1e6, 3, 1, 1.0) == 8


def test_more_seeds_than_are_counted() -> None:
    assert seeds_needed(100.0, 4, 5, 3, 0.01) == MANY_SEEDS + 1
    assert plan_seeds(ARMS["c"], 3, 0.01) == SeedRange(MANY_SEEDS + 1, MANY_SEEDS + 1, MANY_SEEDS + 1)


def test_the_plan_takes_the_variance_with_its_uncertainty() -> None:
    c = ARMS["c"]
    variance = 5 * c.se**2
    low, high = (c.df / stats.chi2.ppf(q, c.df) for q in (0.9, 0.1))
    for goal, expected in (("difference", SeedRange(179, 75, 531)), ("equivalence", SeedRange(195, 82, 582))):
        assert plan_seeds(c, 3, 3.0, goal) == expected
        parts = (seeds_needed(variance * f, c.df, 5, 3, 3.0, goal) for f in (1 + 1 / c.df, low, high))
        assert SeedRange(*parts) == expected
    assert plan_seeds(ARMS["a"], 3, 3.0) == SeedRange(5, 5, 8)


def test_the_plan_does_not_depend_on_the_difference_seen() -> None:
    values = normal(1, 5, (1, 1, 1), seed=4)[0]
    shifted = values + np.array([[0], [7], [-3]])
    plain, moved = (study(each).comparisons["arm 0"] for each in (values, shifted))
    assert plan_seeds(plain, 2, 0.5) == plan_seeds(moved, 2, 0.5)


def test_nothing_to_plan_by() -> None:
    assert plan_seeds(ARMS["a"], 3, 0.0) is None
    constant = compare({0: 1.0, 1: 2.0, 2: 3.0}, {"x": {0: 2.0, 1: 3.0, 2: 4.0}, "one": {0: 5.0}}, delta=1)
    for each in constant.comparisons.values():
        assert plan_seeds(each, 1, 1.0) is None and planned_detectable(each, 1, 10) is None
    for arguments in ((1.0, 3.0, 1, 2, 0.5), (1.0, 3.0, 5, 2, 0.0), (1.0, 3.0, 5, 2, math.nan)):
        with pytest.raises(ValueError, match="no plan"):
            seeds_needed(*arguments)
    with pytest.raises(ValueError, match="to show 'fame'"):
        seeds_needed(1.0, 3.0, 5, 2, 0.5, "fame")


@pytest.mark.parametrize("goal", GOALS)
def test_the_detectable_difference_is_what_the_advised_seeds_show(goal: str) -> None:
    for seeds in (7, 20, 64):
        effect = planned_detectable(ARMS["c"], 3, seeds, goal)
        assert effect is not None
        advised = plan_seeds(ARMS["c"], 3, effect * 1.0001, goal)
        assert advised is not None and advised.advised == seeds
    now = detectable_difference(5 * ARMS["a"].se ** 2, ARMS["a"].df, 5, 3, 5)
    assert now == pytest.approx(ARMS["a"].smallest_detectable)


def test_the_advice_gives_the_power_it_names() -> None:
    """One arm of standard deviation 1, pilots of 5 seeds: the advised study, pilot included, finds δ in 74 to 90 %."""
    random, found = np.random.default_rng(0), []
    for _ in range(400):
        values = random.standard_normal((2, 5))
        values[1] += 1.5
        plan = plan_seeds(study(values).comparisons["arm 0"], 1, 1.5)
        assert plan is not None
        more = random.standard_normal((2, plan.advised - 5))
        more[1] += 1.5
        found.append(stats.ttest_rel(*np.concatenate([values, more], 1)).pvalue < 0.05)
    assert 0.74 <= np.mean(found) <= 0.9


def test_hundreds_of_arms_are_planned_quickly() -> None:
    arms = study(normal(1, 5, (1,) * 101, seed=1)[0]).comparisons.values()
    start = time.perf_counter()
    for each in arms:
        plan_seeds(each, 100, 0.5)
    assert time.perf_counter() - start < 3  # half a second on a free core
