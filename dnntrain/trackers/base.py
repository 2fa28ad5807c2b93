"""Trackers log studies where other tools show them: each run of an arm and seed is a run of the tracker.

A tracker is a small class with three methods, registered in `trackers.registry`:

    @register_tracker
    class Aim(Tracker):
        name, summary, needs, default = "aim", "Aim", "aim", ".aim"

        def logged(self, study): ...       # the runs of a study that are there, whole
        def open(self, run): ...           # a `RunLog` for a new run
        def log_study(self, result): ...   # the summary table and the study's files

Runs come to it in one way, as rows of their history and then their record, live from a study in training
(`trackers.live`) and from a recorded study (`Tracker.track`). So both leave the same.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from dnntrain.engine.probe import WEIGHT_FIGURES
from dnntrain.errors import InputError
from dnntrain.reporting.results import StudyResult
from dnntrain.store.records import LayerNames, RecordedSettings, RunRecord
from dnntrain.utils.fields import shortest_decimal
from dnntrain.utils.files import read_json, write_atomic

FINAL = "results/"
"""Precedes the names of final results, because a run's last epoch need not be the one that it keeps."""

MARK = "dnntrain.json"
"""In trackers that are folders of files, names a run that is whole."""


@dataclass(frozen=True)
class TrackedRun:
    """A run of a study. Arms with the same settings share a recorded run, and are logged one by one."""

    study: str
    arm: str
    seed: int
    id: str
    """The id under which it is recorded."""
    settings: RecordedSettings = field(default_factory=dict, compare=False)

    @property
    def names(self) -> dict[str, str]:
        """What tells it from other runs, as text."""
        return {"study": self.study, "arm": self.arm, "seed": str(self.seed), "run": self.id}


class RunLog(ABC):
    """Logs one run of a study in a tracker."""

    epochs: int = 0
    """How many epochs are logged."""

    @abstractmethod
    def log_epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """Log an epoch (from 1), and show it at once.

        Args:
            epoch: Its number.
            values: Finite numbers by series: `val_acc`, or `grad_norm/hidden1` for a figure of a layer.
        """

    @abstractmethod
    def finish(self, results: Mapping[str, float], outcome: Mapping[str, str]) -> None:
        """Log what came of the run, and mark it as whole.

        Args:
            results: Finite numbers by name, such as `results/test_acc`.
            outcome: `status` and `health` as text.
        """

    @abstractmethod
    def close(self) -> None:
        """Leave a run that was interrupted."""

    def add_rows(self, rows: Iterable[Mapping[str, Any]], layers: LayerNames) -> None:
        """Log the rows of a history that are not logged yet."""
        for row in rows:
            if row["epoch"] > self.epochs:
                self.log_epoch(row["epoch"], dict(series(row, layers)))
                self.epochs = row["epoch"]

    def complete(self, record: RunRecord) -> None:
        """Log what is left of a recorded run."""
        self.add_rows(record.history, record.layers)
        counts = {"epochs_run": record.epochs, "best_epoch": record.best_epoch, "seconds": record.seconds}
        results = {f"{FINAL}{name}": value for name, value in (record.results | counts).items() if value is not None}
        self.finish(results, {"status": record.status, "health": record.health})


class Tracker(ABC):
    """Where studies are logged. Making one writes nothing."""

    name: ClassVar[str]
    """What `--track` calls it."""
    summary: ClassVar[str]
    """What it is, in a few words, for `--help`."""
    needs: ClassVar[str]
    """What `pip install` takes if its package is missing."""
    default: ClassVar[str]
    """Where it logs if nothing else is asked for."""

    def __init__(self, where: str | Path | None = None) -> None:
        """Args:
        where: A folder, or what else the tracker takes; by default the class's own.

        Raises:
            ImportError: The tracker's package is not installed.
        """
        self.where = str(where or self.default)

    def check_place(self, runs: Path) -> None:
        """Raise InputError if it would log into the folder where runs are recorded."""
        if Path(self.where).absolute() == runs.absolute():
            raise InputError(f"tracker {self.name}: {self.where} is where runs are recorded; name another folder")

    @abstractmethod
    def logged(self, study: str) -> set[TrackedRun]:
        """The runs of a study that are there, whole. Called before runs of the study are opened."""

    @abstractmethod
    def open(self, run: TrackedRun) -> RunLog:
        """Begin a run. What an interrupted study left of it is removed."""

    @abstractmethod
    def log_study(self, result: StudyResult) -> None:
        """Log a study's summary table and its files. What was logged of them before is replaced."""

    def track(self, result: StudyResult) -> int:
        """Log a recorded study. Runs that are there already are left as they are.

        Returns:
            How many runs were logged.

        Raises:
            InputError: The record of a run is missing or damaged, or the tracker's folder is that of the records.
        """
        self.check_place(result.folder.parent)
        there, records, count = self.logged(result.name), result.records, 0
        for arm, seed, run_id in result.runs[["arm", "seed", "run"]].itertuples(index=False):
            run = TrackedRun(result.name, arm, int(seed), run_id)
            if run in there:
                continue
            if run_id not in records:
                raise InputError(f"{result.folder}: the record of run {run_id} is not in {result.folder.parent}/store")
            record = records[run_id]
            self.open(replace(run, settings=record.settings)).complete(record)
            count += 1
        self.log_study(result)
        return count


def mark_whole(folder: Path, run: TrackedRun) -> None:
    """Mark a folder as that of a run that is logged to its end."""
    write_atomic(folder / MARK, [json.dumps({key: value for key, value in asdict(run).items() if key != "settings"})])


def whole_runs(folders: Iterable[Path]) -> set[TrackedRun]:
    """The runs whose folders are marked."""
    marks = (folder / MARK for folder in folders)
    return {TrackedRun(**read_json(mark)) for mark in marks if mark.is_file()}


def series(row: Mapping[str, Any], layers: LayerNames) -> Iterator[tuple[str, float]]:
    """The finite numbers of a row of history by series, a figure of a layer as `grad_norm/hidden1`."""
    for column, cell in row.items():
        numbers = {column: cell}
        if isinstance(cell, list):
            names = layers.weights if column in WEIGHT_FIGURES else layers.activations
            if len(names) != len(cell):
                names = [str(number) for number in range(1, len(cell) + 1)]  # old records do not name their layers
            numbers = {f"{column}/{name}": value for name, value in zip(names, cell, strict=True)}
        yield from (
            (name, shortest_decimal(value) if name == "lr" else float(value))
            for name, value in numbers.items()
            if name != "epoch" and value is not None and math.isfinite(value)
        )


def study_files(result: StudyResult) -> list[Path]:
    """The files of a study's folder: its description, results, history, and the preset if there was one."""
    names = ("study.json", "results.csv", "history.csv", "preset.yaml")
    return [path for name in names if (path := result.folder / name).is_file()]
