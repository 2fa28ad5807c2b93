"""The runs of an arm by one metric: which finished, which were lost, and what a lost run counts as."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from dnntrain.analysis.runs import ArmRuns, arms_by_metric
from dnntrain.analysis.summary import summarize
from dnntrain.store.study_files import read_study
from tests.support.studies import CLASSES, DATA, DIVERGED, FAILED, NOT_MEASURED, NOT_RUN, write_study

PLAIN = [0.71, 0.73, 0.72, 0.74, 0.7]


def arms_of(folder: Path, metric: str = "test_acc") -> dict[str, ArmRuns]:
    return arms_by_metric(read_study(folder), metric)


def test_every_end_of_a_run_is_counted_for_itself(tmp_path: Path) -> None:
    ends = [0.8, DIVERGED, FAILED, NOT_RUN, NOT_MEASURED]
    arm = arms_of(write_study(tmp_path / "made", {"base": {"test_acc": PLAIN}, "a": {"test_acc": ends}}))["a"]
    assert (arm.finished, arm.diverged, arm.failed, arm.not_measured) == ({0: 0.8}, (1,), (2,), (4,))
    assert (arm.planned, arm.made, arm.lost) == (5, 4, 2)
    assert arm.values == {0: 0.8, 1: 0.1, 2: 0.1}


def test_an_infinite_metric_is_lost_and_the_seeds_of_lost_runs_are_in_order(tmp_path: Path) -> None:
    values = {"base": {"val_loss": [1.0, 1.1, 1.2]}, "a": {"val_loss": [math.inf, 0.9, DIVERGED]}}
    arm = arms_of(write_study(tmp_path / "made", values, metric="val_loss"), "val_loss")["a"]
    assert arm.diverged == (0, 2) and list(arm.values) == [0, 1, 2]
    assert arm.lost_value == pytest.approx(math.log(len(CLASSES))) and arm.lost_value_is_assumed


def test_a_lost_run_counts_as_the_recorded_constant(tmp_path: Path) -> None:
    values = {"base": {"test_acc": PLAIN}, "a": {"test_acc": [0.8, DIVERGED, 0.8, 0.8, 0.8]}}
    constants = {name: {"test_acc": 0.35} for name in values}
    arm = arms_of(write_study(tmp_path / "made", values, constants=constants))["a"]
    assert arm.values[1] == 0.35 and not arm.lost_value_is_assumed


def test_no_lost_run_outranks_a_finished_one(tmp_path: Path) -> None:
    values = {"base": {"test_acc": [0.05, *PLAIN[1:]]}, "a": {"test_acc": [0.8, DIVERGED, 0.8, 0.8, 0.8]}}
    assert arms_of(write_study(tmp_path / "made", values))["a"].lost_value == 0.05
    losses = {"base": {"test_loss": [9.0, 1.0, 1.0]}, "a": {"test_loss": [1.0, DIVERGED, 1.0]}}
    assert arms_of(write_study(tmp_path / "losses", losses, metric="test_loss"), "test_loss")["a"].lost_value == 9.0


def test_an_unknown_constant_leaves_the_arm_without_a_verdict(tmp_path: Path) -> None:
    values = {"base": {"test_rmse": [3.0, 3.1, 3.2]}, "a": {"test_rmse": [2.0, DIVERGED, 2.1]}}
    data = DATA | {"task": "regression", "classes": []}
    summary = summarize(read_study(write_study(tmp_path / "made", values, metric="test_rmse", datasets=[data])))
    arm = summary.arm("a")
    assert math.isnan(arm.runs.lost_value) and list(arm.values) == [0, 2]
    assert arm.verdict == "no verdict: 1 of 3 lost, and what a lost run counts as is not known"
    assert summary.best == []


def test_intervals_are_clipped_to_what_the_metric_can_differ_by(tmp_path: Path) -> None:
    values = {"base": {"test_acc": [0.2, 0.9]}, "a": {"test_acc": [0.9, 0.3]}}
    summary = summarize(read_study(write_study(tmp_path / "made", values)))
    c = summary.arm("a").comparison
    assert c and (c.low, c.high, c.narrow_low, c.narrow_high) == (-1, 1, -1, 1)
    assert summary.arm("a").verdict == "two seeds: no verdict"


def test_identical_means_equal_records_and_not_equal_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    other = rng.normal(0.5, 0.01, 5).tolist()
    values = {
        "base": {"test_acc": PLAIN, "val_acc": PLAIN},
        "twin": {"test_acc": PLAIN, "val_acc": PLAIN},
        "same test": {"test_acc": PLAIN, "val_acc": other},
        "shifted": {"test_acc": [value + 0.01 for value in PLAIN], "val_acc": other},
    }
    summary = summarize(read_study(write_study(tmp_path / "made", values)))
    assert {arm.name: arm.verdict for arm in summary.arms} == {
        "base": "",
        "twin": "identical",
        "same test": "equal at every seed",
        "shifted": "same difference at every seed",
    }
