"""The studies and runs of a store as lists, from the studies' tables. Only runs that no table has are read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dnntrain.metrics import METRICS, VAL_LOSS, metric_of, score_of, split_column
from dnntrain.reporting import formatting
from dnntrain.store.progress import StudyProgress, read_progress
from dnntrain.store.run_store import RunStore
from dnntrain.store.studies import is_complete, open_study, recorded_studies
from dnntrain.store.study_files import Results, read_study
from dnntrain.utils.times import duration

RUNNING, INTERRUPTED, FAILED = "running", "interrupted", "failed"
STATUSES = ("finished", "diverged", FAILED, RUNNING, INTERRUPTED)
"""What `runs list` calls the states of runs."""


@dataclass(frozen=True)
class StudyLine:
    """A study as a line of a list."""

    study: str
    arms: int
    finished: int
    """Runs that finished; of a study in training, runs that are recorded."""
    planned: int
    metric: str
    """What its arms are compared by."""
    state: str
    """complete, incomplete, running or interrupted."""
    when: datetime | None
    """When its tables, or what is known of its training, were last written."""
    where: str = ""
    """The processes that train it: '1234 on somehost'."""
    expected_end: datetime | None = None


@dataclass(frozen=True)
class RunLine:
    """A run of an arm as a line of a list. A run that several arms use has a line for each."""

    run: str
    """Its id; empty for a run that failed."""
    study: str
    """Empty for a run that no study uses, as `arm`."""
    arm: str
    seed: int
    status: str
    """One of STATUSES."""
    metric: str
    """The study's metric, or a validation metric where the run has no value of that."""
    value: float
    """nan without any."""
    when: datetime | None
    """When it was recorded; for a run in training, when it was last heard of."""
    where: str = ""
    """The process that trains it, and its epoch."""

    @property
    def shown_value(self) -> str:
        """The metric with its value, such as 'test_acc 87.12 %'; empty without any."""
        if math.isnan(self.value):
            return ""
        if split_column(self.metric)[1] not in METRICS:  # of a plug-in that is not loaded
            return f"{self.metric} {self.value:.6g}"
        unit = " %" if metric_of(self.metric).is_share else ""
        return f"{self.metric} {formatting.number(self.value, self.metric)}{unit}"


def list_studies(out: Path) -> list[StudyLine]:
    """The studies in a store, by name; InputError if a file is damaged."""
    return [study_line(folder) for folder in recorded_studies(out)]


def study_line(folder: Path) -> StudyLine:
    """A study as a line. One in training is known by its progress alone, without reading records."""
    progress = read_progress(folder)
    if progress and (progress.is_training or not is_complete(folder, progress)):
        study = progress.study
        heard = max(process.updated for process in progress.processes)
        state = RUNNING if progress.is_training else INTERRUPTED
        where = ", ".join(f"{process.pid} on {process.host}" for process in progress.processes)
        return StudyLine(folder.name, len(study.arms), len(progress.recorded), progress.planned, study.metric, state,
                         heard, where if progress.is_training else "", progress.expected_end)  # fmt: skip
    results = read_study(folder)
    record, status = results.record, results.runs["status"]
    planned = sum(len(record.seeds_of(arm.name)) for arm in record.arms)
    made = len(status) + sum(map(len, record.failed.values()))
    state = "complete" if made >= planned else "incomplete"
    finished = status.count("finished")
    return StudyLine(folder.name, len(record.arms), finished, planned, record.metric, state,
                     modified(folder / "results.csv"))  # fmt: skip


def expected_in_words(line: StudyLine) -> str:
    """What is left of a study in training: '12 min left'; empty for others."""
    if line.expected_end is None:
        return ""
    return f"{duration(max(0.0, (line.expected_end - datetime.now(UTC)).total_seconds()))} left"


def run_lines(out: Path, study: str = "") -> Iterator[RunLine]:
    """The runs of a study, or of all studies and then those that no study uses; InputError if a file is damaged."""
    store, used = RunStore(out), set[str]()
    for folder in [out / study] if study else recorded_studies(out):
        for line in runs_of_study(open_study(folder), store):
            used.add(line.run)
            yield line
    for run in [] if study else store.run_ids():
        if run not in used:
            record = store.read(run)
            column = f"val_{score_of(record.data.task).name}"
            value = record.results.get(column)
            yield RunLine(run, "", "", record.seed, record.status, column, math.nan if value is None else value,
                          modified(store.folder(run) / "run.json"))  # fmt: skip


def runs_of_study(study: Results, store: RunStore) -> Iterator[RunLine]:
    """The runs of a study: by arm and seed those that are recorded, then those that failed, then those in training."""
    runs, name = study.runs, study.folder.name
    columns = [column for column in (study.record.metric, "val_acc", "val_r2", VAL_LOSS) if column in runs]
    for run, arm, seed, status, *numbers in runs.rows("run", "arm", "seed", "status", *columns):
        metric, value = next(
            ((column, number) for column, number in zip(columns, numbers, strict=True) if not math.isnan(number)),
            (study.record.metric, math.nan),
        )
        yield RunLine(run, name, arm, int(seed), status, metric, value, modified(store.folder(run) / "run.json"))
    for arm, seeds in study.record.failed.items():
        for seed in seeds:
            yield RunLine("", name, arm, seed, FAILED, study.record.metric, math.nan, None)
    if study.progress:
        yield from runs_in_training(study.progress, name)


def runs_in_training(progress: StudyProgress, study: str) -> Iterator[RunLine]:
    """The runs of a study that are in training, or were when it was interrupted."""
    status = RUNNING if progress.is_training else INTERRUPTED
    for arm, ids in progress.runs.items():
        for seed, run in ids.items():
            if run not in progress.running:
                continue
            state = progress.running[run]
            process = next(process for process in progress.processes if run in process.running)
            where = f"{process.pid} on {process.host}, " if progress.is_training else ""
            value = math.nan if state.score is None else state.score
            yield RunLine(run, study, arm, seed, status, progress.metric, value, process.updated,
                          f"{where}epoch {state.epoch}/{progress.epochs_planned[run]}")  # fmt: skip


def modified(path: Path) -> datetime | None:
    """When a file was last written; None if it is gone."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None
