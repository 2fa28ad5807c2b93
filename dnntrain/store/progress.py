"""How far a study has come while it is trained: a file of each process that trains it, in the study's folder.

    <study>/.progress/<name>.json    what the process trains, and how far each run is
    <study>/.progress/<name>.lock    held for as long as the process lives

A process removes its files when the study is complete. One that is killed or interrupted leaves them: whoever finds a
file without a held lock knows that the study was interrupted, and how it goes on.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from filelock import FileLock
from pydantic import Field, ValidationError

from dnntrain.errors import InputError
from dnntrain.store.locks import is_held
from dnntrain.store.records import Record
from dnntrain.store.run_store import RunStore
from dnntrain.store.study_record import StudyRecord
from dnntrain.utils import locks
from dnntrain.utils.files import read_json, write_atomic, write_errors
from dnntrain.utils.times import time_left

FOLDER = ".progress"
SECONDS_BETWEEN_WRITES = 1.0
SILENCE = timedelta(minutes=10)
"""Without locks in the file system, a process that has not written for this long counts as ended."""


class RunProgress(Record):
    """How far a run in training is."""

    epoch: int
    """Epochs trained so far."""
    score: float | None
    """The newest validation score; None where it is not finite."""


class ProcessRecord(Record):
    """What a process trains of a study, and how far it is."""

    name: str
    """Of its files, without suffix."""
    study: StudyRecord
    """What is planned."""
    runs: dict[str, dict[int, str]]
    """The id of every planned run, by arm and seed."""
    pid: int
    host: str
    started: datetime
    updated: datetime
    command: str = ""
    """The command line that continues the study; empty for a call from Python."""
    cwd: str = ""
    """The folder where the process was started."""
    has_lock: bool = True
    """False where the file system has no locks."""
    epochs_trained: int = 0
    """By this process, over all runs."""
    first_epoch: datetime | None = None
    """When it had trained the first epoch. What came before is mostly start-up, and says nothing on the pace."""
    epochs_at_first: int = 0
    """How many epochs were trained then."""
    metric: str = ""
    """What the scores are, such as val_acc; empty before the first epoch."""
    running: dict[str, RunProgress] = Field(default_factory=dict)
    """The runs in training, by run id."""
    failed: dict[str, list[int]] = Field(default_factory=dict)
    """By arm, the seeds whose jobs failed."""

    @classmethod
    def of_this_process(
        cls, study: StudyRecord, runs: Mapping[str, Mapping[int, str]], command: str = ""
    ) -> ProcessRecord:
        """The record of this process as it starts to train a study."""
        now = datetime.now(UTC)
        pid, host = os.getpid(), socket.gethostname()
        return cls(
            name=f"{host}-{pid}-{uuid4().hex[:6]}", study=study, runs={arm: dict(ids) for arm, ids in runs.items()},
            pid=pid, host=host, started=now, updated=now, command=command, cwd=str(Path.cwd()),
        )  # fmt: skip

    @property
    def epochs_timed(self) -> int:
        """Epochs that it has trained since the first one."""
        return self.epochs_trained - self.epochs_at_first

    @property
    def seconds_timed(self) -> float:
        """How long these epochs took."""
        return (self.updated - self.first_epoch).total_seconds() if self.first_epoch else 0.0


class ProgressFile:
    """This process's file in a study's folder, as a context: it exists while the study is trained.

    It is written by a thread, at most once a second, so that training never waits for it. A file that can no longer
    be written stays as it is and stops nothing.
    """

    def __init__(self, folder: Path, record: ProcessRecord) -> None:
        self.record = record
        self.path = folder / FOLDER / f"{record.name}.json"
        self.lock = FileLock(self.path.with_suffix(".lock"))
        self.keep = False
        """Whether the file stays at the end, because the study is not complete."""
        self._guard = threading.Lock()
        self._timer: threading.Timer | None = None
        self._written = 0.0
        self._is_closed = False

    def __enter__(self) -> Self:
        with write_errors(self.path.parent):
            remove_ended(self.path.parent.parent)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            has_lock = locks.acquire_if_possible(self.lock)
            self.record = self.record.model_copy(update={"has_lock": has_lock})
            self._write()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if timer := self._timer:
            timer.cancel()
        with self._guard:
            self._is_closed = True
            with suppress(OSError):
                if self.keep:
                    self._write()
                else:
                    self.path.unlink(missing_ok=True)
            locks.release(self.lock)
        if not self.keep:
            remove_ended(self.path.parent.parent)

    def update(self, **changes: Any) -> None:
        """Change fields of the record, which is written within a second."""
        self.record = self.record.model_copy(update={**changes, "updated": datetime.now(UTC)})
        if self._timer is None:
            wait = self._written + SECONDS_BETWEEN_WRITES - time.monotonic()
            self._timer = threading.Timer(max(0.0, wait), self._write_in_thread)
            self._timer.daemon = True
            self._timer.start()

    def _write_in_thread(self) -> None:
        with self._guard, suppress(OSError):
            self._timer = None  # a change from now on needs another write
            if not self._is_closed:
                self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        write_atomic(self.path, [self.record.model_dump_json()])


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is that is being trained, or was interrupted."""

    processes: list[ProcessRecord]
    """Those that train it, the newest first; of an interrupted study, those that did."""
    is_training: bool
    recorded: frozenset[str]
    """The ids of the planned runs that are recorded."""

    @property
    def study(self) -> StudyRecord:
        """What is planned."""
        return self.processes[0].study

    @property
    def runs(self) -> Mapping[str, Mapping[int, str]]:
        """The id of every planned run, by arm and seed."""
        return self.processes[0].runs

    @property
    def planned(self) -> int:
        """How many runs are planned; one that several arms share counts once."""
        return len({run for ids in self.runs.values() for run in ids.values()})

    @property
    def failed(self) -> dict[str, list[int]]:
        """By arm, the seeds whose jobs failed in a process that still trains."""
        return {arm: seeds for process in self.processes for arm, seeds in process.failed.items()}

    @property
    def metric(self) -> str:
        """What the scores of the runs in training are, such as val_acc; empty before the first epoch."""
        return next((process.metric for process in self.processes if process.metric), "")

    @cached_property
    def running(self) -> dict[str, RunProgress]:
        """The runs in training by run id; of an interrupted study, those that were."""
        newest_last = reversed(self.processes)
        runs = {run: state for process in newest_last for run, state in process.running.items()}
        return {run: state for run, state in runs.items() if run not in self.recorded}

    @property
    def expected_end(self) -> datetime | None:
        """When the planned runs will be trained at the pace so far, if none stops early; None if that is not known."""
        seconds = max(process.seconds_timed for process in self.processes)
        if not (self.is_training and seconds > 0):
            return None
        # each process's pace, over the time of the longest
        timed = [process for process in self.processes if process.seconds_timed > 0]
        done = sum(process.epochs_timed * seconds / process.seconds_timed for process in timed)
        left = sum(epochs - self.epochs_done(run) for run, epochs in self.epochs_planned.items())
        if (rest := time_left(done, left, seconds)) is None:
            return None
        return max(process.updated for process in self.processes) + timedelta(seconds=rest)

    @property
    def share(self) -> float:
        """Share of the planned epochs that are trained, 0 to 1. A recorded run counts in full."""
        done, planned = map(self.epochs_done, self.epochs_planned), sum(self.epochs_planned.values())
        return sum(done) / planned if planned else 0.0

    @cached_property
    def epochs_planned(self) -> dict[str, int]:
        """The epochs that each run may have, by run id."""
        epochs = {arm.name: int(arm.settings.get("epochs") or 0) for arm in self.study.arms}
        return {run: epochs[arm] for arm, ids in self.runs.items() for run in ids.values()}

    def epochs_done(self, run: str) -> int:
        """The epochs of a run that are trained; all of them if it is recorded, even if it stopped early."""
        if run in self.recorded:
            return self.epochs_planned[run]
        return self.running[run].epoch if run in self.running else 0


def recorded_in_words(recorded: int, planned: int) -> str:
    """How many of the planned runs are recorded: '3 of 6 runs are recorded'."""
    if planned == 1:
        return "the run is recorded" if recorded else "the run is not recorded yet"
    return f"{recorded} of {planned} runs {'is' if recorded == 1 else 'are'} recorded"


def has_progress(folder: Path) -> bool:
    """Whether a process trains the study in a folder, or was interrupted there."""
    return any((folder / FOLDER).glob("*.json"))


def read_progress(folder: Path) -> StudyProgress | None:
    """How far the study in a folder is; None if no process has left a file there.

    Raises:
        InputError: A file is damaged.
    """
    found = sorted(read_processes(folder), key=lambda process: process.started, reverse=True)
    if not found:
        return None
    alive = [process for process in found if is_alive(folder, process)]
    store, planned = RunStore(folder.parent), {run for ids in found[0].runs.values() for run in ids.values()}
    return StudyProgress(alive or found, bool(alive), frozenset(run for run in planned if store.has(run)))


def read_processes(folder: Path) -> Iterable[ProcessRecord]:
    """The records of all processes in a study's folder; InputError for one that is damaged."""
    for path in (folder / FOLDER).glob("*.json"):
        try:
            yield ProcessRecord.model_validate(read_json(path))
        except ValidationError:
            raise InputError(f"{path}: damaged; remove it once nobody trains this study") from None
        except InputError:
            if path.exists():  # else the study has just been completed
                raise


def is_alive(folder: Path, process: ProcessRecord) -> bool:
    """Whether a process still trains the study."""
    if not process.has_lock:
        return datetime.now(UTC) - process.updated < SILENCE
    return is_held(folder / FOLDER / f"{process.name}.lock")


def remove_ended(folder: Path) -> None:
    """Remove the files of processes that have ended, as far as that is possible."""
    with suppress(OSError, InputError):
        for process in read_processes(folder):
            if not is_alive(folder, process):
                for suffix in ("json", "lock"):
                    (folder / FOLDER / f"{process.name}.{suffix}").unlink(missing_ok=True)
    for path in (folder / FOLDER, folder):
        with suppress(OSError):
            path.rmdir()  # unless something is in it
