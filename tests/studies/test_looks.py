"""Judging a study at a look: who is resolved, at which level, and by which variance."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from dnntrain.analysis.looks import lines
from dnntrain.analysis.options import AnalysisOptions
from dnntrain.analysis.summary import summarize
from dnntrain.reporting.gates import judge
from dnntrain.statistics import compare_arms
from dnntrain.statistics.sequential import LEVELS, LOOKS
from dnntrain.studies.looks import judge_look, next_look
from dnntrain.studies.presets import read_preset
from dnntrain.studies.study import Study
from tests.support.made_results import at_look, made_results

LEVEL_AT = dict(zip(LOOKS, LEVELS, strict=True))
RANDOM = np.random.default_rng(17)
NOISE = {arm: RANDOM.normal(0, 0.01, 20) for arm in ("baseline", "a", "b", "c", "d")}
VALUES = {arm: 0.8 + noise for arm, noise in NOISE.items()}
GAINS = {"baseline": 0.0, "a": 0.0, "b": 0.0, "c": 0.0, "d": 0.1}


def study(arms: str = "a,b,c,d", **more: str) -> Study:
    factors = ", ".join(f"{arm}: {{lr: {number + 2}e-3}}" for number, arm in enumerate(arms.split(",")))
    text = f"seeds: until-resolved\nfactors: {{{factors}}}\n"
    made = read_preset(text + "".join(f"{key}: {value}\n" for key, value in more.items()), "p.yaml")
    return replace(made, levels=LEVEL_AT)


def values(made: Study, gains: dict[str, float] | None = None) -> dict[str, list[float]]:
    """Every arm's values at the seeds that the study asks of it."""
    gains = GAINS if gains is None else gains
    return {
        arm.name: [float(VALUES[arm.name][seed] + gains.get(arm.name, 0)) for seed in made.seeds_of(arm.name)]
        for arm in made.arms
    }


def with_look(made: Study, n: int, gains: dict[str, float] | None = None) -> Study:
    """The study after its look at n seeds."""
    made = at_look(made, n)
    look = judge_look(made_results(made, values(made, gains)), together=made.resolves_together)
    return replace(made, looks=(*made.looks, look))


def test_a_resolved_arm_gets_no_more_seeds_and_keeps_its_comparison() -> None:
    made = with_look(study(), 5)
    assert list(made.looks[0].resolved) == ["d"]
    assert made.looks[0].resolved["d"].verdict == "better"
    assert next_look(made) == 7
    made = with_look(made, 7)
    assert made.seeds_of("d") == [0, 1, 2, 3, 4]
    assert made.seeds_of("a") == list(range(7))
    summary = summarize(made_results(made, values(made)))
    kept, recorded = summary.arm("d").comparison, made.looks[0].resolved["d"]
    assert kept is not None
    assert (kept.low, kept.high, kept.p, kept.n) == (recorded.low, recorded.high, recorded.p, 5)
    assert summary.arm("d").verdict == "better"
    assert summary.arm("d").runs.planned == 5


def test_every_arm_is_judged_at_the_level_of_the_look() -> None:
    made = with_look(study(), 5)
    family = summarize(made_results(made, values(made))).family
    assert family is not None
    assert family.level == 1 - LEVEL_AT[5]
    by_seed = {arm: dict(enumerate(row)) for arm, row in values(made).items()}
    expected = compare_arms(by_seed.pop("baseline"), by_seed, delta=0.003, level=1 - LEVEL_AT[5]).comparisons
    assert family.comparisons == pytest.approx(expected)


def test_the_pool_is_that_of_the_arms_that_go_on_while_half_of_them_do() -> None:
    made = with_look(study(), 5)
    own = with_look(made, 7)
    assert own.looks[1].pool_variance != made.looks[0].pool_variance
    # two of the four arms are resolved at the second look, and one more at the third
    gains = GAINS | {"c": 0.1}
    made = with_look(with_look(study(), 5, gains), 7, gains)
    gains = gains | {"b": 0.1}
    made = with_look(made, 10, gains)
    assert {name for look in made.looks for name in look.resolved} == {"b", "c", "d"}
    last = with_look(made, 14, gains)
    assert last.looks[3].pool_variance == last.looks[2].pool_variance
    assert last.looks[3].pool_df == last.looks[2].pool_df


def test_the_correction_stays_that_for_all_arms() -> None:
    made = with_look(study(), 5)
    summary = summarize(made_results(at_look(made, 7), values(at_look(made, 7))))
    assert summary.family is not None
    assert summary.family.k == 4


def test_an_arm_that_never_finishes_is_resolved() -> None:
    made = at_look(study("a,b"), 5)
    look = judge_look(made_results(made, values(made) | {"b": [math.nan] * 5}), together=False)
    assert look.resolved["b"].verdict == "never finishes: worse"
    assert look.worst == pytest.approx(min(values(made)["baseline"] + values(made)["a"]))


def test_an_arm_with_a_lost_run_is_never_equivalent() -> None:
    made = at_look(replace(study("a,b"), delta="50pp"), 5)
    rows = values(made, {})
    rows["b"][0] = math.nan
    look = judge_look(made_results(made, rows), together=False)
    assert look.resolved["a"].verdict == "equivalent"
    assert "b" not in look.resolved


def test_lost_runs_count_as_the_worst_run_of_the_first_look() -> None:
    made = with_look(study("a,b"), 5, {})
    made = at_look(made, 7)
    rows = values(made, {})
    rows["a"][6], rows["b"][6] = math.nan, 0.05  # worse than chance, after the first look
    runs = summarize(made_results(made, rows)).arm("a").runs
    assert runs.lost_value == 0.1


def test_in_a_factorial_design_all_arms_go_on_until_every_one_is_resolved() -> None:
    text = "seeds: until-resolved\ndesign: factorial\ndelta: 1.5pp\nfactors: {elu: {act: elu}, bn: {bn: on}}\n"
    made = replace(read_preset(text, "p.yaml"), levels=LEVEL_AT)
    names = [arm.name for arm in made.arms]
    gains = {names[1]: 0.1, names[2]: 0.0, names[3]: 0.1}

    def rows(made: Study) -> dict[str, list[float]]:
        return {
            name: [float(0.8 + NOISE["abcd"[i]][seed] + gains.get(name, 0)) for seed in made.seeds]
            for i, name in enumerate(names)
        }

    five = at_look(made, 5)
    some = judge_look(made_results(five, rows(five)), together=False)
    assert 0 < len(some.resolved) < 3
    assert judge_look(made_results(five, rows(five)), together=five.resolves_together).resolved == {}
    assert five.resolves_together
    most = at_look(made, 20)
    assert len(judge_look(made_results(most, rows(most)), together=True).resolved) == 3


def test_the_last_look_is_the_maximum() -> None:
    made = study("a")
    for n in LOOKS:
        assert next_look(made) == n
        made = with_look(made, n, {})
    assert next_look(made) is None
    assert next_look(with_look(study("d"), 5)) is None  # its only arm is resolved


def test_another_delta_judges_the_recorded_intervals_anew() -> None:
    made = with_look(study(), 5)
    wide = summarize(made_results(made, values(made)), options=AnalysisOptions(delta="20pp"))
    assert wide.arm("d").verdict == "better, but within ±δ"
    made = at_look(made, 7)
    wide = summarize(made_results(made, values(made)), options=AnalysisOptions(delta="20pp"))
    assert wide.arm("d").verdict == "better, but within ±δ"
    comparison = wide.arm("d").comparison
    assert comparison is not None
    assert comparison.p_equivalent < 0.01


def test_another_metric_or_baseline_takes_all_runs_at_the_level_of_the_look() -> None:
    made = at_look(with_look(study(), 5), 7)
    results = made_results(made, values(made))
    for metric, options in (("val_acc", None), (None, AnalysisOptions(baseline="a"))):
        family = summarize(results, metric, options).family
        assert family is not None
        assert family.level == 1 - min(LEVEL_AT[5], LEVEL_AT[7])
        assert family.comparisons["d"].n == 5


def test_there_is_no_verdict_before_the_planned_seeds_are_complete() -> None:
    made = replace(study("a,b"), max_seeds=None, levels={})
    rows = values(made)
    summary = summarize(made_results(made, rows | {"b": rows["b"][:3]}))
    assert [arm.verdict for arm in summary.arms] == ["", "5 of 5 seeds so far", "3 of 5 seeds so far"]
    assert summary.arm("b").mean == pytest.approx(np.mean(rows["b"][:3]))


def test_between_looks_only_resolved_arms_have_verdicts() -> None:
    made = at_look(with_look(study(), 5), 7)
    rows = values(made)
    summary = summarize(made_results(made, rows | {"a": rows["a"][:6]}))
    assert summary.arm("d").verdict == "better"
    assert summary.arm("a").verdict == "6 of 7 seeds so far"


def test_the_report_names_the_look() -> None:
    made = with_look(with_look(study(), 5), 7)
    said = " ".join(lines(made.to_record()))
    assert "look 2 of 5 (n = 7), level .0051; resolved: d at n = 5; not resolved: a, b, c." in said
    assert "hold whenever the study stops" in said
    assert "first of 5 looks is at n = 5" in " ".join(lines(study().to_record()))
    assert not list(lines(replace(study(), max_seeds=None, levels={}).to_record()))


def test_a_requirement_is_judged_at_the_strictest_level_at_which_seeds_ended() -> None:
    made = at_look(with_look(study(), 5), 7)
    results = made_results(made, values(made))
    [gate] = judge("d > baseline", [results])
    once = replace(results, record=results.record.model_copy(update={"levels": {}}))
    [usual] = judge("d > baseline", [once])
    widths = [interval_width(answer.reason) for answer in (gate, usual)]
    assert widths[0] > 1.3 * widths[1]


def interval_width(reason: str) -> float:
    low, high = re.search(r"\[([+-][\d.]+), ([+-][\d.]+)\]", reason).groups()  # type: ignore[union-attr]
    return float(high) - float(low)
