"""A run holds what its kept weights predict for held-out examples, and its metrics are those of the predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.loop import train_population
from dnntrain.engine.run import Run
from dnntrain.engine.splits import splits_of
from dnntrain.metrics import HELD_OUT, recorded_metrics
from dnntrain.store.predictions import Predictions
from dnntrain.transfer_learning.run_backbone import RunBackbone
from dnntrain.transfer_learning.stages import train_transfer
from tests.engine.test_constant import table

SMALL: dict[str, Any] = {"hidden": "9,6", "val": 37, "batch_size": 16, "epochs": 6, "lr": 0.2}
TASKS: dict[str, tuple[int, dict[str, Any]]] = {
    "softmax": (3, {}),
    "two classes": (2, {}),
    "sigmoid": (2, {"output": "sigmoid"}),
    "regression": (0, {"lr": 0.02}),
}
KEPT: list[dict[str, Any]] = [
    {},
    {"early_stop": 1},
    {"early_stop": 1, "early_stop_restore": False},
    {"bn": True, "dropout": 0.2, "mc_dropout": 3, "early_stop": 2},
    {"train_size": 50, "scale": "standard"},
    {"train_size": 50, "select": "best:val_loss"},
]


def check(run: Run, data: Dataset) -> Predictions:
    """The predictions of a run, whose metrics are those that the run reports."""
    assert run.predictions
    task = data.outline.task
    reported = {**run.kept_row, **run.test}
    for column in (f"{part}_{metric.name}" for part in HELD_OUT for metric in recorded_metrics(task)):
        value = run.predictions.metric(column)
        assert value == pytest.approx(reported[column], rel=1e-5, abs=1e-6), column
    for part, outputs in run.predictions.outputs.items():
        assert outputs.dtype == np.float32 and outputs.shape == (len(run.predictions.targets[part]), outputs.shape[1])
    return run.predictions


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("settings", KEPT, ids=lambda settings: ",".join(settings) or "plain")
def test_predictions_give_the_metrics_of_the_run(task: str, settings: dict[str, Any]) -> None:
    n_classes, own = TASKS[task]
    data = table(n_classes, rows=150, test=1100)  # more than are evaluated at a time
    specs = [RunSpec.parse(SMALL | own | settings | {"seed": seed}) for seed in range(4)]
    runs = train_population(specs, data)
    assert {run.status for run in runs} == {"finished"}
    for run in runs:
        found = check(run, data)
        [(_, val)] = splits_of(data, [run.spec])
        for part, targets in (("val", data.train_targets[val]), ("test", data.test_targets)):
            if n_classes:
                np.testing.assert_array_equal(found.targets[part], targets)
            else:
                np.testing.assert_allclose(np.corrcoef(found.targets[part], targets)[0, 1], 1)
            per_example = recorded_metrics(data.outline.task)[0].per_example(
                found.outputs[part], found.targets[part], found.info[part]
            )
            assert per_example is not None and len(per_example) == len(targets)
        assert found.outputs["test"].shape == (1100, run.spec.n_outputs(data.outline))
        # runs that stop at different epochs share the targets of their split all the same
        assert all(np.array_equal(found.targets[part], check(runs[0], data).targets[part]) for part in found.targets)


def test_the_kept_epoch_differs_from_the_last_in_these_tests() -> None:
    runs = train_population([RunSpec.parse(SMALL | {"early_stop": 1, "seed": seed}) for seed in range(4)], table(3))
    assert any(run.kept_epoch < len(run.history) for run in runs)


def test_predictions_have_the_same_bits_alone_and_in_a_population() -> None:
    data = table(3)
    specs = [RunSpec.parse(SMALL | {"seed": seed, "early_stop": 1, "bn": True}) for seed in range(5)]
    for spec, run in zip(specs, train_population(specs, data), strict=True):
        [alone] = train_population([spec], data)
        for part in ("val", "test"):
            assert check(alone, data).outputs[part].tobytes() == check(run, data).outputs[part].tobytes()


def test_a_lost_run_has_none_and_neither_has_one_that_is_not_to_keep_them() -> None:
    specs = [RunSpec.parse(SMALL | {"lr": lr}) for lr in (0.02, 1e6)]
    good, bad = train_population(specs, table(0))
    assert bad.status == "diverged" and bad.predictions is None
    check(good, table(0))
    [without] = train_population(specs[:1], table(0), keep_predictions=False)
    assert without.predictions is None and without.test == good.test


@pytest.mark.parametrize(
    "stages", [{}, {"freeze_epochs": 1, "unfreeze_layers": 1}, {"freeze_epochs": 0, "unfreeze_layers": "all"}], ids=str
)
def test_a_transfer_predicts_with_its_last_stage(stages: dict[str, Any], mini: Dataset) -> None:
    settings = {"hidden": "20,16", "train_size": 100, "val": 200, "epochs": 2, "batch_size": 32}
    [below] = train_population([RunSpec.parse(settings)], mini)
    base = RunBackbone("0123456789ab", below.spec, below.weights, mini.shape, mini.classes)
    specs = [RunSpec.parse(settings | stages | {"reuse_from": base.name, "seed": seed}) for seed in range(2)]
    for run in train_transfer(specs, mini, base):
        assert check(run, mini).outputs["val"].shape == (200, 10)
