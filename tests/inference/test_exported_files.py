"""Exports of trained runs, as a process without dnntrain finds them: they give the recorded test metrics."""

from __future__ import annotations

import csv
import importlib.util
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dnntrain as dt
from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, Dataset
from dnntrain.data.preprocessing import Preprocessing
from dnntrain.engine.loop import train_population
from dnntrain.engine.run import Run
from dnntrain.nn.layer_spec import LayerSpec, Shape, torch_sequence
from dnntrain.store.run_store import RunStore
from dnntrain.techniques.activations import ActivationSpec, ReLU
from dnntrain.transfer_learning.image_backbone import ImageBackbone
from dnntrain.transfer_learning.resolve import run_backbone
from dnntrain.transfer_learning.stages import train_transfer
from dnntrain.utils.user_code.reference import code_of, reference_of
from tests.support.command import dnntrain, environment, error_of, succeeds

QUICK: dict[str, Any] = {"batch_size": 20, "val": 20, "epochs": 1, "lr": 0.05}
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
    "image model, upper layers trained": {"reuse_from": "mobilenet_v3_small@seed0", "resize": 32, "hidden": "none",
                                          "freeze_epochs": 0, "unfreeze_layers": 1},
    "image model, lower layers": {"reuse_from": "mobilenet_v3_small@seed0", "resize": 32, "hidden": "none",
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
    """100 examples: 80 to train on, 20 to test on."""
    parts = inputs[:80], targets[:80], inputs[80:], targets[80:]
    return Dataset("made", *parts, classes, "0" * 16, "none")


def made() -> dict[str, Dataset]:
    """A data set of each kind, by the runs that it is for."""
    rng = np.random.default_rng(0)
    labels = np.arange(100) % 2
    images = rng.integers(0, 128, (100, 3, 8, 8), np.uint8) + 100 * labels[:, None, None, None].astype(np.uint8)
    columns = rng.normal(1e4, 50, (100, 6)) + 100 * labels[:, None]
    columns[rng.random((100, 6)) < 0.1] = np.nan
    tokens = rng.integers(0, 9, (100, 5)).astype(np.int32) + 9 * labels[:, None].astype(np.int32)
    classes = ("a", "b")
    targets = 300 + 7 * np.nan_to_num(columns[:, 0] - 1e4) / 50 + rng.normal(0, 1, 100)
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


class Model(torch.nn.Module):
    """A user's class of the name that the exported one has."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def to_torch(store: RunStore, run_id: str) -> torch.nn.Module:
    return dt.to_torch(run_id, out=store.root, data_dir=str(store.root / "home"))


def test_a_class_that_is_sent_by_value_is_exported(store: RunStore, tmp_path: Path) -> None:
    class Local(torch.nn.Sequential):
        """Defined where it cannot be imported."""

        def __init__(self, num_classes: int) -> None:
            super().__init__(torch.nn.Flatten(), torch.nn.Linear(192, num_classes))

    data = made()["cnn"]
    [run] = train_population([RunSpec.parse(QUICK | {"net": f"module:{reference_of(Local)}"})], data)
    record(store, "f" * 12, run, data)
    assert run.predictions
    with torch.no_grad():
        outputs = to_torch(store, "f" * 12)(torch.from_numpy(data.test_inputs))
    np.testing.assert_allclose(outputs, run.predictions.outputs["test"], rtol=1e-4, atol=1e-5)
    export(store, "f" * 12, "torch", tmp_path / "out")
    assert (tmp_path / "out" / "code" / "value.pickle").is_file()


@pytest.mark.parametrize("name", ["resnet", "module"])
def test_the_module_can_be_trained_further(name: str, store: RunStore, trained: Mapping[str, Trained]) -> None:
    each = trained[name]
    module = to_torch(store, each.run_id).train()
    x, y = torch.from_numpy(each.data.train_inputs[:64]), torch.from_numpy(each.data.train_targets[:64])
    optimizer, losses = torch.optim.SGD(module.parameters(), lr=0.02), []
    for _ in range(6):
        loss = torch.nn.functional.cross_entropy(module(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[3:]) < losses[0]


def test_an_export_is_written_once_and_replaces_nothing(
    store: RunStore, trained: Mapping[str, Trained], tmp_path: Path
) -> None:
    one, other = trained["cnn"].run_id, trained["resnet"].run_id
    words = ("runs", "export", one, "--to", "torch", "--runs", store.root)
    assert succeeds(*words, cwd=tmp_path).strip() == f"{one}-torch"
    before = {path: path.read_bytes() for path in (tmp_path / f"{one}-torch").iterdir()}
    assert {path.name for path in before} == {"model.py", "model.pt"}
    succeeds(*words, cwd=tmp_path)  # the same again
    error = error_of("runs", "export", other, "--to", "torch", "--runs", store.root, "--out", tmp_path / f"{one}-torch")
    assert "holds something else; name a new folder, or remove this one" in error
    assert {path: path.read_bytes() for path in (tmp_path / f"{one}-torch").iterdir()} == before
    pipe = tmp_path / f"{one}-torch" / "pipe"
    os.mkfifo(pipe)  # a folder that holds something else is not read, which could take forever
    assert "holds something else" in error_of(*words, cwd=tmp_path)
    pipe.unlink()
    assert [path.name for path in tmp_path.iterdir()] == [f"{one}-torch"]


@pytest.mark.parametrize("name", ["mlp on a table", "resnet", "module", "image model"])
def test_the_source_is_formatted_and_says_what_it_is(
    name: str, store: RunStore, trained: Mapping[str, Trained], tmp_path: Path
) -> None:
    each = trained[name]
    export(store, each.run_id, "torch", tmp_path / "out")
    source = (tmp_path / "out" / "model.py").read_text()
    assert each.run_id in source and "test_acc" in source and 'CLASSES = ["a", "b"]' in source
    assert "dnntrain" not in source
    command = [sys.executable, "-m", "ruff", "format", "--line-length", "120", "--diff", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_cannot_be_exported_is_said(store: RunStore, trained: Mapping[str, Trained], tmp_path: Path) -> None:
    each = trained["cnn"]
    words = ("runs", "export", each.run_id, "--runs", store.root, "--out", tmp_path / "out")
    assert "--to keras: no such exporter" in error_of(*words, "--to", "keras")
    (tmp_path / "file").write_text("")
    assert "is a file; name a new folder" in error_of(*words[:-1], tmp_path / "file", "--to", "torch")
    diverged = replace(each.run, status="diverged", history=[row | {"epoch": 1} for row in each.run.history])
    record(store, "e" * 12, diverged, each.data)
    assert "diverged, so it has no model" in error_of(*words[:2], "e" * 12, *words[3:], "--to", "torch")
    assert not (tmp_path / "out").exists()


def test_a_package_that_is_missing_is_named(
    store: RunStore, trained: Mapping[str, Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "onnx" else find(name, *more))
    words = ("runs", "export", trained["cnn"].run_id, "--to", "onnx", "--runs", store.root, "--out", tmp_path / "out")
    assert "--to onnx: needs onnx; pip install 'dnntrain[onnx]'" in error_of(*words)


def test_code_that_has_changed_is_not_run_unless_it_is_trusted(store: RunStore, tmp_path: Path) -> None:
    file, data = tmp_path / "model.py", made()["cnn"]  # a name that the export has too
    file.write_text(f"import torch\n\n\n{inspect.getsource(Model)}")
    [run] = train_population([RunSpec.parse(QUICK | {"net": f"module:{file}:Model"})], data)
    record(store, "d" * 12, run, data)
    file.write_text(file.read_text().replace("192", "64 * 3"))
    with pytest.raises(dt.InputError, match="which is different now"):
        to_torch(store, "d" * 12)
    module = dt.to_torch("d" * 12, out=store.root, trust_code=True)
    assert run.predictions
    with torch.no_grad():
        outputs = module(torch.from_numpy(data.test_inputs))
    np.testing.assert_allclose(outputs, run.predictions.outputs["test"], rtol=1e-4, atol=1e-5)


def test_rows_of_a_table_become_the_inputs_that_training_had(tmp_path: Path) -> None:
    rng, places = np.random.default_rng(0), ["Rome", "Oslo", ""]
    lines = ["age,place,member,label"]
    for number in range(120):
        age = "NA" if number % 7 == 0 else f"{rng.normal(40, 9):.1f}"
        lines.append(f"{age},{places[number % 3]},{number % 2 == 0},{'yes' if rng.random() < 0.5 else 'no'}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    flags = ("--hidden", "4", "--epochs", "1", "--name", "table", "--out", tmp_path / "runs")
    succeeds("train", "--target", "label", "--data", tmp_path / "table.csv", *flags)
    exported = dnntrain("runs", "export", tmp_path / "runs" / "table", "--to", "torch", "--out", tmp_path / "out")
    assert exported.returncode == 0 and "exported run " in exported.stderr and "seed 0, of table)" in exported.stderr
    spec = importlib.util.spec_from_file_location("exported_table", tmp_path / "out" / "model.py")
    assert spec and spec.loader
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    content = json.loads((tmp_path / "out" / "preprocessing.json").read_text())
    expected = Preprocessing.parse(content).read(tmp_path / "table.csv").inputs
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    inputs = model.encode(rows)
    np.testing.assert_array_equal(inputs.numpy(), expected)
    assert model.load()(inputs).isfinite().all()


@pytest.mark.extras
@pytest.mark.parametrize("name", [*RUNS, "from a run", "image model"])
def test_onnx_gives_the_recorded_predictions(
    name: str, store: RunStore, trained: Mapping[str, Trained], tmp_path: Path
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    each = trained[name]
    export(store, each.run_id, "onnx", tmp_path / "out")
    session = runtime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    kind = session.get_inputs()[0].type
    types = {"tensor(double)": np.float64, "tensor(float)": np.float32, "tensor(int64)": np.int64}
    [outputs] = session.run(None, {"input": each.data.test_inputs.astype(types.get(kind, np.uint8))})
    assert each.run.predictions
    expected, info = each.run.predictions.outputs["test"], each.run.predictions.info["test"]
    scaled = expected if each.data.classes else expected * info.deviation + info.mean
    np.testing.assert_allclose(outputs, scaled, rtol=1e-3, atol=1e-4)


class Unknown(ReLU):
    """A plug-in's activation that does not say how plain torch writes it."""


@dataclass(frozen=True)
class UnknownSpec(LayerSpec):
    """Likewise a layer."""

    name: str

    @property
    def shape_out(self) -> Shape:
        return (1,)


def test_a_layer_that_declares_no_form_in_plain_torch_is_named() -> None:
    with pytest.raises(dt.InputError, match="act relu: cannot be exported, since Unknown declares no `to_torch`"):
        ActivationSpec("hidden1", (3,), Unknown()).to_torch({})
    with pytest.raises(dt.InputError, match="hidden2: a layer Unknown cannot be exported"):
        torch_sequence([UnknownSpec("hidden2")], {})
