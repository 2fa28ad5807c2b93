"""Measured times in reports and requirements: ratios by round, and how soon runs are as good as the baseline."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from dnntrain.analysis.summary import Summary, summarize
from dnntrain.reporting.exports.csv_json import to_json
from dnntrain.reporting.footer import footer
from dnntrain.reporting.gates import GateStatus, judge
from dnntrain.reporting.tables import runs_table, tables
from dnntrain.reporting.timing import ratio_in_words
from dnntrain.statistics import Interval
from dnntrain.store.records import EnvironmentRecord
from dnntrain.store.study_files import read_study
from dnntrain.store.timing import FILE_NAME, ArmTimes, StudyTimes
from tests.support.inline import answer
from tests.support.studies import DIVERGED, write_study

ROUNDS = 8


@pytest.fixture
def timed(tmp_path: Path) -> Path:
    """A study of three arms, of which the last was trained anew after it had been timed."""
    folder = write_study(tmp_path / "made", {arm: {"test_acc": [0.8, 0.81, 0.82]} for arm in ("relu", "bn", "new")})
    base = [1e-3 * (1 + n) for n in range(ROUNDS)]
    arms = {
        arm: ArmTimes(run=run, steps_per_epoch=50, step=[factor * t for t in base], test=[t / 100 for t in base])
        for arm, run, factor in (("relu", f"{0:012x}", 1.0), ("bn", f"{3:012x}", 1.5), ("new", "other", 9.0))
    }
    StudyTimes(members=3, steps=20, environment=EnvironmentRecord(), arms=arms).write(folder)
    return folder


def test_reports_show_ratios_instead_of_seconds(timed: Path) -> None:
    summary = summarize(read_study(timed))
    table = runs_table(summary)
    assert [*table.headings[2:4]] == ["step ×", "test ×"] and "s/run" not in table.headings
    assert [row[2:4] for row in table.rows] == [["1", "1"], ["1.50 [1.50, 1.50]", "1"], ["", ""]]
    assert any(line.startswith("Times: processor time of one run in a population of 3") for line in footer(summary))
    costs = json.loads(to_json([summary]))["studies"][0]["times"]["costs"]
    assert costs["bn"]["step_ratio"] == pytest.approx({"mean": 1.5, "low": 1.5, "high": 1.5})
    assert costs["bn"]["epoch"] == pytest.approx(50 * 1.5 * 4.5e-3) and "new" not in costs


def test_requirements_are_on_the_ratios_of_a_round(timed: Path) -> None:
    study = [read_study(timed)]
    for requirement, answered in (
        ("bn.step_time <= 1.6 * base", GateStatus.HOLDS),
        ("bn.step_time <= 1.4 * relu.step_time", GateStatus.FAILS),
        ("bn.test_time <= base", GateStatus.HOLDS),
        ("bn.step_time < 1", GateStatus.HOLDS),
        ("bn.step_time < 0.006", GateStatus.INCONCLUSIVE),
    ):
        [result] = judge(requirement, study)
        assert result.answer is answered, result
    rounds = result.finding.seeds_to_decide  # of the last, which is inconclusive
    assert rounds is not None and rounds > ROUNDS and f"{rounds} rounds decide it" in result.reason


def test_a_study_or_an_arm_without_times_says_how_to_get_them(timed: Path) -> None:
    given = answer(["report", str(timed), "--require", "new.step_time < base"], timed)
    assert given.code == 2 and "new of made was not timed; `dnntrain runs time` does" in given.err
    times = json.loads((timed / FILE_NAME).read_text())
    damaged = [
        {"arms": times["arms"] | {"bn": times["arms"]["bn"] | {"step": step}}}
        for step in ([], [1.0], [0.0] * ROUNDS, [math.inf] * ROUNDS)
    ]
    for content in ({"arms": {}}, *(times | each for each in damaged)):
        (timed / FILE_NAME).write_text(json.dumps(content))
        given = answer(["report", str(timed)], timed)
        assert given.code == 2 and f"{FILE_NAME}: no times of a study" in given.err
    (timed / FILE_NAME).unlink()
    given = answer(["report", str(timed), "--require", "bn.step_time < base"], timed)
    assert given.code == 2 and "made was not timed; `dnntrain runs time made` does" in given.err


def test_a_ratio_of_one_seed_has_no_interval() -> None:
    assert ratio_in_words(Interval(1.5, math.nan, math.nan)) == "1.50"
    assert ratio_in_words(Interval(1.5, 1.25, 12.34)) == "1.50 [1.25, 12.3]"


# Time to target

ACCURACIES = {
    "base": [[0.5, 0.6, 0.7, 0.8], [0.5, 0.6, 0.9, 0.85], [0.5, 0.6, 0.7, 0.75], [0.5, 0.6, 0.7, 0.8]],
    "fast": [[0.7, 0.8, 0.8, 0.7], [0.6, 0.7, 0.9, 0.9], [0.8, 0.7, 0.7, 0.7], [0.9, 0.9, 0.9, 0.9]],
    "slow": [[0.5, 0.6, 0.7, 0.79], [0.5, 0.6, 0.7, 0.85], [0.5, 0.6, 0.7, 0.75], [0.5, 0.6, 0.7, 0.8]],
    "lost": [[0.9, math.nan], [0.9, 0.9, 0.9, 0.9], [0.9, 0.9, 0.9, 0.9], [0.9, 0.9, 0.9, 0.9]],
}
"""Validation accuracy by epoch, for each seed of each arm."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study judged by the test part, with a history; a run of its last arm diverged."""
    ends = {arm: [DIVERGED if math.isnan(run[-1]) else run[-1] for run in runs] for arm, runs in ACCURACIES.items()}
    values = {arm: {"val_acc": run, "test_acc": run} for arm, run in ends.items()}
    folder = write_study(tmp_path_factory.mktemp("target") / "made", values)
    rows = [
        {"arm": arm, "seed": seed, "run": "", "epoch": epoch, "val_acc": value, "val_loss": 1 - value}
        for arm, runs in ACCURACIES.items()
        for seed, run in enumerate(runs)
        for epoch, value in enumerate(run, start=1)
    ]
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_each_run_is_held_against_the_baselines_run_of_its_seed(trained: Path) -> None:
    """Seed 1 of the baseline is at its target (0.85) from epoch 3 on, since it peaks there."""
    target = summarize(read_study(trained)).time_to_target
    assert target is not None and target.metric == "val_acc" and not target.is_retimed
    epochs = {name: [*arm.epochs.values()] for name, arm in target.arms.items()}
    assert epochs["base"] == [4, 3, 4, 4] and epochs["fast"] == [2, 3, 1, 1]
    assert epochs["slow"] == [math.inf, 4, 4, 4] and epochs["lost"] == [math.inf, 1, 1, 1]
    logs = np.log(np.divide(epochs["fast"], epochs["base"]))
    expected = np.exp(stats.ttest_1samp(logs, 0).confidence_interval())
    ratio = target.arms["fast"].epochs_ratio(target.arms["base"])
    assert ratio is not None and (ratio.low, ratio.high) == pytest.approx((expected[0], expected[1]))
    assert target.arms["slow"].epochs_ratio(target.arms["base"]) is None
    assert (target.arms["slow"].median_epochs, target.arms["slow"].reached) == (4, 3)


def test_a_loss_is_reached_from_above(trained: Path) -> None:
    """Every made run ends at 0.5."""
    target = summarize(read_study(trained), "val_loss").time_to_target
    assert target is not None and [*target.arms["slow"].epochs.values()] == [1, 1, 1, 1]


def target_rows(summary: Summary) -> dict[str, list[str]]:
    """The rows of the table by arm."""
    [table] = [table for table in tables(summary, wide=True) if "as base's run" in table.title]
    return {row[0]: row[1:] for row in table.rows}


def test_the_wide_report_shows_epochs_and_seconds(trained: Path) -> None:
    """A made run trains 3 epochs in 1 s; later an epoch of the n-th arm takes n · 0.1 s, since its steps are timed."""
    summary = summarize(read_study(trained))
    rows = target_rows(summary)
    assert rows["base"] == ["4/4", "4", "1", "1.33", "1"] and rows["lost"][0] == "3/4"
    assert rows["fast"][:2] == ["4/4", "1.5"] and rows["slow"] == ["3/4", "4", "-", "1.33", "-"]
    assert not [table for table in tables(summary) if "reaches" in table.title]
    arms = {
        name: ArmTimes(run=f"{4 * n:012x}", steps_per_epoch=100, step=[1e-3 * (n + 1)] * ROUNDS, test=[1.0] * ROUNDS)
        for n, name in enumerate(ACCURACIES)
    }
    StudyTimes(members=1, steps=1, environment=EnvironmentRecord(), arms=arms).write(trained)
    rows = target_rows(summarize(read_study(trained)))
    (trained / FILE_NAME).unlink()
    assert rows["base"][3] == "0.400" and rows["fast"][3] == "0.300"


def test_requirements_are_on_ratios_by_seed(trained: Path) -> None:
    study = [read_study(trained)]
    for requirement, answered in (
        ("fast.target_epochs < 2 * base", GateStatus.HOLDS),
        ("fast.target_seconds < 2 * base", GateStatus.HOLDS),
        ("fast.target_epochs < base", GateStatus.INCONCLUSIVE),
        ("fast.target_epochs > 2 * base", GateStatus.FAILS),
        ("base.target_epochs <= 5", GateStatus.HOLDS),
        ("slow.target_epochs < base", GateStatus.INCONCLUSIVE),  # a run never reaches it
    ):
        [result] = judge(requirement, study)
        assert result.answer is answered, result


def test_without_a_history_nothing_is_said(timed: Path) -> None:
    assert summarize(read_study(timed)).time_to_target is None
    given = answer(["report", str(timed), "--require", "bn.target_epochs < base"], timed)
    assert given.code == 2 and "made has no baseline, or no history of test_acc's validation" in given.err
