"""What is trained: the workloads, whole and in parts, and their data as arrays for the peers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dnntrain import data
from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.data.split import split
from dnntrain.nn.random import generator
from tests.bench.peers.peer import CLASSES, Task

PRESET = Path(__file__).parents[3] / "presets" / "lecture.yaml"
LECTURE: dict[str, Any] = yaml.safe_load(PRESET.read_text(encoding="utf-8"))["base"]
FASHION = {"data": "fashion-mnist", "val": 0.3}


@dataclass(frozen=True)
class Workload:
    """One network over some seeds, or the lecture's table."""

    name: str
    settings: dict[str, Any]
    """A run's settings; its epochs are the work that the seconds of everybody stand for."""
    seeds: int
    timed: int = 2
    """Epochs for which a peer is timed, after one of warm-up; the rest is scaled."""
    arms: tuple[str, ...] = ("constant",)
    """The arms that the peers are timed on; an arm that is not among them counts as a constant one."""
    preset: Path | None = None
    """What dnntrain runs whole; None for a single setting."""
    alone: bool = False
    """Whether it is a single run in one process, for which dnntrain's engine is timed by the epoch as the peers are."""

    @cached_property
    def spec(self) -> RunSpec:
        """The settings as dnntrain reads them."""
        return RunSpec.parse(self.settings)

    @property
    def epochs(self) -> int:
        """Epochs of one run."""
        return self.spec.epochs

    def operations(self, exported: Exported) -> float:
        """Floating-point operations in the matrix products of one run's epoch: a product and a sum for each weight.

        Forward once, backward twice, but for the lowest layer, below which there is nothing to train; and validation.
        """
        lowest, *others = (a * b for a, b in pairwise((exported.features, *self.spec.hidden, CLASSES)))
        trained = 4 * lowest + 6 * sum(others)
        return float(exported.images * trained + exported.validation * 2 * (lowest + sum(others)))

    def command(self, out: Path) -> list[str]:
        """What a user of dnntrain would type, after `dnntrain`."""
        common = ["--seeds", str(self.seeds), "--out", str(out)]
        if self.preset:
            changed = {key: value for key, value in self.settings.items() if value != LECTURE[key]}
            sets = [part for key, value in changed.items() for part in ("--set", f"{key}={value}")]
            return ["ablate", str(self.preset), *common, *sets]
        flags = [part for key, value in self.settings.items() for part in (f"--{key.replace('_', '-')}", str(value))]
        return ["train", *common, *flags]

    def tasks(self, folder: Path, validation_rows: int | None, steps_per_call: int) -> list[dict[str, Any]]:
        """What a peer is asked, as plain JSON: one task for each arm that is timed."""
        spec = self.spec
        task = Task(
            workload=self.name,
            arm="",
            folder=str(folder),
            hidden=list(spec.hidden),
            activation=spec.activations[0].name,
            initializer=spec.initializer(0).name,
            lr=spec.lr,
            batch_size=spec.batch_size,
            scale=spec.scale,
            epochs=1 + self.timed,
            validation_rows=validation_rows,
            steps_per_call=steps_per_call,
            settings=self.settings,
        )
        return [asdict(replace(task, arm=arm)) for arm in self.arms]


SINGLE = LECTURE | {"early_stop": "off"}
WORKLOADS = (
    Workload("lecture", LECTURE | FASHION, 5, arms=("constant", "batch-norm", "dropout"), preset=PRESET),
    Workload("300-100", FASHION | {"hidden": "300,100", "init": "glorot", "batch_size": 32, "epochs": 5}, 10),
    Workload(
        "20x100 on CIFAR-10",
        {"data": "cifar10", "val": 0.2, "hidden": "20x100", "init": "he", "batch_size": 32, "epochs": 3},
        10,
    ),
    Workload(
        "100 layers SELU",
        FASHION
        | {"hidden": "300,99x100", "act": "selu", "init": "lecun", "scale": "standard", "lr": 0.001, "epochs": 2},
        10,
        timed=1,
    ),
    Workload("single", SINGLE | FASHION, 1, alone=True),
)
"""Everything, as `make bench` measures it."""

MINI = {"data": "fashion-mini"}
PARTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lecture": (MINI | {"epochs": 3}, {"timed": 1, "arms": ("constant",)}),
    "300-100": (MINI | {"epochs": 3}, {"timed": 1}),
    "20x100 on CIFAR-10": ({"val": 1500, "train_size": 3500, "epochs": 2}, {"timed": 1}),
    "100 layers SELU": (MINI | {"val": 500, "train_size": 1000, "hidden": "300,29x100"}, {}),
    "single": (MINI, {"timed": 1}),
}
"""The parts of `make bench-quick`, as changes of settings and of the workload."""


def part(workload: Workload) -> Workload:
    """The workload as `make bench-quick` measures it."""
    settings, changes = PARTS[workload.name]
    return replace(workload, settings=workload.settings | settings, **changes)


def available(workloads: Sequence[Workload]) -> tuple[list[Workload], list[str]]:
    """The workloads whose data are on this machine, and a line on each that is left out or changed. Fetches nothing."""
    found, notes = [], []
    for workload in workloads:
        name = workload.settings["data"]
        if data.find_source(name).find(DataLocation()):
            found.append(workload)
        elif name == "fashion-mnist":
            found.append(replace(workload, settings=workload.settings | MINI))
            notes.append(f"{workload.name}: on fashion-mini, for the full Fashion-MNIST is not on this machine")
        else:
            notes.append(f"{workload.name}: left out, for {name} is not on this machine (dnntrain data fetch {name})")
    return found, notes


@dataclass(frozen=True)
class Exported:
    """A workload's arrays on disk."""

    folder: Path
    images: int
    """Training images."""
    validation: int
    """Validation images."""
    features: int


def export(workload: Workload, folder: Path) -> Exported:
    """Write the images that dnntrain trains and validates on, as its loader gives them."""
    spec = workload.spec
    dataset = data.load_dataset(spec.data)
    train, val = split(dataset, spec.val, spec.train_size, generator(0, "split"))
    images = dataset.train_inputs.reshape(len(dataset.train_inputs), -1)
    folder.mkdir(parents=True)
    for name, indices in (("train", train), ("val", val)):
        np.save(folder / f"x_{name}.npy", images[indices])
        np.save(folder / f"y_{name}.npy", dataset.train_targets[indices])
    return Exported(folder, len(train), len(val), images.shape[1])
