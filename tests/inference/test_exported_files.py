"""Exports of trained runs, as a process without dnntrain finds them: they give the recorded test metrics."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, Dataset
from dnntrain.engine.loop import train_population
from dnntrain.engine.run import Run
from dnntrain.store.run_store import RunStore
from dnntrain.transfer_learning.image_backbone import ImageBackbone
from dnntrain.transfer_learning.resolve import run_backbone
from dnntrain.transfer_learning.stages import train_transfer
from dnntrain.utils.user_code.reference import code_of
from tests.support.command import environment, succeeds

QUICK: dict[str, Any] = {"batch_size": 20, "val": 40, "epochs": 1, "lr": 0.05}
CODE = "tests/support/cut_modules.py"
RUNS: dict[str, dict[str, Any]] = {
    "mlp on a table": {"hidden": "6", "bn": True},
    "regression": {"hidden": "6", "act": "tanh"},
    "cnn": {"net": "cnn:channels=4/4", "hidden": "5", "scale": "standard"},
    "resnet": {"net": "resnet:blocks=1/1,width=4", "bn": True},
    "sigmoid": {"net": "cnn:channels=4", "hidden": "none", "output": "sigmoid"},
    "module": {"net": f"module:{CODE}:Declared", "act": "elu", "dropout": 0.3},
    "lazy module": {"net": f"module:{CODE}:Lazy"},
    "tokens": {"net": f"module:{CODE}:Embedded:tokens={{tokens}}"},
    "package": {"net": "module:torch.nn:Linear:in_features=6,out_features={classes}"},
}
TRANSFERS: dict[str, dict[str, Any]] = {
    "from a run": {"net": "cnn:channels=4/4", "hidden": "5,4", "bn": True, "transfer_layers": 2},
    "unfrozen": {"net": "cnn:channels=4/4", "hidden": "5", "transfer_layers": 2, "freeze_epochs": 0,
                 "unfreeze_layers": 1},
    "flattened": {"net": "cnn:channels=4/4", "hidden": "7", "dropout": 0.1, "transfer_layers": 2},
    "module parts": {"net": f"module:{CODE}:sequential", "transfer_layers": 1},
    "image model": {"reuse_from": "resnet18@seed0", "resize": 32, "hidden": "5", "bn": True},
    "image model, upper layers trained": {"reuse_from": "resnet18@seed0", "resize": 32, "hidden": "none",
                                          "freeze_epochs": 0, "unfreeze_layers": 1},
    "image model, lower layers": {"reuse_from": "resnet18@seed0", "resize": 32, "hidden": "none",
                                  "transfer_layers": 2},
}  # fmt: skip

OUTSIDE = """
import importlib.util, json, sys
import numpy as np, torch

sys.modules["dnntrain"] = None  # an import of it fails
library = torch.library.Library("torchvision", "DEF")  # a torchvision that is built for CUDA asks for them
for name in ("nms", "qnms"):
    library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
for number, (folder, inputs, outputs) in enumerate(json.load(sys.stdin)):
    spec = importlib.util.spec_from_file_location("model", f"{folder}/model.py")
    module = sys.modules["model"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.load()
    assert not model.training and all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        np.save(outputs, model(torch.from_numpy(np.load(inputs))).numpy())
"""


@dataclass(frozen=True)
class Trained:
    """A recorded run and its data."""

    run_id: str
    data: Dataset
    run: Run


def dataset(inputs: np.ndarray, targets: np.ndarray, classes: tuple[str, ...]) -> Dataset:
    """200 examples: 160 to train on, 40 to test on."""
    parts = inputs[:160], targets[:160], inputs[160:], targets[160:]
    return Dataset("made", *parts, classes, "0" * 16, "none")


def made() -> dict[str, Dataset]:
    """A data set of each kind, by the runs that it is for."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    images = rng.integers(0, 128, (200, 3, 8, 8), np.uint8) + 100 * labels[:, None, None, None].astype(np.uint8)
    columns = rng.normal(1e4, 50, (200, 6)) + 100 * labels[:, None]
    columns[rng.random((200, 6)) < 0.1] = np.nan
    tokens = rng.integers(0, 9, (200, 5)).astype(np.int32) + 9 * labels[:, None].astype(np.int32)
    classes = ("a", "b")
    targets = 300 + 7 * np.nan_to_num(columns[:, 0] - 1e4) / 50 + rng.normal(0, 1, 200)
    table = dataset(columns, labels, classes)
    own = {"mlp on a table": table, "package": table, "tokens": dataset(tokens, labels, classes)}
    own["regression"] = dataset(columns, targets, ())
    return {name: own.get(name, dataset(images, labels, classes)) for name in [*RUNS, *TRANSFERS]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    return RunStore(tmp_path_factory.mktemp("exports") / "runs")


@pytest.fixture(scope="module")
def trained(store: RunStore) -> dict[str, Trained]:
    """Each run, trained for an epoch and recorded."""
    found: dict[str, Trained] = {}
    for number, (name, data) in enumerate(made().items()):
        settings = RUNS.get(name) or TRANSFERS[name]
        run_id = f"{number:012x}"
        if name in RUNS:
            [run] = train_population([RunSpec.parse(QUICK | settings)], data)
        elif "reuse_from" in settings:
            backbone = ImageBackbone(settings["reuse_from"], DataLocation(store.root / "home"))
            [run] = train_transfer([RunSpec.parse(QUICK | settings)], data, backbone)
        else:
            base_id, base = f"{1000 + number:012x}", {"net": settings["net"]}
            base |= {"hidden": "5"} if "cnn" in settings["net"] else {}
            [first] = train_population([RunSpec.parse(QUICK | base)], data)
            store.write(first.to_record(base_id, data.description(), {}), first.weights)
            spec = RunSpec.parse(QUICK | settings | {"reuse_from": base_id})
            [run] = train_transfer([spec], data, run_backbone(store.read(base_id), store))
        record(store, run_id, run, data)
        found[name] = Trained(run_id, data, run)
    return found


def record(store: RunStore, run_id: str, run: Run, data: Dataset) -> None:
    record = run.to_record(run_id, data.description(), {})
    store.write(record, run.weights, run.predictions, code_of(run.spec.references()))


def export(store: RunStore, run_id: str, to: str, folder: Path) -> str:
    flags = ("--runs", store.root, "--data-dir", store.root / "home")
    return succeeds("runs", "export", run_id, "--to", to, "--out", folder, *flags)


@pytest.fixture(scope="module")
def outside(
    trained: Mapping[str, Trained], store: RunStore, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, np.ndarray]:
    """What each exported model computes for the test part, in a process that cannot import dnntrain."""
    folder = tmp_path_factory.mktemp("outside")
    jobs = []
    for number, each in enumerate(trained.values()):
        to = "safetensors" if number % 3 == 1 else "torch"
        home, inputs = folder / str(number), folder / f"{number}-inputs.npy"
        export(store, each.run_id, to, home)
        np.save(inputs, each.data.test_inputs)
        jobs.append((str(home), str(inputs), str(folder / f"{number}-outputs.npy")))
    done = subprocess.run([sys.executable, "-I", "-c", OUTSIDE], cwd=folder, input=json.dumps(jobs), env=environment(),
                          capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {name: np.load(outputs) for name, (_, _, outputs) in zip(trained, jobs, strict=True)}


@pytest.mark.parametrize("name", [*RUNS, *TRANSFERS])
def test_an_export_gives_the_recorded_predictions_without_dnntrain(
    name: str, outside: Mapping[str, np.ndarray], trained: Mapping[str, Trained]
) -> None:
    each, outputs = trained[name], outside[name]
    assert each.run.status == "finished" and each.run.predictions
    expected, info = each.run.predictions.outputs["test"], each.run.predictions.info["test"]
    if each.data.classes:
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
        predicted = outputs.argmax(1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).astype(int)
        assert np.mean(predicted == each.data.test_targets) == pytest.approx(each.run.test["test_acc"], abs=1e-6)
    else:
        np.testing.assert_allclose(outputs, expected * info.deviation + info.mean, rtol=1e-5)
        rmse = np.sqrt(np.mean((outputs[:, 0] - each.data.test_targets) ** 2))
        assert rmse == pytest.approx(each.run.test["test_rmse"], rel=1e-4)
