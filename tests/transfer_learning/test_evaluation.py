"""Predictions computed again from a record are those that training kept, whatever network is below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, Dataset
from dnntrain.engine.run import Run
from dnntrain.errors import InputError
from dnntrain.store.run_store import RunStore
from dnntrain.transfer_learning.evaluation import evaluate_record, sample_record
from dnntrain.transfer_learning.image_backbone import ImageBackbone
from dnntrain.transfer_learning.stages import train_transfer

RUN, NET = "0123456789ab", "resnet18@seed0"
FROZEN = {"hidden": "5", "bn": True}
STAGES: list[dict[str, Any]] = [
    FROZEN,
    {"hidden": "none", "freeze_epochs": 1, "unfreeze_layers": 1},
    {"hidden": "none", "freeze_epochs": 0, "unfreeze_layers": "all"},
]


def dots() -> Dataset:
    """33 images, of which one class is darker."""
    levels, labels = np.random.default_rng(0).integers(0, 256, (33, 3, 8, 8), np.uint8), np.arange(33) % 2
    levels[labels == 1] //= 2
    return Dataset("dots", levels[:24], labels[:24], levels[24:], labels[24:], ("a", "b"), "0" * 16, "none")


def recorded(settings: dict[str, Any], data: Dataset, folder: Path) -> tuple[Run, RunStore]:
    """A run on top of an image network, and the store that holds it."""
    home, store = DataLocation(folder / "home"), RunStore(folder / "runs")
    common = {"reuse_from": NET, "resize": 32, "epochs": 2, "val": 3, "batch_size": 5, "lr": 0.05}
    [run] = train_transfer([RunSpec.parse(common | settings)], data, ImageBackbone(NET, home))
    store.write(run.to_record(RUN, data.description(), {}), run.weights)
    return run, store


@pytest.mark.parametrize("settings", STAGES, ids=["frozen", "one unfrozen", "all unfrozen"])
def test_a_run_on_an_image_network_is_evaluated_again(settings: dict[str, Any], tmp_path: Path) -> None:
    data = dots()
    run, store = recorded(settings, data, tmp_path)
    found = evaluate_record(store.read(RUN), data, store, DataLocation(tmp_path / "home"))
    assert run.predictions and found.info == run.predictions.info
    for part in ("val", "test"):
        np.testing.assert_array_equal(found.outputs[part], run.predictions.outputs[part])
        np.testing.assert_array_equal(found.targets[part], run.predictions.targets[part])


def test_dropout_is_sampled_as_after_training(tmp_path: Path) -> None:
    """The same masks, so the same metrics, without another training; on both held-out parts."""
    data, settings = dots(), {"hidden": "6,5", "dropout": 0.5, "freeze_epochs": 1, "unfreeze_layers": 1}
    run, store = recorded(settings | {"mc_dropout": 4}, data, tmp_path)
    found = sample_record(store.read(RUN), data, store, DataLocation(tmp_path / "home"), 4)
    assert found is not None and run.predictions is not None
    for name in ("loss", "acc"):
        assert found.metric(f"test_{name}") == pytest.approx(run.test[f"mc_test_{name}"], rel=1e-6)
    assert found.metric("test_loss") != pytest.approx(run.test["test_loss"], rel=1e-6)
    assert not np.array_equal(found.outputs["val"], run.predictions.outputs["val"])


def test_weights_that_are_not_all_there_are_named(tmp_path: Path) -> None:
    data = dots()
    run, store = recorded(FROZEN, data, tmp_path)
    del run.weights["output.bias"]
    record = store.write(run.to_record(RUN, data.description(), {}), run.weights)
    with pytest.raises(InputError, match=r"weights.safetensors: has no tensor output.bias, which its network needs"):
        evaluate_record(record, data, store, DataLocation(tmp_path / "home"))
