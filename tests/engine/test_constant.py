"""Every record says what a network that ignores its inputs would have had: lost runs count as that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine import population
from dnntrain.engine.loop import train_population
from dnntrain.engine.run import Run
from dnntrain.engine.splits import splits_of
from dnntrain.transfer_learning.run_backbone import RunBackbone
from dnntrain.transfer_learning.stages import train_transfer
from tests.store.test_records import trained

QUICK: dict[str, Any] = {"hidden": "8", "epochs": 1, "val": 30, "batch_size": 16}


def table(n_classes: int, rows: int = 150, test: int = 50) -> Dataset:
    """Three columns and a target: a number, or a class that is the more frequent the lower its number."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows + test, 3))
    y = rng.normal(50, 7, rows + test) if not n_classes else (n_classes * rng.random(rows + test) ** 2).astype(np.int64)
    classes = tuple(f"class {number}" for number in range(n_classes))
    return Dataset("made", x[:rows], y[:rows], x[rows:], y[rows:], classes, "0" * 16, "none")


def trained_runs(data: Dataset, *settings: dict[str, Any]) -> list[Run]:
    return train_population([RunSpec.parse(QUICK | each) for each in settings], data)


@pytest.mark.parametrize(("n_classes", "output"), [(3, "softmax"), (2, "softmax"), (2, "sigmoid")])
def test_a_classification_counts_as_its_training_classes_shares(n_classes: int, output: str) -> None:
    data = table(n_classes)
    [run] = trained_runs(data, {"output": output})
    [(train, val)] = splits_of(data, [run.spec])
    shares = np.bincount(data.train_targets[train], minlength=n_classes) / len(train)
    for part, targets in (("val", data.train_targets[val]), ("test", data.test_targets)):
        assert run.constant[f"{part}_loss"] == pytest.approx(-np.log(shares[targets]).mean())
        assert run.constant[f"{part}_acc"] == pytest.approx((targets == shares.argmax()).mean())
        assert 0.2 < run.constant[f"{part}_acc"] < 0.9
    assert run.constant["mc_test_loss"] == run.constant["test_loss"]
    assert list(run.constant) == ["val_loss", "val_acc", "test_loss", "test_acc", "mc_test_loss", "mc_test_acc"]


def test_a_regression_counts_as_the_training_mean() -> None:
    data = table(0)
    [run] = trained_runs(data, {})
    mean, deviation = data.train_targets[:-30].mean(), data.train_targets[:-30].std()
    for part, targets in (("val", data.train_targets[-30:]), ("test", data.test_targets)):
        error = np.mean((targets - mean) ** 2)
        assert run.constant[f"{part}_rmse"] == pytest.approx(np.sqrt(error), rel=1e-6)
        assert run.constant[f"{part}_loss"] == pytest.approx(error / deviation**2, rel=1e-6)
        assert run.constant[f"{part}_r2"] == pytest.approx(1 - error / targets.var(), abs=1e-6)
        assert run.constant[f"{part}_r2"] <= 0


def test_what_is_undefined_is_left_out() -> None:
    data = table(0)
    data.train_targets[-30:] = 50.0
    [run] = trained_runs(data, {})
    assert "val_r2" not in run.constant and {"val_rmse", "test_r2"} <= run.constant.keys()


def test_it_is_computed_once_for_all_members_with_the_same_class_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    for metric in population.BatchSource(table(3), [RunSpec.parse(QUICK)], population.torch.device("cpu")).metrics:
        of_constant = metric.of_constant
        monkeypatch.setattr(
            metric, "of_constant", lambda *a, known=of_constant: counted.append(1) or known(*a), raising=False
        )
    runs = trained_runs(table(3), *({"seed": seed, "train_size": 60} for seed in range(5)))
    assert len(counted) == 4  # two metrics on two parts: a subset of the training part has the classes' shares
    assert all(run.constant == runs[0].constant for run in runs)


def test_a_lost_run_has_it_like_its_neighbors_and_a_resumed_one_too() -> None:
    good, bad = trained_runs(table(3), {}, {"lr": 1e6, "epochs": 3, "seed": 1})
    assert (good.status, bad.status) == ("finished", "diverged")
    assert bad.constant == good.constant and bad.constant["test_acc"] > 0


def test_a_transfer_counts_as_the_constant_of_its_own_data(mini: Dataset) -> None:
    settings = {"hidden": "20,16", "train_size": 100, "val": 200, "epochs": 2, "batch_size": 32}
    [below] = train_population([RunSpec.parse(settings)], mini)
    base = RunBackbone("0123456789ab", below.spec, below.weights, mini.shape, mini.classes)
    reusing = {"reuse_from": base.name, "freeze_epochs": 1, "unfreeze_layers": 1}
    [run] = train_transfer([RunSpec.parse(settings | reusing)], mini, base)
    assert run.constant == below.constant and run.constant["test_acc"] == pytest.approx(0.1, abs=0.02)


def test_records_hold_it_for_finished_and_for_lost_runs(tmp_path: Path) -> None:
    records = list(trained(tmp_path).records.values())
    assert {record.status for record in records} == {"finished", "diverged"}
    assert all(record.constant == records[0].constant for record in records)
    assert set(records[0].constant) == {f"{part}_{m}" for part in ("val", "test", "mc_test") for m in ("loss", "acc")}
