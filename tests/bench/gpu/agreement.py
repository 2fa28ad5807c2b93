"""Whether the device gives the CPU's figures, and CUDA graphs the eager ones: two epochs of different networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from dnntrain.data import Dataset
from dnntrain.engine import loop
from dnntrain.engine.graphs import MakeRunner
from tests.bench.gpu.cases import MODULES, Extent
from tests.bench.gpu.engine import EAGER, specs_of, ways

TOLERANCE = 1e-4
"""The largest difference of a loss: figures agree to 4 decimals."""

ACCURACY_TOLERANCE = 0.005
"""The largest difference of an accuracy, where an example that stands between two classes may change sides."""

MEMBERS = 2
LOSSES = ("train_loss", "val_loss")
ACCURACIES = ("train_acc", "val_acc")
CASES: dict[str, dict[str, Any]] = {
    "dense, bn, dropout, clipnorm, adam": {
        **{"hidden": "50,50", "bn": True, "dropout": 0.1, "clipnorm": 1.0},
        **{"optimizer": "adam", "lr": 0.001, "batch_size": 32},
    },
    "small CNN, sgd with momentum": {
        **{"net": "cnn:channels=32/64", "hidden": "128", "batch_size": 64, "optimizer": "sgd:momentum=0.9"},
    },
    "own module, adamw": {
        **{"net": f"{MODULES}:SmallCNN", "hidden": "none", "batch_size": 64, "optimizer": "adamw", "lr": 0.001},
    },
}


def histories(
    settings: dict[str, Any], dataset: Dataset, device: torch.device, extent: Extent, way: MakeRunner
) -> list[list[dict[str, Any]]]:
    """Each member's history of two epochs."""
    specs = specs_of(settings, MEMBERS, replace(extent, epochs=2, train_size=extent.agreement_size))
    runs = loop.train_population(specs, dataset, device, keep_predictions=False, runner=way)
    return [run.history for run in runs]


def largest(a: list[list[dict[str, Any]]], b: list[list[dict[str, Any]]], names: tuple[str, ...]) -> float:
    """The largest difference of some figures between two sets of histories."""
    rows = [(p, q) for one, other in zip(a, b, strict=True) for p, q in zip(one, other, strict=True)]
    return max(abs(p[name] - q[name]) for p, q in rows for name in names)


def compare(settings: dict[str, Any], dataset: Dataset, device: torch.device, extent: Extent) -> list[dict[str, Any]]:
    """The differences of each pair that is to agree: eager and the CPU, then the other ways and eager."""
    cpu, found = torch.device("cpu"), ways(device)
    eager = histories(settings, dataset, device, extent, found[EAGER])
    pairs = {f"{device.type} and cpu": (eager, histories(settings, dataset, cpu, extent, ways(cpu)[EAGER]))}
    for how, way in found.items():
        if how != EAGER:
            pairs[f"{how} and eager"] = (histories(settings, dataset, device, extent, way), eager)
    return [
        {"pair": name, "loss": (loss := largest(*pair, LOSSES)), "accuracy": (accuracy := largest(*pair, ACCURACIES))}
        | {"agrees": loss <= TOLERANCE and accuracy <= ACCURACY_TOLERANCE}
        for name, pair in pairs.items()
    ]
