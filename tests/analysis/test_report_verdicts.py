"""What `report` concludes on the command line where runs are lost, or validation and test disagree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dnntrain as dt
from tests.support.command import error_of, succeeds
from tests.support.studies import DIVERGED, FAILED, NOT_MEASURED, NOT_RUN, Value, write_study


def normal(mean: float, seeds: int, seed: int, deviation: float = 0.01) -> list[Value]:
    """Made-up accuracies."""
    return [*np.random.default_rng(seed).normal(mean, deviation, seeds).round(4).tolist()]


def verdicts(folder: Path, *flags: str) -> dict[str, str]:
    """The verdict on each arm in the JSON of the command."""
    return {arm["arm"]: arm["verdict"] for arm in study_json(folder, *flags)["arms"]}


def study_json(folder: Path, *flags: str) -> dict[str, Any]:
    [study] = json.loads(succeeds("report", folder, "--json", *flags))["studies"]
    assert isinstance(study, dict)
    return study


def line_of(text: str, start: str) -> str:
    """The line of the report that starts with these words."""
    return next(line for line in text.splitlines() if line.strip().startswith(start))


def test_an_arm_with_8_of_10_lost_is_not_better(tmp_path: Path) -> None:
    wild: list[Value] = [DIVERGED] * 8
    folder = write_study(tmp_path / "made", {
        "base": {"test_acc": normal(0.85, 10, 1)},
        "wild": {"test_acc": wild + normal(0.9, 2, 2)},
        "good": {"test_acc": normal(0.88, 10, 3)},
    })  # fmt: skip
    assert verdicts(folder)["wild"] == "worse (8 of 10 lost)"
    shown = succeeds("report", folder)
    assert "2/10" in line_of(shown, "wild") and "worse (8 of 10 lost)" in line_of(shown, "wild")
    assert "better" in line_of(shown, "good")
    line = line_of(shown, "wild lost 8 of 10 runs (95 % interval of the rate: 44 to 97 %")
    assert "they count as chance (10.00 %)." in line
    assert "not a verdict" in line_of(shown, "Among the runs of wild that finished: +")


def test_an_arm_that_never_finishes_is_worse_and_the_reverse_is_better(tmp_path: Path) -> None:
    lost: list[Value] = [DIVERGED, DIVERGED, FAILED, DIVERGED, FAILED]
    folder = write_study(
        tmp_path / "made",
        {"base": {"test_acc": normal(0.85, 5, 1)}, "dead": {"test_acc": lost}, "gone": {"test_acc": lost}},
    )
    assert verdicts(folder) == {"base": None, "dead": "never finishes: worse", "gone": "never finishes: worse"}
    row = line_of(succeeds("report", folder), "dead")
    assert "0/5" in row and "10.00 ± 0.00 (none finished)" in row
    against = study_json(folder, "--baseline", "dead")
    assert {arm["arm"]: arm["verdict"] for arm in against["arms"]} == {
        "base": "better: the baseline never finishes",
        "dead": None,
        "gone": "both never finish",
    }
    gone = next(arm for arm in against["arms"] if arm["arm"] == "gone")
    assert gone["difference"] is None and gone["p"] is None


def test_validation_cannot_flatter(tmp_path: Path) -> None:
    """An arm that is better on validation by .85 points and worse on the test set by .50."""
    seeds = 10
    noise = np.random.default_rng(4).normal(0, 0.002, (4, seeds))
    values = {
        "base": {"test_acc": (0.85 + noise[0]).tolist(), "val_acc": (0.86 + noise[1]).tolist()},
        "flat": {"test_acc": (0.845 + noise[2]).tolist(), "val_acc": (0.8685 + noise[3]).tolist()},
    }
    settings = {name: {"early_stop": 3, "epochs": 9} for name in values}
    folder = write_study(tmp_path / "made", values, settings=settings)
    assert verdicts(folder)["flat"] == "worse"
    shown = succeeds("report", folder)
    assert "val_acc %" in shown and "86.8" in line_of(shown, "flat")  # a column, for what it is worth
    by_validation = " ".join(succeeds("report", folder, "--metric", "val_acc").split())
    assert "val_acc is optimistic, because the validation part chose the kept epoch." in by_validation
    assert "Mean val_acc − test_acc of the finished runs: base +1." in by_validation
    assert "--metric test_acc judges by the test part." in by_validation
    assert "optimistic" not in shown


def test_one_lost_run_leaves_the_verdicts_on_the_other_arms(tmp_path: Path) -> None:
    arms = {name: normal(mean, 8, seed) for seed, (name, mean) in enumerate(
        {"base": 0.85, "good": 0.88, "same": 0.85, "bad": 0.8, "odd": 0.86}.items()
    )}  # fmt: skip
    whole = study_json(write_study(tmp_path / "whole", {name: {"test_acc": v} for name, v in arms.items()}))
    arms["odd"][3] = DIVERGED
    lossy = study_json(write_study(tmp_path / "lossy", {name: {"test_acc": v} for name, v in arms.items()}))
    for before, after in zip(whole["arms"], lossy["arms"], strict=True):
        if before["arm"] == "odd":
            assert after["verdict"] == "inconclusive: 1 of 8 lost"
        elif before["arm"] != "base":
            assert before["verdict"] == after["verdict"]
            widths = [arm["high"] - arm["low"] for arm in (before, after)]
            assert widths[1] == pytest.approx(widths[0], rel=0.25)


def test_one_seed_diverged_not_run_yet_and_not_measured_have_a_word_each(tmp_path: Path) -> None:
    one_seed = write_study(tmp_path / "one", {
        "base": {"test_acc": [0.85]},
        "one": {"test_acc": [0.86]},
        "blown": {"test_acc": [DIVERGED]},
        "blind": {"test_acc": [NOT_MEASURED]},
    })  # fmt: skip
    words = ["one seed: no interval", "one seed: no interval (1 of 1 lost)", "not measured"]
    assert list(verdicts(one_seed).values())[1:] == words
    shown = succeeds("report", one_seed)
    assert "diverged" in [line for line in shown.splitlines() if line.strip().startswith("blown")][1]
    assert "Finished without a value of test_acc, and not counted: blind 1 of 1 runs." in shown
    running = write_study(tmp_path / "running", {
        "base": {"test_acc": normal(0.85, 3, 1)},
        "some": {"test_acc": [0.86, 0.87, NOT_RUN]},
        "later": {"test_acc": [NOT_RUN] * 3},
    })  # fmt: skip
    assert list(verdicts(running).values())[1:] == ["2 of 3 seeds so far", "not run yet"]
    assert "not run yet" in [line for line in succeeds("report", running).splitlines() if "later" in line][1]


def test_no_pair_gets_a_verdict_before_all_planned_runs_are_made(tmp_path: Path) -> None:
    running = write_study(tmp_path / "running", {
        "base": {"test_acc": normal(0.85, 5, 1)},
        "good": {"test_acc": normal(0.95, 5, 2)},
        "late": {"test_acc": [*normal(0.9, 4, 3), NOT_RUN]},
    })  # fmt: skip
    written = study_json(running, "--pairs")
    assert [arm["verdict"] for arm in written["arms"]] == [None, "5 of 5 seeds so far", "4 of 5 seeds so far"]
    assert [pair["verdict"] for pair in written["pairs"]] == [
        "5 of 5 seeds so far", "4 of 5 seeds so far", "4 of 5 seeds so far",
    ]  # fmt: skip
    assert " better" not in succeeds("report", running, "--pairs")


def test_equal_is_not_said_where_a_run_was_lost(tmp_path: Path) -> None:
    near = [0.8501, 0.8502, 0.8499, 0.85, 0.8498]
    values = {"base": {"test_acc": near}, "a": {"test_acc": [v + 1e-4 for v in near[:4]] + [0.8503]}}
    folder = write_study(tmp_path / "whole", values)
    assert verdicts(folder, "--delta", "5pp")["a"] == "equivalent"
    lossy = values | {"a": {"test_acc": [*values["a"]["test_acc"][:4], DIVERGED]}}
    constants = {name: {"test_acc": 0.849} for name in lossy}  # so close that the intervals would say equivalent
    folder = write_study(tmp_path / "lossy", lossy, constants=constants)
    assert verdicts(folder, "--delta", "5pp")["a"] == "inconclusive: 1 of 5 lost"


def test_a_baseline_that_loses_runs_is_named_and_another_one_offered(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "made", {
        "base": {"test_acc": [*normal(0.85, 4, 1), DIVERGED]},
        "a": {"test_acc": normal(0.88, 5, 2)},
        "b": {"test_acc": normal(0.86, 5, 3)},
    })  # fmt: skip
    assert verdicts(folder)["a"] == "inconclusive: the baseline lost 1 of 5"
    shown = succeeds("report", folder)
    assert "base lost runs, so only large differences from it can be shown; --baseline a compares" in shown
    again = succeeds("report", folder, "--baseline", "a")
    assert "Δ from a in points" in again and "baseline" in line_of(again, "a ")
    assert "1 of 5 lost" in line_of(again, "base")
    assert "no such arm; did you mean 'base'?" in error_of("report", folder, "--baseline", "bass")


def test_the_python_api_gives_the_same_verdicts(tmp_path: Path) -> None:
    dead: list[Value] = [DIVERGED] * 5
    folder = write_study(tmp_path / "made", {"base": {"test_acc": normal(0.85, 5, 1)}, "dead": {"test_acc": dead}})
    [study] = dt.report(folder).studies
    assert study.verdicts == {"dead": "never finishes: worse"}
    [study] = dt.report(folder, baseline="dead", method="paired").studies
    assert study.verdicts == {"base": "better: the baseline never finishes"}
    assert study.summary.frame["method"].tolist() == ["paired"] * 2
