"""A study's files, made of its records: a row a run, a row a run and epoch, and what was asked."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dnntrain.config.renamed import to_new_names
from dnntrain.config.spec import RunSpec
from dnntrain.engine.health import FIGURES
from dnntrain.metrics import results_of
from dnntrain.store.provenance import Provenance
from dnntrain.store.run_store import Record, RunRecords, RunStore
from dnntrain.studies.study import Study


def write_tables(study: Study, ids: Mapping[RunSpec, str], records: RunRecords, store: RunStore) -> None:
    """Write the study's files anew from its records."""
    store.write_study(study.name, study_files(study, ids, records))


def tables_are_current(study: Study, ids: Mapping[RunSpec, str], records: RunRecords, store: RunStore) -> bool:
    """Whether the study's files are as `write_tables` would write them."""
    return store.has_study(study.name, study_files(study, ids, records))


def study_files(study: Study, ids: Mapping[RunSpec, str], records: RunRecords) -> dict[str, Iterable[str]]:
    """The study's files in parts, made of its records, in the order of arms and seeds."""
    rows: list[dict[str, Any]] = []
    columns: dict[str, None] = {}
    provenance = Provenance()
    varied = study.varied()
    recorded = [(arm.name, ids[spec]) for arm, spec in study.runs() if ids[spec] in records]
    for arm, run in recorded:
        made = records[run]
        rows.append(results_row(made, study.name, arm, varied))
        columns |= dict.fromkeys(key for row in made["history"] for key in row)
        provenance.add(arm, made)
    first = records[recorded[0][1]]
    history = (row for arm, run in recorded for row in history_rows(records[run], study.name, arm))
    results = "".join(csv_lines(list(dict.fromkeys(key for row in rows for key in row)), rows))
    description = study.description() | {
        "data": first["data"],
        "environment": first["environment"],
        **provenance.description(),
        "checksum": hashlib.sha256(results.encode()).hexdigest(),
    }
    files: dict[str, Iterable[str]] = {
        "study.json": [json.dumps(description, indent=1)],
        "results.csv": [results],
        "history.csv": csv_lines([*HISTORY_NAMES, *columns], history),
    }
    return files | ({"preset.yaml": [study.source]} if study.source else {})


def results_row(record: Record, study: str, arm: str, varied: Sequence[str]) -> dict[str, Any]:
    """A row of results.csv."""
    named = {"study": study, "arm": arm, "seed": record["settings"]["seed"], "run": record["run"]}
    settings = to_new_names(record["settings"])
    fields = {key: settings.get(key) for key in varied}
    outcome = {"status": record["status"], "epochs_run": record["epochs"], "best_epoch": record["best_epoch"]}
    results = {name: record["results"].get(name) for name in results_of(record["data"]["task"])}
    return named | outcome | fields | results | {"health": record["health"], "seconds": record["seconds"]}


HISTORY_NAMES = ("study", "arm", "seed", "run")
"""The columns of history.csv that say whose row it is."""


def history_rows(record: Record, study: str, arm: str) -> Iterator[dict[str, Any]]:
    """The rows of history.csv for one run."""
    named = dict(zip(HISTORY_NAMES, (study, arm, record["settings"]["seed"], record["run"]), strict=True))
    for row in record["history"]:
        yield named | {key: layers(value) if key in FIGURES else value for key, value in row.items()}


def layers(values: Sequence[float | None]) -> str:
    """One figure of every layer in one cell, the lowest layer first."""
    return " ".join("nan" if value is None else f"{value:.6g}" for value in values)


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The rows as CSV, line by line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        yield text.getvalue()
        text.seek(text.truncate(0))
        writer.writerow(row)
    yield text.getvalue()
