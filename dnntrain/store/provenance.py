"""What a study's runs come from: the data sets they were trained on, and the environments that trained them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DECIDES_BITS = ("engine", "python", "torch", "numpy", "processor", "cpu", "threads", "mkl", "device")
"""The fields that distinguish environments. A run may differ in its last bits between two of them."""


@dataclass
class Provenance:
    """Collects the distinct data sets and environments of a study's records, for study.json."""

    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, arm: str, record: Mapping[str, Any]) -> None:
        """Take in one run of an arm."""
        data = record["data"]
        # the same data have other notes where runs split them otherwise
        key = json.dumps({name: value for name, value in data.items() if name != "notes"}, sort_keys=True)
        known = self.datasets.setdefault(key, data | {"arms": [], "notes": []})
        known["notes"] = list(dict.fromkeys([*known["notes"], *data.get("notes", ())]))
        if arm not in known["arms"][-1:]:  # the runs come arm by arm
            known["arms"].append(arm)
        told = {"engine": record.get("engine")} | record["environment"]
        environment = {field: told.get(field) for field in DECIDES_BITS}
        self.environments.setdefault(json.dumps(environment), environment | {"runs": 0})["runs"] += 1

    def description(self) -> dict[str, Any]:
        """Both lists, each entry with its arms or its number of runs."""
        return {"datasets": list(self.datasets.values()), "environments": list(self.environments.values())}


def datasets_of(description: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The data sets in a study.json; older files have only the first run's."""
    return description.get("datasets") or list(filter(None, [description.get("data")]))


def data_notes(description: Mapping[str, Any]) -> list[str]:
    """What was left out of a study's data sets or read in a special way, each note once, with the data set's name."""
    notes = (f"{data['name']}: {note}" for data in datasets_of(description) for note in data.get("notes", ()))
    return list(dict.fromkeys(notes))


def environments_line(description: Mapping[str, Any]) -> str:
    """How the environments of a study's runs differ; empty where there is only one."""
    environments = description.get("environments") or []
    if len(environments) < 2:
        return ""
    differ = [key for key in DECIDES_BITS if len({str(each.get(key)) for each in environments}) > 1]
    shown = [
        ", ".join(f"{key} {'unknown' if each.get(key) is None else each[key]}" for key in differ)
        + f" ({each['runs']} run{'s' if each['runs'] > 1 else ''})"
        for each in environments
    ]
    return f"Runs come from {len(shown)} environments, and their bits may differ: {'; '.join(shown)}."
