"""All pairs, effects, contributions and published values: what the tables say follows from their numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from dnntrain.analysis.summary import summarize
from dnntrain.store.study_files import read_study
from tests.reporting.test_report import ARMS, SAME, write_study
from tests.support.command import succeeds


def test_all_pairs_are_compared_in_every_metric_and_margin(tmp_path: Path) -> None:
    arms = {name: ARMS[name] for name in ("relu", "elu", "twin")} | {"broken": [0.9, 0.9, 0.9, None, None]}
    folder = write_study(tmp_path / "made", arms, constants={key: {"val_acc": 0.1, "val_loss": 0.9} for key in arms})
    assert "all pairs" not in succeeds("report", folder)
    [written] = json.loads(succeeds("report", folder, "--pairs", "--json"))["studies"]
    pairs = {(pair["arm"], pair["other"]): pair for pair in written["pairs"]}
    assert [*pairs] == [
        ("elu", "relu"), ("twin", "relu"), ("broken", "relu"), ("twin", "elu"), ("broken", "elu"), ("broken", "twin"),
    ]  # fmt: skip
    assert pairs["elu", "relu"]["verdict"] == "better" and pairs["twin", "elu"]["verdict"] == "worse"
    assert pairs["twin", "relu"]["verdict"] == "identical"
    assert pairs["broken", "elu"]["verdict"].endswith("2 of 5 lost")
    c = pairs["elu", "relu"]["comparison"]
    assert c["low"] > 0 and c["p"] < 0.05 and c["low"] < c["difference"] < c["high"]
    # of more comparisons than those with the baseline, so wider
    with_baseline = next(arm for arm in written["arms"] if arm["arm"] == "elu")
    assert c["high"] - c["low"] > with_baseline["high"] - with_baseline["low"]

    shown = " ".join(succeeds("report", folder, "--pairs", "--metric", "val_loss", "--delta", "50%").split())
    assert "All 6 pairs: simultaneous 95 % intervals by Tukey and Kramer's method on moderated variances." in shown
    assert "elu - relu 5 -0.0200 [" in shown and "better, but within ±δ" in shown


def test_published_values_are_judged_by_the_deviations_and_runs_of_both_sides(tmp_path: Path) -> None:
    arms = {name: ARMS[name] for name in ("relu", "elu", "worse", "close")}
    arms |= {"two runs": SAME[:2], "broken": [*SAME[:4], None]}
    values = {"relu": {"val_acc": 0.8601}, "elu": {"val_acc": 0.85}, "close": {"val_acc": 0.863},
              "two runs": {"val_acc": 0.86}, "broken": {"val_acc": 0.86, "val_loss": 0.14}}  # fmt: skip
    published = [{"name": name, "settings": {}, "published": values.get(name, {})} for name in arms]
    published[0]["published"] = {"val_acc": {"mean": 0.8601, "sd": 0.002, "n": 4}}
    folder = write_study(tmp_path / "made", arms, arms=published)
    found = {(result.runs.name, result.metric): result for result in summarize(read_study(folder)).published}
    assert {key: result.verdict for key, result in found.items()} == {
        ("relu", "val_acc"): "compatible",
        ("elu", "val_acc"): "differs",
        ("close", "val_acc"): "cannot tell: more runs of ours would not help",
        ("two runs", "val_acc"): "two seeds: no verdict",
        ("broken", "val_acc"): "cannot tell: 1 of 5 lost",
        ("broken", "val_loss"): "cannot tell: 1 of 5 lost",
    }
    ours = found["relu", "val_acc"].comparison
    assert ours is not None
    assert ours.z == pytest.approx((np.mean(SAME) - 0.8601) / math.sqrt(np.var(SAME, ddof=1) / 5 + 0.002**2 / 4))
    shown = " ".join(succeeds("report", folder).split())
    assert "published values" in shown and "0.002" not in shown and "86.01 ± 0.20 4" in shown
    assert "simultaneous over 5 published values" in shown
