"""What is trained: the workloads, whole and in parts, and their data as arrays for the peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dnntrain import data
from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.data.split import split
from dnntrain.nn.random import generator
from tests.bench.peers.peer import CLASSES, KERNEL, Task

PRESET = Path(__file__).parents[3] / "presets" / "lecture.yaml"
SMALL_CNN = Path(__file__).with_name("small-cnn.yaml")


def read_preset(path: Path) -> dict[str, Any]:
    """A preset as it is written."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


LECTURE, CNN = map(read_preset, (PRESET, SMALL_CNN))
FASHION = {"data": "fashion-mnist", "val": 0.3}
COSTLY = ("act", "bn", "dropout")
"""The settings by which the arms of these workloads differ in cost."""


@dataclass(frozen=True)
class Workload:
    """One network over some seeds, or a study."""

    name: str
    settings: dict[str, Any]
    """A run's settings; its epochs are the work that the seconds of everybody stand for."""
    seeds: int
    timed: int = 2
    """Epochs for which a peer is timed, after one of warm-up; the rest is scaled."""
    arms: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"constant": {}})
    """The arms that the peers are timed on, with what they change; all others cost what the first one costs."""
    preset: Path | None = None
    """What dnntrain runs whole; None for a single setting."""
    channels: tuple[int, ...] = ()
    """Those of the convolutions below the dense layers."""
    tests: bool = False
    """Whether the peers test each network at its end, as dnntrain always does."""
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

    @property
    def study_arms(self) -> int:
        """How many arms dnntrain trains."""
        return 1 + len(read_preset(self.preset)["factors"]) if self.preset else 1

    def operations(self, exported: Exported) -> float:
        """Floating-point operations in the products of one run's epoch: a product and a sum for each use of a weight.

        Forward once, backward twice, but for the lowest layer, below which there is nothing to train; and validation.
        """
        size, products = isqrt(exported.features), []
        for fan_in, fan_out in pairwise((1, *self.channels) if self.channels else ()):
            products.append(KERNEL**2 * fan_in * fan_out * size**2)
            size //= 2
        below = self.channels[-1] * size**2 if self.channels else exported.features
        products += [a * b for a, b in pairwise((below, *self.spec.hidden, CLASSES))]
        trained = 4 * products[0] + 6 * sum(products[1:])
        return float(exported.images * trained + exported.validation * 2 * sum(products))

    def arm_of(self, settings: Mapping[str, Any]) -> str | None:
        """The arm that costs what a run of these settings costs; None if that is none of those that are timed."""

        def cost(settings: Mapping[str, Any]) -> list[Any]:
            return [settings.get(key) or None for key in COSTLY]

        return next(
            (arm for arm, changed in self.arms.items() if cost(self.settings | changed) == cost(settings)), None
        )

    def command(self, out: Path) -> list[str]:
        """What a user of dnntrain would type, after `dnntrain`."""
        common = ["--seeds", str(self.seeds), "--out", str(out)]
        if self.preset:
            base = read_preset(self.preset)["base"]
            changed = {key: value for key, value in self.settings.items() if value != base.get(key)}
            sets = [part for key, value in changed.items() for part in ("--set", f"{key}={value}")]
            return ["ablate", str(self.preset), *common, *sets]
        flags = [part for key, value in self.settings.items() for part in (f"--{key.replace('_', '-')}", str(value))]
        return ["train", *common, *flags]

    def tasks(self, folder: Path, validation_rows: int | None, steps_per_call: int) -> list[dict[str, Any]]:
        """What a peer is asked, as plain JSON: one task for each arm that is timed."""
        return [asdict(self.task(arm, folder, validation_rows, steps_per_call)) for arm in self.arms]

    def task(self, arm: str, folder: Path, validation_rows: int | None, steps_per_call: int) -> Task:
        """The task of one arm."""
        settings = self.settings | self.arms[arm]
        spec = RunSpec.parse(settings)
        return Task(
            workload=self.name,
            arm=arm,
            folder=str(folder),
            channels=list(self.channels),
            hidden=list(spec.hidden),
            activation=spec.activations[0].name,
            initializer=str(settings["init"]),
            batch_norm=settings.get("bn", False),
            dropout=settings.get("dropout", 0.0),
            clipvalue=settings.get("clipvalue"),
            optimizer=spec.optimizer.name,
            lr=spec.lr,
            batch_size=spec.batch_size,
            scale=spec.scale,
            epochs=1 + self.timed,
            validation_rows=validation_rows,
            steps_per_call=steps_per_call,
            settings=settings,
            tests=self.tests,
        )


SINGLE = LECTURE["base"] | {"early_stop": "off"}
COSTS = {"constant": {}} | {arm: LECTURE["factors"][arm] for arm in ("batch-norm", "dropout")}
WORKLOADS = (
    Workload("lecture", LECTURE["base"] | FASHION, 5, arms=COSTS, preset=PRESET),
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
    Workload(
        "small CNN",
        CNN["base"],
        5,
        timed=1,
        arms={"relu": {}} | CNN["factors"],
        preset=SMALL_CNN,
        channels=(32, 64),
        tests=True,
    ),
    Workload("single", SINGLE | FASHION, 1, alone=True),
)
"""Everything, as `make bench` measures it."""

MINI = {"data": "fashion-mini"}
PARTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lecture": (MINI | {"epochs": 3}, {"timed": 1, "arms": {"constant": {}}}),
    "300-100": (MINI | {"epochs": 3}, {"timed": 1}),
    "20x100 on CIFAR-10": ({"val": 1500, "train_size": 3500, "epochs": 2}, {"timed": 1}),
    "100 layers SELU": (MINI | {"val": 500, "train_size": 1000, "hidden": "300,29x100"}, {}),
    "small CNN": (MINI | {"train_size": 3200, "val": 800}, {}),
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
    """Write the images that dnntrain trains, validates and tests on, as its loader gives them."""
    spec = workload.spec
    dataset = data.load_dataset(spec.data)
    train, val = split(dataset, spec.val, spec.train_size, generator(0, "split"))
    parts = {part: (dataset.train_inputs[i], dataset.train_targets[i]) for part, i in (("train", train), ("val", val))}
    parts["test"] = dataset.test_inputs, dataset.test_targets
    folder.mkdir(parents=True)
    for name, (inputs, targets) in parts.items():
        np.save(folder / f"x_{name}.npy", inputs.reshape(len(inputs), -1))
        np.save(folder / f"y_{name}.npy", targets)
    return Exported(folder, len(train), len(val), dataset.train_inputs[0].size)
