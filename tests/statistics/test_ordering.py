"""An order of arms: both directions of every step, Holm's correction, Page's trend, and the error over all steps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dnntrain.statistics import ContrastResult, judge_steps, page_trend
from dnntrain.statistics.corrections import holm
from tests.bench.error_rates.effects import order_errors

ARMS = ("a", "b", "c", "d")


def draw(gains: list[float], n: int = 5, seed: int = 3) -> dict[str, dict[int, float]]:
    noise = np.random.default_rng(seed).standard_normal((len(gains), n))
    rows = noise + np.array(gains)[:, None]
    return {arm: dict(enumerate(map(float, row))) for arm, row in zip(ARMS, rows, strict=True)}


def words(found: list[ContrastResult]) -> list[str]:
    return [step.verdict for step in found]


def test_holms_correction_is_that_of_r() -> None:
    # p.adjust(c(.01, .04, .03, .005, .8), "holm")
    assert holm(np.array([0.01, 0.04, 0.03, 0.005, 0.8])) == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.8])
    assert not len(holm(np.array([])))


def test_a_step_is_shown_contradicted_or_neither_whichever_direction_is_better() -> None:
    values = draw([9, 4, 8, 8])
    found = judge_steps(ARMS, values, higher_is_better=True)
    assert words(found) == ["better", "worse", "inconclusive"]
    assert [step.interval.mean > 0 for step in found[:2]] == [True, False]
    assert [step.p < 0.05 for step in found] == [True, True, False]
    losses = {arm: {seed: -value for seed, value in row.items()} for arm, row in values.items()}
    assert words(judge_steps(ARMS, losses, higher_is_better=False)) == words(found)
    assert [step.p for step in judge_steps(ARMS, losses, higher_is_better=False)] == [step.p for step in found]


def test_a_sure_step_leaves_more_of_the_error_to_the_others() -> None:
    alone = judge_steps(ARMS[:2], draw([1, 0, 0, 0]), higher_is_better=True)[0]
    # of two steps, the sure one is corrected for two and the other one for one
    two = judge_steps(("a", "b", "c"), draw([1, 0, -99, 0]), higher_is_better=True)
    assert two[0].p == pytest.approx(alone.p) and two[1].verdict == "better"
    neither = judge_steps(("a", "b", "c"), draw([1, 0, -0.5, 0]), higher_is_better=True)
    assert neither[0].p > alone.p


def test_a_step_without_variance_or_runs_is_not_judged() -> None:
    values = draw([1, 0, 0, 0])
    values["b"], values["d"] = values["a"], {}
    assert words(judge_steps(ARMS, values, higher_is_better=True))[::2] == ["equal at every seed", "no run to compare"]


def test_an_arm_that_exploded_beside_arms_without_variance_is_judged_without_a_warning() -> None:
    values = dict.fromkeys(ARMS, dict.fromkeys(range(3), 1.0)) | {"d": {seed: 1e37 * (seed + 2) for seed in range(3)}}
    assert words(judge_steps(ARMS, values, higher_is_better=False))[2] in ("better", "inconclusive")


def test_the_trend_is_pages_and_a_lost_run_is_the_last_of_its_seed() -> None:
    scores = np.array([[3.0, 2, 1], [3, 1, 2], [9, 8, -np.inf], [5, 4, 3]])
    trend = page_trend(scores)
    ranks = stats.rankdata(scores, axis=1).sum(0)
    assert trend.statistic == ranks @ [3, 2, 1] and trend.n == 4
    assert trend.p < 0.01 < 0.9 < page_trend(scores[:, ::-1]).p
    # all 6^4 equally likely outcomes of four seeds
    permutations = np.array([[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]]) @ [3, 2, 1]
    totals = permutations[:, None, None, None] + permutations[:, None, None] + permutations[:, None] + permutations
    assert trend.p == pytest.approx((totals >= trend.statistic).mean())


@pytest.mark.parametrize("deviations", [[1, 1, 1, 1], [4, 1, 1, 1]])
def test_false_steps_are_at_most_five_percent_of_studies(deviations: list[float]) -> None:
    studies = 400
    values = np.random.default_rng([9, *map(int, deviations)]).standard_normal((studies, 4, 5))
    error = order_errors(values * np.array(deviations)[:, None]).mean()
    assert 0.01 < error < 0.065 + 2 * np.sqrt(0.065 * 0.935 / studies)
