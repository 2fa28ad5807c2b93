"""Runs a study: what is recorded already is kept, what is missing is trained, and the tables are written."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Container, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from dnntrain.data import DataHome
from dnntrain.errors import DnntrainError, InputError
from dnntrain.executors import Executor
from dnntrain.planning import populations
from dnntrain.records import Record, RunStore, history_rows, record, results_row
from dnntrain.reused import check_apart, find_base
from dnntrain.run import ENGINE_VERSION
from dnntrain.spec import CoreSpec
from dnntrain.study import Study
from dnntrain.workers import Event, Failed, Finished, Job, Progress


class Watcher(Protocol):
    """Is told how a study goes on."""

    def start(self, study: Study, recorded: dict[str, Record], names: dict[CoreSpec, str]) -> None:
        """The study begins; some of its runs are recorded already."""
        ...

    def progress(self, event: Progress) -> None:
        """A population has trained one more epoch."""
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

    def run(self, executor: Executor, watcher: Watcher) -> Outcome:
        """Train what is missing. Raises InputError where the runs cannot be; a failure leaves the others recorded."""
        outcome = Outcome(self.study, self.ids, self.recorded())
        missing = {run: spec for spec, run in self.ids.items() if run not in outcome.records}
        plan = populations(list(missing.values()), executor.workers)
        jobs = [
            Job(number, tuple(specs), self.home, self.device, self.bases.get(specs[0].reuse_from or ""))
            for number, specs in enumerate(plan)
        ]
        if jobs:
            self.store.prepare()
        with self.store.held(self.study.name) if jobs else nullcontext():
            watcher.start(self.study, outcome.records, self.ids)
            try:
                for event in executor.run(jobs):
                    self.take(event, outcome, watcher)
            finally:
                watcher.stop()
                # an interrupt may have come between a record and its note
                outcome.records |= self.recorded(known=outcome.records)
                if outcome.records:
                    self.write_tables(outcome)
        if outcome.failures:
            raise DnntrainError("\n".join(self.failed(outcome.failures)))
        return outcome

    def failed(self, failures: Sequence[Failed]) -> list[str]:
        """Each reason once, with the runs that it cost."""
        names = {spec: f"{arm.name} seed {spec.seed}" for arm, spec in self.study.runs()}
        lost: dict[str, list[str]] = {}
        for failure in failures:
            lost.setdefault(failure.message, []).extend(names[spec] for spec in failure.job.specs)
        return [f"{message}: {', '.join(runs)} not trained" for message, runs in lost.items()]

    def take(self, event: Event, outcome: Outcome, watcher: Watcher) -> None:
        """Record what has happened."""
        if isinstance(event, Progress):
            watcher.progress(event)
        elif isinstance(event, Failed):
            if event.exit_code == InputError.exit_code:
                raise InputError(event.message)
            outcome.failures.append(event)
        elif isinstance(event, Finished):
            for run in event.runs:
                made = record(run, self.ids[run.spec], event.data, event.environment)
                self.store.write(made, run)
                outcome.records[made["run"]] = made

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


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as CSV, with the columns of all of them in the order in which they first occur."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
