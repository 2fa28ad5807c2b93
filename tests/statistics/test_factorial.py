"""Effects of factorial designs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dnntrain.statistics import Effect, effects
from tests.statistics.tables import at_most, by_seed

Design = tuple[dict[str, dict[str, str]], dict[str, dict[int, float]]]


def crossed(noise: float = 0.01, seed: int = 0) -> Design:
    """y = 10 + 2 bn + 4 elu + 6 bn·elu + seed, and a little that is the seed's and the arm's own."""
    random = np.random.default_rng(seed)
    levels, values = {}, {}
    for bn, elu in product((0, 1), repeat=2):
        name = f"bn{bn} elu{elu}"
        levels[name] = {"bn": ("off", "on")[bn], "activation": ("relu", "elu")[elu]}
        values[name] = {
            s: 10 + 2 * bn + 4 * elu + 6 * bn * elu + s + noise * random.standard_normal() for s in range(5)
        }
    return levels, values


def full_factorial(sizes: tuple[int, ...], values: np.ndarray) -> Design:
    """A design with these numbers of levels, and the values [cell, seed] in the order of `product`."""
    names = {str(cell): {f"f{i}": str(at) for i, at in enumerate(cell)} for cell in product(*map(range, sizes))}
    return names, {name: by_seed(row) for name, row in zip(names, values, strict=True)}


def by_name(found: list[Effect]) -> Mapping[str, Effect]:
    return {effect.name: effect for effect in found}


def test_effects_of_a_crossed_design() -> None:
    found = by_name(effects(*crossed(), delta=0.1))
    assert list(found) == ["bn=on", "activation=elu", "bn=on × activation=elu"]
    assert found["bn=on"].interval.mean == pytest.approx(5, abs=0.03)  # 2 alone, 8 with elu
    assert found["activation=elu"].interval.mean == pytest.approx(7, abs=0.03)  # 4 and 10
    interaction = found["bn=on × activation=elu"]
    assert interaction.interval.mean == pytest.approx(6, abs=0.06)  # 8 − 2, the whole difference of differences
    assert all(effect.n == 5 and effect.arms == 4 and effect.p < 0.001 for effect in found.values())
    assert [effect.reading for effect in found.values()] == ["better", "better", "synergistic"]
    assert found["bn=on"].references == ("off",) and found["bn=on"].note == ""


def test_readings_follow_the_direction_and_delta() -> None:
    levels, values = crossed()
    down = effects(levels, values, delta=0.1, higher_is_better=False)
    assert [effect.reading for effect in down] == ["worse", "worse", "redundant"]
    small = effects(levels, values, delta=100.0)
    assert [effect.reading for effect in small] == [
        "better, but within ±δ",
        "better, but within ±δ",
        "synergistic, but within ±δ",
    ]
    flat = {name: {s: float(s) for s in range(5)} for name in levels}
    random = np.random.default_rng(1)
    noisy = {name: {s: v + random.standard_normal() for s, v in row.items()} for name, row in flat.items()}
    assert effects(levels, noisy, delta=0.01)[2].reading == "not told from additive"
    assert effects(levels, noisy, delta=20.0)[2].reading == "additive"


def test_one_factor_of_two_levels_is_the_paired_t_test() -> None:
    random = np.random.default_rng(4)
    values = {"off": by_seed(random.standard_normal(6)), "on": by_seed(random.standard_normal(6))}
    (effect,) = effects({name: {"bn": name} for name in values}, values, delta=1)
    expected = stats.ttest_rel(list(values["on"].values()), list(values["off"].values()))
    interval = expected.confidence_interval()
    assert (effect.p, effect.interval.low, effect.df) == pytest.approx((expected.pvalue, interval.low, 5))


def test_where_nothing_is_doubted_the_variance_is_a_mean_of_the_own_and_the_residual_one() -> None:
    """The residual mean square counts 12 degrees of freedom against the contrast's own n − 1 = 7."""
    own_weight = 7 / 19
    df = 1 / ((1 - own_weight**2) / 21 + own_weight**2 / 7)
    for seed in range(100):
        values = np.random.default_rng(seed).standard_normal((4, 8)) + np.array([[0], [1], [1], [2]])
        main = effects(*full_factorial((2, 2), values), delta=1)[0]
        if main.df == pytest.approx(df):
            by_hand = values[2:].mean(0) - values[:2].mean(0)
            residuals = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
            variance = own_weight * by_hand.var(ddof=1) + (1 - own_weight) * (residuals**2).sum() / 21  # Σw² = 1
            half = stats.t.isf(0.05 / 3 / 2, df) * math.sqrt(variance / 8)
            assert main.interval.mean == pytest.approx(by_hand.mean())
            assert main.interval.high - main.interval.mean == pytest.approx(half)
            return
    pytest.fail("no design whose pool is fully trusted")


def test_more_than_two_levels_are_each_compared_with_the_first() -> None:
    levels = {f"{a}{b}": {"lr": a, "bn": b} for a in ("low", "mid", "high") for b in ("off", "on")}
    height = {"low": 0, "mid": 1, "high": 5, "off": 0, "on": 10}
    values = {name: {0: float(height[at["lr"]] + height[at["bn"]])} for name, at in levels.items()}
    found = effects(levels, values, delta=1)
    expected = {"lr=mid": 1, "lr=high": 5, "bn=on": 10, "lr=mid × bn=on": 0, "lr=high × bn=on": 0}
    assert {effect.name: effect.interval.mean for effect in found} == pytest.approx(expected)
    assert all(math.isnan(effect.p) and effect.reading == "one seed: no interval" for effect in found)


def test_seeds_that_one_arm_lacks() -> None:
    levels, values = crossed()
    del values["bn1 elu1"][3]
    found = effects(levels, values, delta=0.1)
    assert {effect.n for effect in found} == {4} and all(math.isfinite(effect.interval.low) for effect in found)


def test_a_missing_cell_leaves_what_can_be_estimated() -> None:
    levels, values = crossed()
    with_few = {**values, "bn1 elu1": {0: 1.0, 1: 2.0}}  # others have five seeds
    without_plan = {arm: at for arm, at in levels.items() if arm != "bn1 elu1"}
    for given_levels, given_values in (
        (without_plan, values),
        (levels, {**values, "bn1 elu1": {}}),
        (levels, with_few),
    ):
        main, other, interaction = effects(given_levels, given_values, delta=0.1)
        assert main.arms == other.arms == 2 and main.interval.mean == pytest.approx(2, abs=0.03)
        assert main.note == "at 1 of 2 settings of the other factors" and main.reading == "better"
        assert interaction.arms == interaction.n == 0 and math.isnan(interaction.interval.mean)
        assert interaction.reading == "not estimable"
        assert interaction.note == "no runs with bn=on and activation=elu"


def test_an_interaction_without_a_complete_setting_is_named() -> None:
    values = np.random.default_rng(0).standard_normal((8, 4))
    levels, runs = full_factorial((2, 2, 2), values)
    for cell in ("(0, 0, 0)", "(1, 1, 1)"):
        runs[cell] = {}
    found = by_name(effects(levels, runs, delta=1))
    assert found["f0=1"].note == "at 2 of 4 settings of the other factors"
    assert found["f0=1 × f1=1"].note == "no setting of the other factors has runs with all of its levels"


def test_effects_of_equal_runs_are_not_judged_by_rounding() -> None:
    levels, _ = crossed()
    equal = {name: {seed: 0.1 * seed + 0.7 for seed in range(5)} for name in levels}
    for effect in effects(levels, equal, delta=0.1):
        assert effect.interval.mean == 0 and math.isnan(effect.p) and effect.reading == "equal at every seed"


def test_unlike_arms_are_refused() -> None:
    with pytest.raises(ValueError, match="factors"):
        effects({"a": {"x": "1"}, "b": {"y": "1"}}, {}, delta=1)
    with pytest.raises(ValueError, match="same levels"):
        effects({"a": {"x": "1"}, "b": {"x": "1"}}, {}, delta=1)
    with pytest.raises(ValueError, match="delta"):
        effects({}, {}, delta=-1)
    with pytest.raises(ValueError, match="not finite"):
        effects({"a": {"x": "1"}, "b": {"x": "2"}}, {"a": {0: math.nan}, "b": {0: 1.0}}, delta=1)
    assert effects({}, {}, delta=1) == []


@settings(deadline=None, max_examples=80)
@given(st.sampled_from([(2, 2), (3, 2), (2, 2, 2)]), st.integers(2, 6), st.integers(0, 10**6))
def test_p_agrees_with_the_interval(sizes: tuple[int, ...], n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    cells = math.prod(sizes)
    values = random.standard_normal((cells, n)) * np.exp(random.standard_normal((cells, 1)))
    values += random.standard_normal((cells, 1)) * 3
    for effect in effects(*full_factorial(sizes, values), delta=1):
        assert (effect.p < 0.05) == (effect.interval.low > 0 or effect.interval.high < 0)
        assert effect.interval.low <= effect.narrow.low <= effect.narrow.high <= effect.interval.high


STUDIES = 500


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize("sizes", [(2, 2), (2, 2, 2), (3, 2)])
@pytest.mark.parametrize("wild", [1.0, 4.0])
def test_the_family_wise_error_of_a_design(sizes: tuple[int, ...], n: int, wild: float) -> None:
    random, cells, wrong = np.random.default_rng(7), math.prod(sizes), 0
    for _ in range(STUDIES):
        values = random.standard_normal((cells, n))
        values[-1] *= wild
        wrong += any(effect.p < 0.05 for effect in effects(*full_factorial(sizes, values), delta=1))
    assert wrong / STUDIES <= at_most(0.055, STUDIES)
