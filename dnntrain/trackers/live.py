"""Logs a study while it trains."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Concatenate, ParamSpec

from dnntrain.config.spec import RunSpec
from dnntrain.executors.jobs import EpochEnd
from dnntrain.reporting.results import StudyResult
from dnntrain.store.records import RunRecord
from dnntrain.studies.callbacks import StudyCallback
from dnntrain.studies.study import Study
from dnntrain.trackers.base import RunLog, TrackedRun, Tracker

Arguments = ParamSpec("Arguments")


Method = Callable[Concatenate["LiveTracking", Arguments], None]


def survived(method: Method[Arguments]) -> Method[Arguments]:
    """Turns the first error of a tracker into a warning. After that, its methods do nothing."""

    @wraps(method)
    def guarded(self: LiveTracking, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        if not self.failed:
            try:
                method(self, *args, **kwargs)
            except Exception as error:  # anything: a tracker's package has errors of its own
                self.failed = True
                name = self.tracker.name
                print(
                    f"warning: {name} failed, and {self.study} is no longer logged there ({type(error).__name__}: "
                    f"{error}); `dnntrain runs track {self.study} --to {name}` logs it once it is trained",
                    file=sys.stderr,
                )

    return guarded


class LiveTracking(StudyCallback):
    """Logs epochs and runs in a tracker as they are finished. A tracker that fails costs no run."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.failed = False
        self.study = ""
        self.logs: dict[TrackedRun, RunLog] = {}
        """The runs in training."""

    @survived
    def start(self, study: Study, recorded: Mapping[str, RunRecord], ids: dict[RunSpec, str]) -> None:
        """Log the runs that are recorded already, unless they are there."""
        self.study, self.ids = study.name, ids
        self.runs: dict[str, list[TrackedRun]] = defaultdict(list)
        """By run id: arms may share a run."""
        for arm, spec in study.runs():
            run = TrackedRun(study.name, arm.name, spec.seed, ids[spec], spec.settings())
            self.runs[run.id].append(run)
        self.there = self.tracker.logged(study.name)
        for run_id in recorded:
            if not self.there.issuperset(self.runs[run_id]):
                self.run_finished(recorded[run_id])

    @survived
    def progress(self, event: EpochEnd) -> None:
        """Log the new rows of history."""
        for index, rows in event.rows.items():
            for log in self.open_logs(self.ids[event.job.specs[index]]):
                log.add_rows(rows, event.layers)

    @survived
    def run_finished(self, record: RunRecord) -> None:
        """Log what is left of the run, and its results."""
        for log in self.open_logs(record.run):
            log.complete(record)
        for run in self.runs[record.run]:
            self.logs.pop(run, None)
            self.there.add(run)

    @survived
    def stop(self) -> None:
        """Leave the runs that were interrupted."""
        for log in self.logs.values():
            log.close()
        self.logs.clear()

    @survived
    def finish(self, result: StudyResult) -> None:
        """Log a complete study: its table, its files, and the runs that other processes trained."""
        self.study = result.name
        self.tracker.track(result)

    def open_logs(self, run_id: str) -> list[RunLog]:
        """The logs of a run, one for each arm that has it, without those that are there, whole."""
        runs = [run for run in self.runs[run_id] if run not in self.there]
        for run in runs:
            if run not in self.logs:
                self.logs[run] = self.tracker.open(run)
        return [self.logs[run] for run in runs]
