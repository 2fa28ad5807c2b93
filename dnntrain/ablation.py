"""Runs a study: what is recorded already is kept, what is missing is trained, and the tables are written."""

from __future__ import annotations

import csv
import io
import json
import math
import signal
import threading
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from dnntrain.claims import Claims
from dnntrain.data import DataHome
from dnntrain.errors import DnntrainError, InputError
from dnntrain.executors import Executor
from dnntrain.planning import populations
from dnntrain.records import Record, RunStore, history_rows, record, results_row
from dnntrain.reused import check_apart, find_base
from dnntrain.run import ENGINE_VERSION
from dnntrain.spec import CoreSpec
from dnntrain.study import Study
from dnntrain.workers import Checkpointed, Event, Failed, Job, Progress, Trained


class Watcher(Protocol):
    """Is told how a study goes on."""

    def start(self, study: Study, recorded: dict[str, Record], names: dict[CoreSpec, str]) -> None:
        """The study begins; some of its runs are recorded already."""
        ...

    def progress(self, event: Progress) -> None:
        """A population has trained one more epoch."""
        ...

    def stopping(self) -> None:
        """The study was asked to stop, and will at the end of the epochs at work."""
        ...

    def stop(self) -> None:
        """The study is over, or was interrupted."""
        ...


@dataclass
class Outcome:
    """What came of a study."""

    study: Study
    ids: Mapping[CoreSpec, str]
    """The name of every run."""
    records: dict[str, Record] = field(default_factory=dict)
    """By run id."""
    failures: list[Failed] = field(default_factory=list)

    def figures(self, metric: str) -> dict[str, list[float]]:
        """One figure of every run by arm, in the order of the seeds; nan where a run diverged."""
        results: dict[str, list[float]] = {arm.name: [] for arm in self.study.arms}
        for arm, spec in self.study.runs():
            value = self.records[self.ids[spec]]["results"].get(metric)
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


class Ablation:
    """One study in one store."""

    def __init__(self, study: Study, store: RunStore, home: DataHome | None = None, device: str = "auto") -> None:
        self.study, self.store, self.home, self.device = study, store, home or DataHome(), device
        fingerprints = {source: source.fingerprint(self.home) for source in {arm.spec.source for arm in study.arms}}
        for source in fingerprints:
            source.outline(self.home)  # data of a person's own are read, and what is wrong with them is said, here
        self.ids = {spec: spec.digest(fingerprints[spec.source], ENGINE_VERSION) for _, spec in self.study.runs()}
        """The name of every run."""
        self.bases = {
            name: find_base(name, store, self.home) for name in {a.spec.reuse_from for a in study.arms} if name
        }
        for arm in study.arms:
            if arm.spec.reuse_from:
                base = self.bases[arm.spec.reuse_from]
                base.check(arm.spec, arm.spec.source.outline(self.home).shape)
                check_apart(base, arm.spec, store, self.home)

    def recorded(self, known: Container[str] = ()) -> dict[str, Record]:
        """The records of the study's runs that are in the store, but for those that are known."""
        return {run: self.store.read(run) for run in self.ids.values() if run not in known and self.store.has(run)}

    def run(self, executor: Executor, watcher: Watcher, manner: Manner = ALONE) -> Outcome:
        """Train what is missing. Raises InputError where the runs cannot be; a failure leaves the others recorded.

        Raises KeyboardInterrupt where it was asked to stop, once what is at work has come to a safe point.
        """
        outcome = Outcome(self.study, self.ids, self.recorded())
        missing = self.missing(outcome)
        if missing:
            self.store.prepare()
        with (
            self.store.held(self.study.name, manner.join),
            self.store.claimed() as claims,
            ending_softly(executor, watcher) as stopped,
        ):
            watcher.start(self.study, outcome.records, self.ids)
            try:
                while (missing := self.missing(outcome)) and not stopped:
                    jobs = Jobs(self, executor.workers, missing, claims, manner.checkpoint_every)
                    for event in executor.run(jobs):
                        self.take(event, outcome, watcher, claims)
                    if not jobs.given:
                        time.sleep(PATIENCE)  # the rest is being trained by others
                    outcome.records |= self.recorded(known=outcome.records)
            finally:
                watcher.stop()
                # an interrupt may have come between a record and its note
                outcome.records |= self.recorded(known=outcome.records)
                if outcome.records:
                    self.write_tables(outcome)
        if missing and stopped:
            raise KeyboardInterrupt
        if outcome.failures:
            raise DnntrainError("\n".join(self.failed(outcome.failures)))
        return outcome

    def missing(self, outcome: Outcome) -> dict[CoreSpec, str]:
        """The runs that are neither recorded nor have failed, with their ids."""
        lost = {spec for failure in outcome.failures for spec in failure.job.specs}
        return {spec: run for spec, run in self.ids.items() if run not in outcome.records and spec not in lost}

    def failed(self, failures: Sequence[Failed]) -> list[str]:
        """Each reason once, with the runs that it cost."""
        names = {spec: f"{arm.name} seed {spec.seed}" for arm, spec in self.study.runs()}
        lost: dict[str, list[str]] = {}
        for failure in failures:
            lost.setdefault(failure.message, []).extend(names[spec] for spec in failure.job.specs)
        return [f"{message}: {', '.join(runs)} not trained" for message, runs in lost.items()]

    def take(self, event: Event, outcome: Outcome, watcher: Watcher, claims: Claims) -> None:
        """Record what has happened."""
        if isinstance(event, Progress):
            watcher.progress(event)
        elif isinstance(event, Failed):
            if event.exit_code == InputError.exit_code:
                raise InputError(event.message)
            outcome.failures.append(event)
        elif isinstance(event, Trained):
            for run in event.runs:
                made = record(run, self.ids[run.spec], event.data, event.environment)
                self.store.write(made, run)
                outcome.records[made["run"]] = made
                claims.release(made["run"])
        elif isinstance(event, Checkpointed):
            for spec, checkpoint in event.checkpoints.items():
                self.store.write_checkpoint(self.ids[spec], checkpoint)

    def write_tables(self, outcome: Outcome) -> None:
        """Write the study's files anew from its records, in the order of arms and seeds."""
        rows: list[dict[str, Any]] = []
        history: list[dict[str, Any]] = []
        varied = self.study.varied()
        for arm, spec in self.study.runs():
            made = outcome.records.get(self.ids[spec])
            if made:
                rows.append(results_row(made, self.study.name, arm.name, varied))
                history += history_rows(made, self.study.name, arm.name)
        first = next(iter(outcome.records.values()))
        description = self.study.description() | {"data": first["data"], "environment": first["environment"]}
        files = {
            "study.json": json.dumps(description, indent=1),
            "results.csv": to_csv(rows),
            "history.csv": to_csv(history),
        }
        self.store.write_study(
            self.study.name, files | ({"preset.yaml": self.study.source} if self.study.source else {})
        )


class Jobs:
    """The missing runs in populations, each claimed when it is taken."""

    def __init__(
        self,
        ablation: Ablation,
        workers: int,
        missing: Mapping[CoreSpec, str],
        claims: Claims,
        checkpoint_every: int | None,
    ) -> None:
        self.ablation, self.missing, self.claims, self.every = ablation, missing, claims, checkpoint_every
        store = ablation.store
        self.checkpoints = {spec: made for spec, run in missing.items() if (made := store.checkpoint(run))}
        begun = {spec: made.epochs for spec, made in self.checkpoints.items()}
        self.plan = populations(list(missing), workers, begun)
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
        if not self.claims.take(run):
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
def ending_softly(executor: Executor, watcher: Watcher) -> Iterator[list[int]]:
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


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as CSV, with the columns of all of them in the order in which they first occur."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
