"""A factor's levels compared at each setting of the others: the right pairs, one family, and its error rate."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from dnntrain.statistics import Interval, simple_effects
from tests.bench.error_rates.effects import effect_margins, within

NORMS, RATES = ("plain", "before", "after"), ("low", "high")
CELLS = {f"{norm}+{rate}": {"norm": norm, "rate": rate} for norm, rate in product(NORMS, RATES)}


def draw(n: int = 5) -> dict[str, dict[int, float]]:
    random = np.random.default_rng(7)
    return {arm: dict(enumerate(map(float, random.standard_normal(n)))) for arm in CELLS}


def test_each_level_is_compared_with_the_first_at_the_same_setting() -> None:
    values = draw()
    found = simple_effects(CELLS, values, "norm", delta=0.1)
    assert [(each.arm, each.reference_arm, each.setting) for each in found] == [
        ("before+low", "plain+low", {"rate": "low"}),
        ("after+low", "plain+low", {"rate": "low"}),
        ("before+high", "plain+high", {"rate": "high"}),
        ("after+high", "plain+high", {"rate": "high"}),
    ]
    for each in found:
        difference = np.mean([*values[each.arm].values()]) - np.mean([*values[each.reference_arm].values()])
        assert each.result.interval.mean == pytest.approx(difference)
    by_rate = simple_effects(CELLS, values, "rate", delta=0.1)
    assert [(each.arm, each.reference_arm) for each in by_rate] == [(f"{n}+high", f"{n}+low") for n in NORMS]


def test_the_family_is_all_settings_and_p_agrees_with_the_interval() -> None:
    values = {arm: {seed: v + 3 * (arm == "before+high") for seed, v in row.items()} for arm, row in draw().items()}
    found = {each.arm: each.result for each in simple_effects(CELLS, values, "norm", delta=0.1)}
    assert [arm for arm, result in found.items() if result.p < 0.05] == ["before+high"]
    assert [arm for arm, result in found.items() if not result.interval.low <= 0 <= result.interval.high] == [
        "before+high"
    ]
    assert found["before+high"].verdict == "better"
    at_low = {arm: row for arm, row in values.items() if arm.endswith("low")}
    two = simple_effects({arm: CELLS[arm] for arm in at_low}, values, "norm", delta=0.1)
    assert width(two[0].result.interval) < width(found["before+low"].interval)  # two comparisons, not four
    losses = {arm: {seed: -v for seed, v in row.items()} for arm, row in values.items()}
    turned = simple_effects(CELLS, losses, "norm", delta=0.1, higher_is_better=False)
    assert [each.result.verdict for each in turned] == [result.verdict for result in found.values()]


def width(interval: Interval) -> float:
    return interval.high - interval.low


def test_a_setting_without_the_first_level_is_left_out_and_one_without_runs_is_named() -> None:
    values = draw()
    some = {arm: levels for arm, levels in CELLS.items() if arm != "plain+high"}
    assert [each.arm for each in simple_effects(some, values, "norm", delta=0)] == ["before+low", "after+low"]
    del values["after+low"]
    assert simple_effects(CELLS, values, "norm", delta=0)[1].result.verdict == "no run to compare"


@pytest.mark.parametrize("deviations", [[1, 1, 1, 1, 1, 1], [4, 1, 1, 1, 1, 1]])
def test_the_family_wise_error_keeps_its_bound_at_five_seeds(deviations: list[float]) -> None:
    studies, weights = 400, within(3, 2)
    random = np.random.default_rng([8, *map(int, deviations)])
    values = random.standard_normal((studies, 6, 5)) * np.array(deviations)[:, None]
    means, margins, _ = effect_margins(values, weights)
    outside = np.abs(means) > margins
    assert outside.any(1).mean() < 0.065 + 2 * np.sqrt(0.065 * 0.935 / studies)
    assert outside.any(1).mean() > 0.01  # not by intervals that are far too wide
    levels = {str(i): {"factor 0": str(i // 2), "factor 1": str(i % 2)} for i in range(6)}
    for i, rows in enumerate(values[:10]):
        named = {str(arm): dict(enumerate(map(float, row))) for arm, row in enumerate(rows)}
        found = [each.result for each in simple_effects(levels, named, "factor 0", delta=0.5)]
        assert [each.interval.high - each.interval.mean for each in found] == pytest.approx([*margins[i]])
