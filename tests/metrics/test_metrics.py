"""Metrics: sums over batches against the exact formula, constant predictions, and a new metric through all commands."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dnntrain.engine.evaluation import MetricAccumulator
from dnntrain.errors import InputError
from dnntrain.metrics import (
    METRICS,
    PERCENT,
    Metric,
    TargetInfo,
    metric_columns,
    metric_of,
    predicted_classes,
    recorded_metrics,
    split_column,
    study_score,
    task_of,
)
from dnntrain.techniques.losses import choose_loss
from tests.support.inline import answer


def batches(units: int, labels: int, rows: int = 1500) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs (2, rows, units) and targets (1, rows) of two members."""
    generator = torch.Generator().manual_seed(0)
    outputs = 3 * torch.randn(2, rows, units, generator=generator)
    if not labels:
        return outputs, torch.randn(1, rows, generator=generator)
    return outputs, torch.randint(0, labels, (1, rows), generator=generator)


CASES = [("classification", "softmax", 4, 4), ("classification", "sigmoid", 1, 2), ("regression", "softmax", 1, 0)]


@pytest.mark.parametrize(("task", "output", "units", "labels"), CASES, ids=["softmax", "sigmoid", "regression"])
def test_sums_over_batches_are_the_exact_metric(task: str, output: str, units: int, labels: int) -> None:
    outputs, targets = batches(units, labels)
    info = TargetInfo(labels, deviation=7.0, variance=float(targets.double().var(correction=0)) if not labels else 1.0)
    metrics, loss = recorded_metrics(task), choose_loss(task, output)
    accumulator = MetricAccumulator(metrics, info)
    for start in range(0, 1500, 32):
        out, y = (part[:, start : start + 32] for part in (outputs, targets))
        real = out.shape[1]
        padded = [torch.nn.functional.pad(out, (0, 0, 0, 4), value=9.0), torch.nn.functional.pad(y, (0, 4))]
        accumulator.add(padded[0], padded[1], loss.losses(padded[0], padded[1]), real)
    results = accumulator.results("val")
    assert list(results) == [f"val_{metric.name}" for metric in metrics]
    for metric in metrics:
        exact = [metric.from_predictions(out.numpy(), targets[0].numpy(), info) for out in outputs]
        np.testing.assert_allclose(results[f"val_{metric.name}"], exact, rtol=1e-6, err_msg=metric.name)


def test_a_constant_prediction_has_the_metrics_that_follow_from_its_definition() -> None:
    train, held_out = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1, 1])
    info = TargetInfo(n_classes=2)
    assert METRICS["acc"].of_constant(train, held_out, info) == pytest.approx(2 / 5)  # the majority class
    expected = -(2 * np.log(3 / 4) + 3 * np.log(1 / 4)) / 5
    assert METRICS["loss"].of_constant(train, held_out, info) == pytest.approx(expected)
    targets = np.array([-1.0, 0.0, 2.0])
    regression = TargetInfo(deviation=10.0, variance=float(targets.var()))
    assert METRICS["rmse"].of_constant(targets, targets, regression) == pytest.approx(10 * np.sqrt(5 / 3))
    assert METRICS["r2"].of_constant(targets, targets, regression) == pytest.approx(1 - (5 / 3) / targets.var())


@pytest.mark.parametrize(("task", "output", "units", "labels"), CASES, ids=["softmax", "sigmoid", "regression"])
def test_a_mean_over_examples_has_a_value_for_each(task: str, output: str, units: int, labels: int) -> None:
    outputs, targets = batches(units, labels, 200)
    info, y, loss = TargetInfo(labels, deviation=7.0, variance=1.2), targets[0].numpy(), choose_loss(task, output)
    for metric in recorded_metrics(task):
        values = metric.per_example(outputs[0].numpy(), y, info)
        if metric.name in ("r2", "rmse"):
            assert values is None  # each follows from a mean, and is none
            continue
        assert values is not None and values.shape == (200,) and values.dtype == np.float64
        assert values.mean() == metric.from_predictions(outputs[0].numpy(), y, info)
        if metric.name == "loss":
            np.testing.assert_allclose(values, loss.losses(outputs, targets)[0].numpy(), rtol=1e-5, atol=1e-6)
        else:
            predicted = outputs[0].argmax(1) if units > 1 else outputs[0, :, 0] > 0
            assert values.tolist() == (predicted == targets[0]).double().tolist()


def test_columns_name_part_and_metric() -> None:
    assert metric_columns("classification")[:4] == ["train_loss", "train_acc", "val_loss", "val_acc"]
    assert split_column("mc_test_rmse") == ("mc_test", "rmse")
    assert metric_of("mc_test_acc") is METRICS["acc"]
    with pytest.raises(InputError, match="unknown metric 'val_ac'; did you mean 'val_acc'"):
        metric_of("val_ac")
    with pytest.raises(InputError, match="unknown metric 'acc'"):
        metric_of("acc")
    assert study_score("val_loss", ["val_loss", "val_r2"]).name == "r2"  # a loss does not say which task it is of
    assert task_of("val_loss", ["val_loss", "val_r2"]) == "regression" and task_of("val_loss", []) == "classification"
    assert study_score("val_rmse", []).name == "r2" and study_score("val_loss", []).name == "acc"


def test_two_metrics_of_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match="two metrics are named 'acc'"):

        class Again(Metric):
            name = "acc"


# ---- a new metric is one class


@pytest.fixture
def own_f1() -> Iterator[type[Metric]]:
    """Macro F1 with an update, declared for one test."""

    class OwnF1(Metric):
        name, tasks, label = "own_f1", ("classification",), "own F1"
        recorded = True
        higher_is_better, bounds, unit, decimals, delta = True, (0.0, 1.0), PERCENT, 2, 0.003

        def update(self, outputs: torch.Tensor, targets: torch.Tensor, losses: torch.Tensor) -> torch.Tensor:
            n, predicted = max(outputs.shape[2], 2), predicted_classes(outputs).long()
            ours, truth = (
                torch.nn.functional.one_hot(labels.expand_as(predicted), n).double() for labels in (predicted, targets)
            )
            return torch.cat([(ours * truth).sum(dim=1), ours.sum(dim=1), truth.sum(dim=1)], dim=1).T

        def compute(self, totals: np.ndarray, info: TargetInfo) -> np.ndarray:
            hits, predicted, actual = np.split(totals, 3)
            scores: np.ndarray = (2 * hits / np.maximum(predicted + actual, 1)).mean(axis=0)
            return scores

        def from_predictions(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> float:
            ours = predicted_classes(outputs)
            f1 = [
                2 * ((ours == c) & (targets == c)).sum() / max(1, (ours == c).sum() + (targets == c).sum())
                for c in range(info.n_classes)
            ]
            return float(np.mean(f1))

    yield OwnF1
    del METRICS["own_f1"]


STUDY = """
name: f1
base: {hidden: 8, epochs: 2, train_size: 300, val: 200, lr: 0.1, early_stop: 1, early_stop_metric: val_own_f1}
factors: {elu: {act: elu}}
seeds: 3
metric: val_own_f1
"""


def read_rows(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_metric_of_ones_own_is_one_class(own_f1: type[Metric], tmp_path: Path) -> None:
    outputs, targets = batches(4, 4, 500)
    totals = METRICS["own_f1"].update(outputs, targets, torch.zeros(2, 500)).numpy()
    exact = [METRICS["own_f1"].from_predictions(out.numpy(), targets[0].numpy(), TargetInfo(4)) for out in outputs]
    np.testing.assert_allclose(METRICS["own_f1"].compute(totals, TargetInfo(4)), exact)

    (tmp_path / "f1.yaml").write_text(STUDY)
    trained = answer(["ablate", "f1.yaml"], tmp_path, seconds=300)
    assert trained.code == 0, trained.err
    rows = read_rows(tmp_path / "runs/f1/results.csv")
    columns = [column for column in rows[0] if column.endswith("own_f1")]
    assert columns == ["train_own_f1", "val_own_f1", "test_own_f1", "mc_test_own_f1"]
    assert all(0.05 < float(row["val_own_f1"]) < 1 for row in rows)
    assert "val_own_f1 %" in trained.out

    # early stopping keeps the epoch with the best macro F1
    history = read_rows(tmp_path / "runs/f1/history.csv")
    for row in rows:
        own = [float(line["val_own_f1"]) for line in history if line["run"] == row["run"]]
        assert own.index(max(own)) + 1 == int(row["best_epoch"])

    # the report takes it as a metric, in requirements and in figures, which a page has once and not in three formats
    words = ["--metric", "test_own_f1", "--require", "elu.val_own_f1 >= 0.01", "--html", "page.html"]
    report = answer(["report", "runs", *words], tmp_path, seconds=300)
    assert report.code == 0, report.err
    assert "test_own_f1 %" in report.out and "HOLDS  elu.val_own_f1" in report.out
    shown = json.loads(answer(["report", "runs", "--json"], tmp_path).out)["studies"][0]
    assert shown["metric"] == "val_own_f1"
    assert shown["arms"][0]["mean"] == pytest.approx(np.mean([float(row["val_own_f1"]) for row in rows[:3]]))
    wrong = answer(["report", "runs", "--metric", "val_own"], tmp_path)
    assert wrong.code == 2 and "did you mean 'val_own_f1'" in wrong.err


def test_an_unknown_early_stopping_metric_is_refused_with_the_nearest(tmp_path: Path) -> None:
    words = ["train", "--early-stop", "2", "--early-stop-metric", "val_ac"]
    refused = answer(words, tmp_path)
    assert refused.code == 2 and "must be a validation metric; did you mean 'val_acc'" in refused.err
    assert "must be a validation metric" in answer([*words[:-1], "test_acc"], tmp_path).err


# ---- a metric of one's own that runs do not record


RARE = """
import numpy as np
from dnntrain.metrics import Metric, predicted_classes

class Rarest(Metric):
    name, tasks, label = "rarest", ("classification",), "recall of the last class"
    higher_is_better, bounds, unit = True, (0.0, 1.0), "%"

    def from_predictions(self, outputs, targets, info):
        last = targets == info.n_classes - 1
        return float((predicted_classes(outputs) == targets)[last].mean())
"""

SCRIPT = """
import sys
import dnntrain as dt
import rare
settings = dict(hidden=8, epochs=2, train_size=200, val=100, lr=0.1, progress=False, workers=1)
made = dt.ablate(arms={"elu": {"act": "elu"}}, seeds=2, name="own", select="best:val_rarest", metric="rarest",
                 **settings)
print(made.metric, sorted(c for c in made.runs.columns if "rarest" in c))
print(dt.report("runs", metric="val_rarest").studies[0].metric)
"""


def run_script(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(script)
    command = [sys.executable, "script.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | PATHS)


PATHS = {"PYTHONPATH": str(Path(__file__).parents[2])}


def test_a_metric_in_a_module_is_imported_by_the_workers(tmp_path: Path) -> None:
    (tmp_path / "rare.py").write_text(RARE)
    done = run_script(tmp_path, SCRIPT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["test_rarest ['test_rarest', 'val_rarest']", "val_rarest"]
    # a process that does not know it reads the study all the same
    shown = answer(["report", "runs", "--metric", "macro_f1"], tmp_path)
    assert shown.code == 0 and "test_macro_f1" in shown.out, shown.err


def test_a_metric_in_a_script_is_for_reports_only(tmp_path: Path) -> None:
    done = run_script(tmp_path, SCRIPT.replace("import rare\n", RARE))
    assert done.returncode != 0
    assert "metric rarest: Rarest is declared in a script or a notebook, which the workers" in done.stderr
    judged = SCRIPT.replace("import rare\n", RARE).replace(' select="best:val_rarest",', "")
    done = run_script(tmp_path, judged)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("test_rarest")


RECORDED = """
from dnntrain.metrics import RowMean, predicted_classes

class Errors(RowMean):
    name, tasks, label = "errors", ("classification",), "share of errors"
    higher_is_better, bounds, unit = False, (0.0, 1.0), "%"

    def rows(self, outputs, targets, losses):
        return predicted_classes(outputs) != targets
"""

RECORDING = """
import dnntrain as dt
import errors
made = dt.train(hidden=8, epochs=1, train_size=200, val=100, seeds=2, name="own", progress=False, workers=1)
print((made.runs["train_errors"] + made.runs["train_acc"]).tolist())
print((made.runs["test_errors"] + made.runs["test_acc"]).tolist())
"""


def test_a_recorded_metric_in_a_module_is_measured_by_the_workers(tmp_path: Path) -> None:
    (tmp_path / "errors.py").write_text(RECORDED)
    done = run_script(tmp_path, RECORDING)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[1.0, 1.0]\n[1.0, 1.0]\n"


def test_a_recorded_metric_in_a_script_is_refused(tmp_path: Path) -> None:
    done = run_script(tmp_path, RECORDING.replace("import errors\n", RECORDED))
    assert done.returncode != 0
    assert "metric errors: Errors is declared in a script or a notebook, which the workers" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_notebook_cell_that_runs_again_replaces_its_metric() -> None:
    def cell(label: str) -> None:
        class Again(Metric):
            name, tasks = "again", ("classification",)

        Again.label = label

    cell("first")
    cell("second")
    assert METRICS["again"].label == "second"
    del METRICS["again"]
