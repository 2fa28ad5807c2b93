"""Loss beside accuracy: both are judged, each as a family of its own, and the report says where verdicts differ."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from dnntrain.analysis.options import AnalysisOptions
from dnntrain.analysis.secondary import disagreements, secondary_metric
from dnntrain.analysis.summary import summarize
from dnntrain.reporting.exports.csv_json import to_csv, to_json
from dnntrain.reporting.footer import footer
from dnntrain.reporting.tables import main_table
from dnntrain.store.study_files import Results, read_study
from tests.support.studies import DIVERGED, write_study


def study(folder: Path, metric: str = "test_acc", *, with_loss: bool = True) -> Results:
    """An arm with a better loss and a worse accuracy, one that is better in both, and one that is like the baseline."""
    rng = np.random.default_rng(0)
    values = {}
    for name, acc, loss in (("base", 0.8, 0.6), ("dropout .5", 0.75, 0.5), ("bn", 0.85, 0.5), ("same", 0.8, 0.6)):
        by_seed = {"test_acc": acc + 0.004 * rng.normal(size=5), "val_acc": np.full(5, 0.8)}
        if with_loss:
            by_seed["test_loss"] = loss + 0.01 * rng.normal(size=5)
        values[name] = {column: numbers.tolist() for column, numbers in by_seed.items()}
    return read_study(write_study(folder, values, metric))


@pytest.mark.parametrize("metric", ["test_acc", "test_loss"])
def test_both_metrics_are_judged_as_if_alone(tmp_path: Path, metric: str) -> None:
    summary = summarize(study(tmp_path / "made", metric))
    other = {"test_acc": "test_loss", "test_loss": "test_acc"}[metric]
    alone = summarize(study(tmp_path / "other", metric), other)
    assert summary.secondary is not None and summary.secondary.metric == other and summary.secondary.secondary is None
    assert [arm.comparison for arm in summary.secondary.arms] == [arm.comparison for arm in alone.arms]
    assert [arm.verdict for arm in summary.secondary.arms] == [arm.verdict for arm in alone.arms]
    text = "\n".join(footer(summary))
    assert f"{other} is judged separately: its intervals all hold together at 95 %, and so do those of {metric}" in text
    words = {"test_acc": "worse", "test_loss": "better"}
    differing = f"{words[metric]} in {metric} but {words[other]} in {other} (dropout .5)"
    assert f"Verdicts differ by metric: {differing}." in text
    table = main_table(summary, wide=False)
    at = table.headings.index(f"verdict by {other}")
    assert [row[at] for row in table.rows[:3]] == ["baseline", words[other], "better"]
    assert table.headings[at - 1] == f"Δ {other} [95 %]" and table.rows[0][at - 1] == ""


def test_programs_get_both_verdicts(tmp_path: Path) -> None:
    summary = summarize(study(tmp_path / "made"), options=AnalysisOptions(sort="mean"))
    row = next(row for row in csv.DictReader(io.StringIO(to_csv([summary]))) if row["arm"] == "dropout .5")
    assert (row["verdict"], row["secondary_metric"], row["secondary_verdict"]) == ("worse", "test_loss", "better")
    assert summary.secondary is not None
    comparison = summary.secondary.arm("dropout .5").comparison
    assert comparison is not None and float(row["secondary_high"]) == comparison.high < 0
    [content] = json.loads(to_json([summary]))["studies"]
    assert content["secondary"]["differing"][0] == {
        "verdict": "worse", "secondary_verdict": "better", "arms": ["dropout .5"]
    }  # fmt: skip
    of_arms = {arm["arm"]: arm["secondary_p"] for arm in content["arms"]}
    assert content["secondary"]["comparisons"] == 3 and of_arms["base"] is None and of_arms["bn"] < 0.05


def test_one_metric_alone_where_there_is_no_other_or_one_is_asked_for(tmp_path: Path) -> None:
    both = study(tmp_path / "both")
    assert summarize(both, "val_acc").secondary is None  # asked for, and not the study's own
    assert summarize(both, "test_loss").secondary is None
    missing = summarize(study(tmp_path / "missing", with_loss=False))
    assert missing.secondary is None and not any(
        "verdict by" in each for each in main_table(missing, wide=True).headings
    )
    assert not any("second metric" in line for line in footer(missing))
    assert secondary_metric("val_loss", ["val_acc"]) == "val_acc"
    assert not secondary_metric("train_loss", ["train_acc"]) and not secondary_metric("test_r2", ["test_loss"])


def test_lost_runs_count_by_both_metrics(tmp_path: Path) -> None:
    values = {
        "base": {"test_acc": [0.8, 0.81, 0.82, 0.8, 0.79], "test_loss": [0.6, 0.61, 0.6, 0.59, 0.62]},
        "wild": {"test_acc": [DIVERGED] * 5, "test_loss": [DIVERGED] * 5},
    }
    summary = summarize(read_study(write_study(tmp_path / "made", values)))
    assert summary.secondary is not None and summary.secondary.arm("wild").verdict == "never finishes: worse"
    assert not any("differ by metric" in line for line in footer(summary))


def test_verdicts_that_differ() -> None:
    ours = {
        "a": "better, but within ±δ",
        "b": "inconclusive: 1 of 5 lost",
        "c": "inconclusive",
        "d": "better",
        "e": "worse",
    }
    others = {"a": "better", "b": "worse (1 of 5 lost)", "c": "equivalent", "d": "no verdict: x", "e": "equivalent"}
    assert disagreements(ours, others) == {("inconclusive", "worse"): ["b"], ("worse", "equivalent"): ["e"]}
