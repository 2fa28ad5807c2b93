"""Jobs go from a coordinator to an executor; events come back. Both are pickled, and neither needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.engine.run import Run
from dnntrain.store.checkpoint import Checkpoint
from dnntrain.store.records import LayerNames
from dnntrain.utils.plugins import Plugin, loaded_plugins
from dnntrain.utils.user_code.sources import UserCode

if TYPE_CHECKING:
    from dnntrain.statistics.range_test import RateRange
    from dnntrain.transfer_learning.backbone import Backbone


@dataclass(frozen=True)
class Job:
    """One population to train."""

    plugins: tuple[Plugin, ...] = field(default_factory=loaded_plugins, kw_only=True)
    """The plug-ins of this process. Unpickling loads them, so they come before the specs, which hold their classes."""
    specs: tuple[RunSpec, ...]
    home: DataLocation
    device: str = "cpu"
    """auto, cpu, cuda or mps."""
    backbone: Backbone | None = None
    """The trained network that the runs reuse."""
    code: tuple[UserCode, ...] = ()
    """The user's own code that the runs use, as it was when they were asked for."""
    metric_modules: tuple[str, ...] = ()
    """The user's own modules that declare metrics by which the runs stop or select their epoch."""
    checkpoints: Mapping[RunSpec, Checkpoint] = field(default_factory=dict)
    """Where interrupted runs stopped, all at the same epoch; empty for new runs."""
    checkpoint_every: int | None = None
    """Epochs between checkpoints; None for one a minute."""
    predictions: bool = True
    """Whether to keep what the runs predict for held-out examples."""
    compiles: bool = False
    """Whether training steps are compiled."""
    rates: RateRange | None = None
    """The learning rates of a range test, which then is all that is trained."""
    retries: int = 0
    """How many workers were lost while training these runs."""
    number: int = 0
    """Set by the executor when it submits the job; events refer to it."""

    def subset(self, specs: tuple[RunSpec, ...]) -> Job:
        """The part of the job that trains these runs."""
        return replace(self, specs=specs, checkpoints={s: c for s, c in self.checkpoints.items() if s in specs})

    def apply(self, event: Event) -> Job:
        """What remains of the job after the event."""
        if isinstance(event, RunsFinished):
            finished = {run.spec for run in event.runs}
            return self.subset(tuple(spec for spec in self.specs if spec not in finished))
        if isinstance(event, RangeTested):
            return self.subset(())
        return replace(self, checkpoints=event.checkpoints) if isinstance(event, CheckpointSaved) else self

    def without_weights(self) -> Job:
        """The job as events carry it: small enough to send after every epoch."""
        return replace(self, backbone=None, code=(), checkpoints={})


@dataclass(frozen=True)
class EpochEnd:
    """A population has trained one more epoch. Runs are given by their index in the job's specs."""

    job: Job
    epochs: dict[int, int]
    """Epochs trained so far."""
    metric: str
    """The score of the data's task: val_acc or val_r2."""
    val_score: dict[int, float]
    """The latest value of that score."""
    rows: dict[int, list[dict[str, Any]]]
    """The rows of history that no earlier event of the job has; the first event also has those before a checkpoint."""
    layers: LayerNames
    """What the lists in these rows are about."""
    finished: frozenset[int]

    def newest(self, column: str) -> tuple[str, dict[int, float]]:
        """The newest values by which a study is followed: a column's, or the score's where runs do not record it."""
        if all(rows and column in rows[-1] for rows in self.rows.values()):
            return column, {index: rows[-1][column] for index, rows in self.rows.items()}
        return self.metric, self.val_score


@dataclass(frozen=True)
class RunsFinished:
    """Some of a population's runs are finished."""

    job: Job
    runs: list[Run]
    environment: dict[str, Any]
    """What trained them, for their records."""
    data: dict[str, Any]
    """The data set's description, for their records."""


@dataclass(frozen=True)
class CheckpointSaved:
    """Checkpoints of the population's runs that are still training."""

    job: Job
    checkpoints: dict[RunSpec, Checkpoint]


@dataclass(frozen=True, eq=False)
class RangeProgress:
    """A range test has taken some more steps."""

    job: Job
    losses: np.ndarray
    """The loss of each step so far, (steps, runs)."""


@dataclass(frozen=True, eq=False)
class RangeTested:
    """A range test is complete."""

    job: Job
    losses: np.ndarray
    """The loss of each step, (steps, runs)."""


@dataclass(frozen=True)
class JobFinished:
    """The job has ended: all its runs are trained, or it was asked to stop."""

    job: Job


@dataclass(frozen=True)
class JobFailed:
    """The job's remaining runs could not be trained."""

    job: Job
    message: str
    exit_code: int = 1
    lost: bool = False
    """Whether the worker died or ran out of memory, so that fewer runs at a time may succeed."""
    short: bool = False
    """Whether it is known that there was too little memory for so many runs."""


Event = EpochEnd | RunsFinished | CheckpointSaved | RangeProgress | RangeTested | JobFinished | JobFailed
SendEvent = Callable[[Event], None]
