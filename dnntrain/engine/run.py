"""One run of a population and the record that is kept of it. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.engine.health import diagnose
from dnntrain.engine.probe import RunProbes
from dnntrain.metrics import HELD_OUT, TargetInfo, recorded_columns
from dnntrain.store.checkpoint import Checkpoint
from dnntrain.store.predictions import Predictions
from dnntrain.store.records import FORMAT, CodeRecord, LayerNames, RunRecord
from dnntrain.utils.finite import nan_to_none
from dnntrain.utils.version import __version__

ENGINE_VERSION = "5"
"""Goes into every run's name: raise it when the same spec no longer gives the same numbers."""


@dataclass
class Run:
    """One member: what it was asked to do, and what came of it."""

    spec: RunSpec
    index: int
    """Its place among the specs that were given."""
    status: str = "running"
    """running, then finished or diverged."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """A row for each epoch: losses, accuracies, rate, health; plain numbers and lists of one number a layer."""
    layers: LayerNames = field(default_factory=LayerNames)
    """What those lists are about; known after the first epoch."""
    kept_epoch: int = 0
    """The epoch (from 1) whose weights are kept; 0 where none was finished."""
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    """Its share of the wall time that its populations took."""
    cpu_seconds: float = 0.0
    """Its share of their CPU time."""
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When its training started or was resumed."""
    constant: dict[str, float] = field(default_factory=dict)
    """The held-out metrics that a network which ignores its inputs would have, by column."""
    target_info: TargetInfo = field(default_factory=TargetInfo)
    """What is known of the targets of its training part."""
    predictions: Predictions | None = None
    """Of the kept weights; None if it diverged, or was not to keep them."""
    probes: RunProbes = field(default_factory=RunProbes)
    """What was measured at single steps."""
    steps_as: str = ""
    """How its training steps ran on a GPU: as CUDA graphs, or eagerly and why; empty on a CPU."""

    def values(self, metric: str) -> list[float]:
        """The history of one figure."""
        return [row[metric] for row in self.history]

    @property
    def kept_row(self) -> dict[str, Any]:
        """The history's row of the epoch whose weights are kept; empty where there is none."""
        return self.history[self.kept_epoch - 1] if self.kept_epoch else {}

    def to_record(self, run_id: str, data: Mapping[str, Any], environment: Mapping[str, Any]) -> RunRecord:
        """The record of a run that is over; numbers that are not finite become None.

        Args:
            run_id: The run's digest.
            data: The description of the data set that it was trained on.
            environment: What trained it: versions, threads, device.
        """
        watched = [f"{part}_{metric.name}" for part in HELD_OUT for metric in self.spec.watched_metrics]
        names = [*recorded_columns(data["task"]), *watched]
        results = {name: self.kept_row.get(name) for name in names} | self.test
        diverged = self.status == "diverged"
        content = {
            "format": FORMAT,
            "run": run_id,
            "engine": ENGINE_VERSION,
            "dnntrain": __version__,
            "settings": self.spec.settings(),
            "data": data,
            "environment": {**environment, **({"steps": self.steps_as} if self.steps_as else {})},
            "status": self.status,
            "epochs": len(self.history),
            "best_epoch": self.kept_epoch or None,
            "results": {name: results[name] for name in names if self.status == "finished"},
            "constant": self.constant,
            "health": str(diagnose(self.history, self.status, self.layers, self.probes)),
            "layers": self.layers.content(),
            "seconds": round(self.seconds, 4),
            "cpu_seconds": round(self.cpu_seconds, 4),
            "started": self.started,
            "ended": datetime.now(UTC),
            "history": self.history,
            "probes": {key: value for key, value in self.probes.content().items() if key != "last" or diverged},
        }
        if data["task"] == "regression":
            content["target"] = {"mean": self.target_info.mean, "deviation": self.target_info.deviation}
        plugins = self.spec.plugin_references()
        if code := [CodeRecord.of(each, each in plugins).content() for each in self.spec.references()]:
            content["code"] = code
        return RunRecord.model_validate(nan_to_none(content))


TakeCheckpoints = Callable[[], dict[int, Checkpoint]]
"""Makes checkpoints of the runs that are still training, by their index."""

OnEpoch = Callable[[list[Run], TakeCheckpoints], None]
"""Is given the runs that were in training after each epoch, their newest row at the end of `history`."""


def ignore(runs: list[Run], take: TakeCheckpoints) -> None:
    """An OnEpoch that does nothing."""
