"""Runs for every technique of the catalogue, none named: a new technique enters these tests by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dnntrain.data import Dataset
from dnntrain.techniques import CATALOGUE
from dnntrain.techniques.base import Choice, Switch, Technique, techniques_in
from dnntrain.techniques.networks.base import Net
from dnntrain.utils.plugins import plugin_of

CALMER: dict[str, dict[str, Any]] = {"relu2": {"lr": 0.005}}
"""What keeps a small run from exploding: each layer of relu2 squares what the one below it does."""


def settings_with(technique: type[Technique]) -> dict[str, Any]:
    """Settings of a small run that uses the technique with the defaults of its declaration, or fewer passes."""
    if issubclass(technique, Choice):
        return {technique.slot: technique.example or technique.name} | CALMER.get(technique.name, {})
    assert issubclass(technique, Switch)
    on = True if technique.primary is None else technique.model_fields[technique.primary].default
    return {technique.name: on} | technique.example


def companions(technique: type[Technique]) -> dict[str, Any]:
    """The other settings that a small run with the technique needs."""
    if not issubclass(technique, Switch):
        return {}
    own = {technique.name, *(technique.key(name) for name in technique.model_fields)}
    return {key: value for key, value in technique.example.items() if key not in own}


def data_for(technique: str, dataset: Dataset) -> Dataset:
    """The data set; its class numbers as targets of a regression, if the technique is only for that."""
    if getattr(CATALOGUE[technique], "task", "") != "regression":
        return dataset
    targets = (part.astype(float) for part in (dataset.train_targets, dataset.test_targets))
    return replace(dataset, classes=(), train_targets=next(targets), test_targets=next(targets))


OWN = {name for name, technique in CATALOGUE.items() if not plugin_of(technique)}
"""The techniques that are dnntrain's own, and not those of installed plug-ins."""

EVERY_TECHNIQUE = {
    name: settings_with(technique) for name, technique in CATALOGUE.items() if not issubclass(technique, Net)
}
"""Settings of a run that uses the technique, for each that is not a network."""

SMALL_NETWORKS = {
    "mlp": {"net": "mlp", "hidden": "7,5,5,5"},
    "cnn": {"net": "cnn:channels=4/4", "hidden": "5"},
    "resnet": {"net": "resnet:blocks=1/1,width=4"},
    "module": {"net": "module:tests/support/small_network.py:SmallNetwork"},
}
"""Settings of a small run of each network."""
SMALL_NETWORKS |= {net.name: settings_with(net) for net in techniques_in(Net) if plugin_of(net)}
