"""What is trained: the workloads of `make bench`, whole, and in parts for `make bench-quick`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bench.peers.workload import MINI, Workload, read_preset

HERE = Path(__file__).parent
PRESET = HERE.parents[2] / "presets" / "lecture.yaml"
SMALL_CNN = HERE / "small-cnn.yaml"
LECTURE, CNN = map(read_preset, (PRESET, SMALL_CNN))
FASHION = {"data": "fashion-mnist", "val": 0.3}
ADAM = {"optimizer": "adam", "lr": 0.001}

SINGLE = LECTURE["base"] | {"early_stop": "off"}
COSTS = {"constant": {}} | {arm: LECTURE["factors"][arm] for arm in ("batch-norm", "dropout")}
REUSED = {"hidden": "300,100,50", "act": "relu", "init": "he", "scale": "unit", "batch_size": 32}
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
        kind="cnn",
        arms={"relu": {}} | CNN["factors"],
        preset=SMALL_CNN,
        channels=(32, 64),
        tests=True,
    ),
    Workload(
        "own module",
        {key: value for key, value in CNN["base"].items() if key not in ("net", "hidden", "act", "init")}
        | {"net": f"module:{HERE / 'own_module.py'}:SmallCNN"},
        10,
        timed=1,
        kind="own module",
        network="the small CNN as an nn.Module",
        tests=True,
    ),
    Workload(
        "ResNet-20 on CIFAR-10",
        {"data": "cifar10", "train_size": 1600, "val": 400, "scale": "unit", "net": "resnet:blocks=3/3/3", "bn": True}
        | ADAM
        | {"batch_size": 64, "epochs": 2},
        2,
        timed=1,
        kind="resnet",
        network="ResNet-20",
        tests=True,
    ),
    Workload(
        "transfer",
        REUSED
        | FASHION
        | {"classes": "sandal,shirt,sneaker,bag,ankle boot", "epochs": 10}
        # as the command fills them in: the id of the base's run, and all its hidden layers
        | {"reuse_from": "base", "transfer_layers": 3, "freeze_epochs": 5, "unfreeze_layers": 1},
        10,
        timed=10,
        kind="transfer",
        network="300-100-50 reused (frozen, from half on without its top)",
        pretrain=REUSED | MINI | {"classes": "t-shirt/top,trouser,pullover,dress,coat", "epochs": 3},
        tests=True,
    ),
    Workload("single", SINGLE | FASHION, 1, alone=True),
)
"""Everything, as `make bench` measures it."""

# the test part of CIFAR-10 alone would take a slow machine a minute, so the ResNet is on gray images there
PARTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lecture": (MINI | {"epochs": 3, "early_stop": 2}, {"seeds": 2, "timed": 1, "arms": {"constant": {}}}),
    "300-100": (MINI | {"epochs": 3}, {"timed": 1}),
    "20x100 on CIFAR-10": ({"val": 1500, "train_size": 3500, "epochs": 2}, {"timed": 1}),
    "100 layers SELU": (MINI | {"val": 500, "train_size": 1000, "hidden": "300,29x100"}, {}),
    "small CNN": (MINI | {"train_size": 3200, "val": 800}, {"seeds": 2}),
    "own module": (MINI | {"train_size": 1600, "val": 400}, {"seeds": 2}),
    "ResNet-20 on CIFAR-10": (MINI | {"train_size": 320, "val": 80}, {}),
    "transfer": (MINI | {"epochs": 4, "freeze_epochs": 2}, {"seeds": 4, "timed": 4}),
    "single": (MINI, {"timed": 1}),
}
"""The parts of `make bench-quick`, as changes of settings and of the workload."""


def part(workload: Workload) -> Workload:
    """The workload as `make bench-quick` measures it."""
    settings, changes = PARTS[workload.name]
    return replace(workload, settings=workload.settings | settings, **changes)
