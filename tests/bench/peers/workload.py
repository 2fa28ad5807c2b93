"""A workload: what is trained, the command for dnntrain, the tasks for the peers, and its data as arrays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import load_file

from dnntrain import data
from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.data.split import split
from dnntrain.nn.random import generator
from dnntrain.techniques.networks.base import counts
from tests.bench.peers.peer import CLASSES, KERNEL, Task

FASHION_SHAPE, CIFAR_SHAPE = (1, 28, 28), (3, 32, 32)
MINI = {"data": "fashion-mini"}
MINI_TRAIN_SIZE = 6400
"""Of 10,000 images, in place of a larger part of the full set."""
FREE = ("seed", "epochs", "reuse_from")
"""Settings in which the runs of one arm may differ: an arm may train longer, and the id of a base is known late."""
FROM_BASE = ("reuse_from", "transfer_layers", "hidden", "act")
"""Settings that `dnntrain transfer` takes from the base."""
BASE = "base"
"""The study of the network that a transfer starts from."""


def read_preset(path: Path) -> dict[str, Any]:
    """A preset as it is written."""
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


@dataclass(frozen=True)
class Exported:
    """A workload's arrays on disk."""

    folder: Path
    images: int
    """Training images."""
    validation: int
    """Validation images."""
    features: int

    @property
    def base_runs(self) -> Path:
        """The run store of the network that a transfer starts from."""
        return self.folder / "runs"


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
    kind: str = "dense"
    """dense, cnn, resnet, own module or transfer: who can train it depends on it."""
    network: str = ""
    """What tables call the network, where its layers do not say it."""
    preset: Path | None = None
    """What dnntrain runs whole; None for a single setting."""
    channels: tuple[int, ...] = ()
    """Those of the convolutions below the dense layers."""
    tests: bool = False
    """Whether the peers test each network at its end, as dnntrain always does."""
    alone: bool = False
    """Whether it is a single run in one process, for which dnntrain's engine is timed by the epoch as the peers are."""
    pretrain: Mapping[str, Any] = field(default_factory=dict)
    """In a transfer: the settings of the network that it starts from, which nobody is timed on."""

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

    def operations(self, exported: Exported) -> float | None:
        """Floating-point operations in the products of one run's epoch: a product and a sum for each use of a weight.

        Forward once, backward twice, but for the lowest layer, below which there is nothing to train; and validation.
        None for networks whose layers are not listed here.
        """
        if self.kind not in ("dense", "cnn"):
            return None
        size, products = isqrt(exported.features), []
        for fan_in, fan_out in pairwise((1, *self.channels) if self.channels else ()):
            products.append(KERNEL**2 * fan_in * fan_out * size**2)
            size //= 2
        below = self.channels[-1] * size**2 if self.channels else exported.features
        products += [a * b for a, b in pairwise((below, *self.spec.hidden, CLASSES))]
        trained = 4 * products[0] + 6 * sum(products[1:])
        return float(exported.images * trained + exported.validation * 2 * sum(products))

    def cost_arm(self, settings: Mapping[str, Any]) -> str:
        """The arm that costs what a run of these settings costs: the first one if that is none of the others."""

        def cost(spec: RunSpec) -> tuple[object, ...]:
            return spec.activations, spec.norm, spec.dropout

        wanted = cost(RunSpec.parse(settings))
        same = (arm for arm, spec in self.arm_specs.items() if cost(spec) == wanted)
        return next(same, next(iter(self.arms)))

    def timed_arm(self, settings: Mapping[str, Any]) -> str | None:
        """The arm that a run of these settings is of; None if the peers are not timed on it."""

        def fixed(spec: RunSpec) -> dict[str, Any]:
            return {key: value for key, value in spec.settings().items() if key not in FREE}

        wanted = fixed(RunSpec.parse(settings))
        return next((arm for arm, spec in self.arm_specs.items() if fixed(spec) == wanted), None)

    @cached_property
    def arm_specs(self) -> dict[str, RunSpec]:
        """What dnntrain reads of each arm that the peers are timed on."""
        return {arm: RunSpec.parse(self.settings | changed) for arm, changed in self.arms.items()}

    def command(self, out: Path) -> list[str]:
        """What a user of dnntrain would type, after `dnntrain`; a transfer's base has to be in `out`."""
        common = ["--seeds", str(self.seeds), "--out", str(out)]
        if self.preset:
            base = read_preset(self.preset)["base"]
            changed = {key: value for key, value in self.settings.items() if value != base.get(key)}
            sets = [part for key, value in changed.items() for part in ("--set", f"{key}={value}")]
            return ["ablate", str(self.preset), *common, *sets]
        if self.pretrain:
            given = {key: value for key, value in self.settings.items() if key not in FROM_BASE}
            return ["transfer", "--from", str(out / BASE), "--no-scratch", *common, *flags(given)]
        return ["train", *common, *flags(self.settings)]

    def tasks(self, folder: Path, validation_rows: int | None, steps_per_call: int) -> list[dict[str, Any]]:
        """What a peer is asked, as plain JSON: one task for each arm that is timed."""
        return [asdict(self.task(arm, folder, validation_rows, steps_per_call)) for arm in self.arms]

    def task(self, arm: str, folder: Path, validation_rows: int | None, steps_per_call: int) -> Task:
        """The task of one arm."""
        settings, spec = self.settings | self.arms[arm], self.arm_specs[arm]
        net = {"blocks": list(counts(spec.net.blocks)), "width": spec.net.width} if self.kind == "resnet" else {}
        return Task(
            workload=self.name,
            arm=arm,
            folder=str(folder),
            kind=self.kind,
            shape=list(CIFAR_SHAPE if spec.data == "cifar10" else FASHION_SHAPE),
            classes=len(spec.source.classes.split(",")) if spec.source.classes else CLASSES,
            channels=list(self.channels),
            hidden=list(spec.hidden),
            activation=spec.activations[0].name if spec.activations else "relu",
            initializer=str(settings.get("init", "he")),
            batch_norm=settings.get("bn", False),
            dropout=settings.get("dropout", 0.0),
            clipvalue=settings.get("clipvalue"),
            optimizer=spec.optimizer.name,
            lr=spec.lr,
            batch_size=spec.batch_size,
            scale=spec.scale,
            epochs=1 + self.timed,
            # its warm-up is one more epoch with frozen layers
            unfreeze_after=1 + spec.freeze_epochs if spec.freeze_epochs is not None else None,
            validation_rows=validation_rows,
            steps_per_call=steps_per_call,
            settings=settings,
            tests=self.tests,
            **net,
        )


def flags(settings: Mapping[str, Any]) -> list[str]:
    """Settings as options of a command."""
    given: list[str] = []
    for key, value in settings.items():
        flag = key.replace("_", "-")
        given += [f"--{flag}" if value else f"--no-{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return given


def available(workloads: Sequence[Workload]) -> tuple[list[Workload], list[str]]:
    """The workloads whose data are on this machine, and a line on each that is left out or changed. Fetches nothing."""
    found, notes = [], []
    for workload in workloads:
        name = workload.settings["data"]
        if data.find_source(name).find(DataLocation()):
            found.append(workload)
        elif name == "fashion-mnist":
            fewer = {"train_size": MINI_TRAIN_SIZE} if "train_size" in workload.settings else {}
            found.append(replace(workload, settings=workload.settings | MINI | fewer))
            notes.append(f"{workload.name}: on fashion-mini, for the full Fashion-MNIST is not on this machine")
        else:
            notes.append(f"{workload.name}: left out, for {name} is not on this machine (dnntrain data fetch {name})")
    return found, notes


def export(workload: Workload, folder: Path) -> Exported:
    """Write the images that dnntrain trains, validates and tests on, and a transfer's base."""
    spec = workload.spec
    dataset = spec.source.load(DataLocation())
    train, val = split(dataset, spec.val, spec.train_size, generator(0, "split"))
    parts = {part: (dataset.train_inputs[i], dataset.train_targets[i]) for part, i in (("train", train), ("val", val))}
    parts["test"] = dataset.test_inputs, dataset.test_targets
    folder.mkdir(parents=True)
    for name, (inputs, targets) in parts.items():
        np.save(folder / f"x_{name}.npy", inputs.reshape(len(inputs), -1))
        np.save(folder / f"y_{name}.npy", targets)
    exported = Exported(folder, len(train), len(val), dataset.train_inputs[0].size)
    if workload.pretrain:
        export_base(workload.pretrain, exported)
    return exported


def export_base(settings: Mapping[str, Any], exported: Exported) -> None:
    """Train the network that a transfer starts from, and write its weights for the peers."""
    runs = exported.base_runs
    command = ["train", "--name", BASE, "--out", str(runs), *flags(settings)]
    subprocess.run([sys.executable, "-m", "dnntrain", *command], check=True, capture_output=True)
    [weights] = runs.glob("store/*/weights.safetensors")
    np.savez(exported.folder / "base.npz", **load_file(weights))
