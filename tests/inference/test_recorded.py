"""A recorded run, loaded as a model, gives the outputs that it recorded for its test part, whatever its network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dnntrain import data
from dnntrain.data import DataLocation
from dnntrain.errors import InputError
from dnntrain.inference.recorded import RecordedModel
from dnntrain.store.run_store import RunStore
from tests.support.command import succeeds

SMALL = ("--classes", "Sandal,Bag", "--train-size", "60", "--val", "40", "--epochs", "2", "--lr", "0.05")
HALVES = """
import numpy as np
from torch import nn

class Net(nn.Sequential):
    def __init__(self, num_classes, in_channels):
        super().__init__(nn.Conv2d(in_channels, 2, 3, stride=3), nn.ReLU(), nn.Flatten(), nn.Linear(162, num_classes))

class Embedded(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.table, self.head = nn.Embedding(9, 4), nn.Linear(4, num_classes)

    def forward(self, x):
        return self.head(self.table(x).mean(1))

def words():
    x = np.random.default_rng(0).integers(0, 9, (60, 5))
    return x[:40], x[:40, 0] % 2, x[40:], x[40:, 0] % 2
"""
NETWORKS = {
    "sigmoid": ("--hidden", "5", "--output", "sigmoid"),
    "standard": ("--hidden", "5", "--scale", "standard", "--bn", "--ema", "0.9"),
    "dropout": ("--hidden", "5", "--dropout", "0.5", "--mc-dropout", "3"),
    "resnet": ("--net", "resnet:width=4,blocks=1/1", "--tta"),
}
TRANSFERS = {
    "frozen": ("--from", "runs/source"),
    "unfrozen": ("--from", "runs/source", "--freeze-epochs", "1", "--unfreeze-layers", "1"),
    "all trained": ("--from", "runs/source", "--freeze-epochs", "0", "--unfreeze-layers", "all"),
    "from parts": ("--from", "runs/parts", "--net", "module:own.py:Net"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "own.py").write_text(HALVES)
    succeeds("train", *SMALL, "--hidden", "5,4", "--name", "source", cwd=folder)
    succeeds("train", *SMALL, "--net", "module:own.py:Net", "--name", "parts", cwd=folder)
    return folder


def check(folder: Path, new: str, dataset: data.Dataset) -> None:
    """The model of a study's only run gives the recorded outputs."""
    store = RunStore(folder / "runs")
    [run] = {*(folder / "runs" / new / "results.csv").read_text().splitlines()[1].split(",")} & {*store.run_ids()}
    predictions, model = store.predictions(run), RecordedModel.load(store, run, DataLocation(folder / "home"))
    assert predictions and np.std(predictions.outputs["test"]) > 1e-3
    np.testing.assert_allclose(model.outputs(dataset.test_inputs), predictions.outputs["test"], atol=1e-5)
    assert model.preprocessing == dataset.preprocessing


@pytest.mark.parametrize("name", [*NETWORKS, *TRANSFERS])
def test_a_model_gives_the_recorded_outputs(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    if name in NETWORKS:
        succeeds("train", *SMALL, *NETWORKS[name], "--name", name)
    else:
        succeeds("transfer", *TRANSFERS[name], *SMALL, "--no-scratch", "--seeds", "1", "--name", name)
    check(root, name, data.load_dataset("fashion-mini", classes="Sandal,Bag"))


def test_tokens_of_a_function_are_predicted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    words = ("--data", "module:own.py:words", "--net", "module:own.py:Embedded", "--epochs", "2", "--val", "8")
    succeeds("train", *words, "--lr", "0.5", "--name", "words")
    dataset = data.load_dataset("module:own.py:words")
    check(root, "words", dataset)
    with pytest.raises(InputError, match="data: token 9; the run knows those below 9"):
        dataset.preprocessing.read(np.full((2, 5), 9))  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"data: examples of shape \(4,\); the run was trained on \(5,\)"):
        dataset.preprocessing.read(np.zeros((2, 4), int))  # type: ignore[union-attr]
