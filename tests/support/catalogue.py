"""Runs for every technique of the catalogue, none named: a new technique enters these tests by itself."""

from __future__ import annotations

from typing import Any

from dnntrain.techniques import CATALOGUE
from dnntrain.techniques.base import Choice, Switch, Technique
from dnntrain.techniques.dropout import MonteCarloDropout


def settings_with(technique: type[Technique]) -> dict[str, Any]:
    """Settings of a small run that uses the technique with the defaults of its declaration, or fewer passes."""
    if issubclass(technique, Choice):
        return {technique.slot: technique.example or technique.name}
    assert issubclass(technique, Switch)
    if technique.primary is None:
        return {technique.name: True}
    settings = {technique.name: technique.model_fields[technique.primary].default}
    return settings | ({"dropout": 0.2, "mc_dropout": 10} if technique is MonteCarloDropout else {})


EVERY_TECHNIQUE = {name: settings_with(technique) for name, technique in CATALOGUE.items()}
