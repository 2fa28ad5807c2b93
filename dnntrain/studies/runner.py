"""Runs a study: what is recorded already is kept, what is missing is trained, and the tables are written."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from dnntrain.config.spec import CoreSpec
from dnntrain.data import DataLocation
from dnntrain.engine.run import ENGINE_VERSION
from dnntrain.errors import DnntrainError, InputError
from dnntrain.executors.local import Executor, accelerated
from dnntrain.executors.planner import populations
from dnntrain.executors.worker import CheckpointSaved, EpochEnd, Event, Job, JobFailed, RunsFinished
from dnntrain.store.locks import RunLocks
from dnntrain.store.records import RunRecord
from dnntrain.store.run_store import RunRecords, RunStore
from dnntrain.store.study_files import Results, StudyFiles
from dnntrain.studies.feasibility import check_study
from dnntrain.studies.study import Study
from dnntrain.transfer_learning.resolve import check_leakage, resolve_backbones


class StudyCallback(Protocol):
    """Is told how a study goes on."""

    def start(self, study: Study, recorded: Mapping[str, RunRecord], names: dict[CoreSpec, str]) -> None:
        """The study begins; some of its runs are recorded already."""
        ...

    def progress(self, event: EpochEnd) -> None:
        """A population has trained one more epoch."""
        ...

    def stopping(self) -> None:
        """The study was asked to stop, and will at the end of the epochs at work."""
        ...

    def stop(self) -> None:
        """The study is over, or was interrupted."""
        ...


@dataclass
class StudyResult:
    """What came of a study."""

    study: Study
    ids: Mapping[CoreSpec, str]
    """The name of every run."""
    records: RunRecords
    """By run id."""
    files: StudyFiles | None = None
    """What was written of the study; None before."""
    failures: list[JobFailed] = field(default_factory=list)

    @cached_property
    def results(self) -> Results:
        """The study's results, from memory: the same as `read_study` of its folder."""
        assert self.files is not None
        return self.files.results(self.records.store.root / self.study.name)

    def figures(self, metric: str) -> dict[str, list[float]]:
        """One figure of every run by arm, in the order of the seeds; nan where a run diverged."""
        results: dict[str, list[float]] = {arm.name: [] for arm in self.study.arms}
        for arm, spec in self.study.runs():
            value = self.records[self.ids[spec]].results.get(metric)
            results[arm.name].append(math.nan if value is None else value)
        return results


@dataclass(frozen=True)
class Manner:
    """How a study is carried out; nothing in it changes a result."""

    join: bool = False
    """Whether to help another process that is at work on it."""
    checkpoint_every: int | None = None
    """Epochs between checkpoints of runs that are in training; None for one a minute."""


ALONE = Manner()
PATIENCE = 0.5
"""Seconds between two looks at what others have recorded."""


class StudyRunner:
    """One study in one store."""

    def __init__(self, study: Study, store: RunStore, home: DataLocation | None = None, device: str = "auto") -> None:
        self.study, self.store, self.home, self.device = study, store, home or DataLocation(), device
        fingerprints = {source: source.fingerprint(self.home) for source in {arm.spec.source for arm in study.arms}}
        check_study(study, self.home)
        self.ids = {spec: spec.digest(fingerprints[spec.source], ENGINE_VERSION) for _, spec in self.study.runs()}
        """The name of every run."""
        self.bases = resolve_backbones(study, store, self.home)
        for arm in study.arms:
            if arm.spec.reuse_from:
                check_leakage(self.bases[arm.spec.reuse_from], arm.spec, store, self.home)

    def run(self, executor: Executor, watcher: StudyCallback, manner: Manner = ALONE) -> StudyResult:
        """Train what is missing. Raises InputError where the runs cannot be; a failure leaves the others recorded.

        Raises KeyboardInterrupt where it was asked to stop, once what is at work has come to a safe point.
        """
        outcome = StudyResult(self.study, self.ids, RunRecords(self.store, self.ids.values()))
        missing = self.missing(outcome)
        folder = self.store.root / self.study.name
        if not missing:
            outcome.files = self.study_files(outcome.records)
        if outcome.files and outcome.files.are_written(folder):
            watcher.start(self.study, outcome.records, self.ids)
            watcher.stop()
            return outcome  # nothing to write: the store may be read-only
        if missing:
            self.store.prepare()
        with (
            self.store.study_lock(self.study.name, manner.join),
            self.store.run_locks() as claims,
            ending_softly(executor, watcher) as stopped,
        ):
            watcher.start(self.study, outcome.records, self.ids)
            try:
                while (missing := self.missing(outcome)) and not stopped:
                    jobs = JobQueue(self, executor.workers, missing, claims, manner.checkpoint_every)
                    for event in executor.run(jobs):
                        self.take(event, outcome, watcher, claims)
                    if not jobs.given:
                        time.sleep(PATIENCE)  # the rest is being trained by others
                    outcome.records.refresh()
            finally:
                watcher.stop()
                # an interrupt may have come between a record and its note
                outcome.records.refresh()
                if outcome.records:
                    outcome.files = self.study_files(outcome.records)
                    outcome.files.write(folder)
        if missing and stopped:
            raise KeyboardInterrupt
        if outcome.failures:
            raise self.failure(outcome)
        return outcome

    def study_files(self, records: RunRecords) -> StudyFiles:
        """The study's files, made from its records."""
        runs = [(arm.name, self.ids[spec]) for arm, spec in self.study.runs() if self.ids[spec] in records]
        return StudyFiles.build(self.study.to_record(), runs, records, self.study.varied(), self.study.source)

    def missing(self, outcome: StudyResult) -> dict[CoreSpec, str]:
        """The runs that are neither recorded nor have failed, with their ids."""
        lost = {spec for failure in outcome.failures for spec in failure.job.specs}
        return {spec: run for spec, run in self.ids.items() if run not in outcome.records and spec not in lost}

    def failure(self, outcome: StudyResult) -> DnntrainError:
        """Each reason once, with the runs that it cost, and where the others are."""
        names = {spec: f"{arm.name} seed {spec.seed}" for arm, spec in self.study.runs()}
        lost: dict[str, list[str]] = {}
        for failed in outcome.failures:
            lost.setdefault(failed.message, []).extend(names[spec] for spec in failed.job.specs)
        lines = [f"{message}: {', '.join(runs)} not trained" for message, runs in lost.items()]
        if outcome.records:
            folder = self.store.root / self.study.name
            lines.append(f"the other runs are recorded, {len(outcome.records)} of them: dnntrain report {folder}")
        wrong_input = any(failed.exit_code == InputError.exit_code for failed in outcome.failures)
        return (InputError if wrong_input else DnntrainError)("\n".join(lines))

    def take(self, event: Event, outcome: StudyResult, watcher: StudyCallback, claims: RunLocks) -> None:
        """Record what has happened."""
        if isinstance(event, EpochEnd):
            watcher.progress(event)
        elif isinstance(event, JobFailed):
            outcome.failures.append(event)
        elif isinstance(event, RunsFinished):
            for run in event.runs:
                record = run.to_record(self.ids[run.spec], event.data, event.environment)
                outcome.records.add(self.store.write(record, run.weights))
                claims.release(record.run)
        elif isinstance(event, CheckpointSaved):
            for spec, checkpoint in event.checkpoints.items():
                self.store.write_checkpoint(self.ids[spec], checkpoint)


class JobQueue:
    """The missing runs in populations, each claimed when it is taken."""

    def __init__(
        self,
        ablation: StudyRunner,
        workers: int,
        missing: Mapping[CoreSpec, str],
        claims: RunLocks,
        checkpoint_every: int | None,
    ) -> None:
        self.ablation, self.claims, self.every = ablation, claims, checkpoint_every
        # who waits for others looks twice a second: their checkpoints are not read each time
        self.missing = {spec: run for spec, run in missing.items() if claims.is_unlocked(run)}
        store = ablation.store
        self.checkpoints = {spec: made for spec, run in self.missing.items() if (made := store.checkpoint(run))}
        begun = {spec: made.epochs for spec, made in self.checkpoints.items()}
        self.plan = populations(list(self.missing), workers, begun, accelerated(ablation.device))
        self.given = 0
        """Jobs that were taken."""

    def __iter__(self) -> Iterator[Job]:
        for specs in self.plan:
            ours = tuple(spec for spec in specs if self.is_ours(self.missing[spec]))
            if ours:
                self.given += 1
                yield self.job(ours)

    def is_ours(self, run: str) -> bool:
        """Whether nobody else trains the run, or has trained it since."""
        if not self.claims.try_lock(run):
            return False
        if self.ablation.store.has(run):
            self.claims.release(run)
            return False
        return True

    def job(self, specs: tuple[CoreSpec, ...]) -> Job:
        """The job of training one population."""
        of = self.ablation
        made = {spec: checkpoint for spec, checkpoint in self.checkpoints.items() if spec in specs}
        base = of.bases.get(specs[0].reuse_from or "")
        return Job(self.given, specs, of.home, of.device, base, 0, made, self.every)


@contextmanager
def ending_softly(executor: Executor, watcher: StudyCallback) -> Iterator[list[int]]:
    """Ctrl-C or SIGTERM lets what is at work come to a safe point; a second one ends at once. Gives what came."""
    came: list[int] = []

    def soft(number: int, frame: object) -> None:
        came.append(number)
        for each in ENDS:
            signal.signal(each, signal.default_int_handler)
        watcher.stopping()
        executor.stop()

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {each: signal.signal(each, soft) for each in ENDS}
    try:
        yield came
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


ENDS = (signal.SIGINT, signal.SIGTERM)
