"""The files of a study: study.json, results.csv, history.csv and preset.yaml, written from records and read back."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnntrain.errors import InputError
from dnntrain.metrics import VAL_LOSS, metric_columns, recorded_columns
from dnntrain.statistics import mean
from dnntrain.store.progress import StudyProgress
from dnntrain.store.provenance import Provenance
from dnntrain.store.records import RunRecord
from dnntrain.store.run_columns import RunColumns, is_empty, read_columns
from dnntrain.store.study_record import StudyRecord
from dnntrain.utils.fields import shortest_decimal
from dnntrain.utils.files import has_text, write_atomic, write_errors
from dnntrain.utils.lazy import pandas as pd

CHANGED = "{}: changed since it was written; the same `dnntrain ablate` writes it anew from the records"

HISTORY_NAMES = ("study", "arm", "seed", "run")
"""The columns of history.csv that say which run a row belongs to."""
RUN_AND_EPOCH = ("arm", "seed", "epoch")
"""The columns of history.csv that say what a figure is of."""
NUMBERS = ("seed", "epochs_run", "best_epoch", "seconds")
"""The numeric columns of results.csv, with the metrics. All others are text: an arm may be called NA or 1e-3."""
NEEDED = ("study", "arm", "seed", "run", "status", VAL_LOSS, "health", "seconds")


@dataclass(frozen=True)
class StudyFiles:
    """The contents of a study's folder, made from the records of its runs."""

    record: StudyRecord
    results_csv: str
    runs: Sequence[tuple[str, str]]
    """The arm and id of every recorded run, in the order of arms and seeds."""
    records: Mapping[str, RunRecord]
    history_columns: Sequence[str]
    preset: str = ""

    @classmethod
    def build(
        cls,
        study: StudyRecord,
        runs: Sequence[tuple[str, str]],
        records: Mapping[str, RunRecord],
        settings: Mapping[str, Mapping[str, Any]],
        preset: str = "",
        failed: Mapping[str, Sequence[int]] | None = None,
    ) -> StudyFiles:
        """Make the files from records.

        Args:
            study: What the study asked; where its runs come from is added here.
            runs: The arm and id of every recorded run, at least one, in the order of arms and seeds.
            records: The records by run id.
            settings: By run id, the settings in which the arms differ. Each is a column of results.csv.
            preset: The text of the preset, if there was one.
            failed: By arm, the seeds of the runs whose jobs failed.
        """
        rows: list[dict[str, Any]] = []
        columns: dict[str, None] = {}
        constants: dict[str, list[Mapping[str, float]]] = {}
        provenance = Provenance()
        for arm, run in runs:
            record = records[run]
            rows.append(_results_row(record, study.name, arm, settings[run]))
            columns |= dict.fromkeys(key for row in record.history for key in row)
            columns |= dict.fromkeys(record.layers.columns())
            provenance.add(arm, record)
            constants.setdefault(arm, []).append(record.constant)
        first = records[runs[0][1]]
        results_csv = "".join(_csv_lines(list(dict.fromkeys(key for row in rows for key in row)), rows))
        origin = {
            "data": first.data.without_preprocessing(),
            "environment": first.environment,
            "datasets": provenance.datasets,
            "environments": provenance.environments,
            "checksum": hashlib.sha256(results_csv.encode()).hexdigest(),
        }
        found = {"constants": mean_constants(constants), "training": provenance.training, "failed": failed}
        origin |= {key: value for key, value in found.items() if value}  # old records have no constants and no times
        return cls(study.model_copy(update=origin), results_csv, runs, records, [*HISTORY_NAMES, *columns], preset)

    def contents(self) -> dict[str, Iterable[str]]:
        """The text of each file, in parts."""
        history = (row for arm, run in self.runs for row in _history_rows(self.records[run], self.record.name, arm))
        contents: dict[str, Iterable[str]] = {
            "study.json": [self.record.to_json()],
            "results.csv": [self.results_csv],
            "history.csv": _csv_lines(self.history_columns, history),
        }
        return contents | ({"preset.yaml": [self.preset]} if self.preset else {})

    def write(self, folder: Path) -> None:
        """Write the files, each atomically; DnntrainError where the folder cannot be written to."""
        with write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for file, parts in self.contents().items():
                write_atomic(folder / file, parts)

    def are_written(self, folder: Path) -> bool:
        """Whether the folder has exactly these files."""
        return all(has_text(folder / file, parts) for file, parts in self.contents().items())

    def results(self, folder: Path) -> Results:
        """The same as `read_study` of the folder, without reading it.

        The table is parsed from the text that was written, so it has the same types and the same bits.
        """
        table = _parse_results(self.results_csv.encode(), folder / "results.csv")
        return Results(folder, self.record, table, run_records=self.records)


@dataclass(frozen=True)
class Results:
    """The results of one study."""

    folder: Path
    record: StudyRecord
    runs: RunColumns
    """results.csv: a row per run."""
    is_changed: bool = False
    """Whether results.csv was changed since it was written."""
    run_records: Mapping[str, RunRecord] | None = None
    """The records by run id, if the study has just run in this process."""
    is_table: bool = False
    """Whether dnntrain did not write it: then `folder` is a file, and nothing is known of runs that are not in it."""
    is_paired: bool = True
    """Whether runs of two arms with equal seeds are pairs."""
    blocks: Sequence[str] = ()
    """The names of the blocks, such as data sets, whose means are compared; `runs` has each run's block by number."""
    notes: Sequence[str] = ()
    """What a reader should know of how the table was read."""
    progress: StudyProgress | None = None
    """How far the study is, if it is being trained or was interrupted."""

    @property
    def name(self) -> str:
        """The study's name."""
        return self.record.name

    def validation_curves(self, metric: str) -> dict[str, list[float]]:
        """Each arm's mean of a validation metric by epoch, over the runs that were trained for as long.

        Empty if the study has no history, or the metric is not in it. InputError where history.csv is damaged.
        """
        if self.is_table:
            return {}
        values: dict[str, dict[int, list[float]]] = {}
        for arm, epoch, value in self.history_of(metric).rows("arm", "epoch", metric):
            of_epoch = values.setdefault(arm, {}).setdefault(epoch, [])
            of_epoch += [] if math.isnan(value) else [value]
        if not any(of_epoch for by_epoch in values.values() for of_epoch in by_epoch.values()):
            return {}
        return {arm: [mean(own) for _, own in sorted(by_epoch.items())] for arm, by_epoch in values.items()}

    def history_of(self, *figures: str) -> RunColumns:
        """The columns arm, seed, epoch and `figures` of the history, nan where a figure is not recorded.

        No rows if the study has no history. InputError where history.csv is damaged.
        """
        if self.run_records is None:
            return _read_history(self.folder, figures)
        runs = [(arm, self.run_records[run]) for arm, run in self.runs.rows("arm", "run")]
        rows = [{**row, "arm": arm, "seed": record.seed} for arm, record in runs for row in record.history]
        columns = {name: [row.get(name) for row in rows] for name in (*RUN_AND_EPOCH, *figures)}
        return RunColumns({n: [math.nan if value is None else value for value in own] for n, own in columns.items()})

    def history(self) -> pd.DataFrame:
        """A row per run and epoch, as in history.csv, which is written when the study ends.

        Raises:
            InputError: history.csv is missing or damaged.
        """
        path: Path | io.StringIO = self.folder / "history.csv"
        if self.progress is not None and self.run_records is not None:
            runs = self.runs.rows("arm", "run")
            rows = [row for arm, run in runs for row in _history_rows(self.run_records[run], self.name, arm)]
            columns = [*HISTORY_NAMES, *dict.fromkeys(key for row in rows for key in row if key not in HISTORY_NAMES)]
            path = io.StringIO("".join(_csv_lines(columns, rows)))
        try:
            return pd.read_csv(path, dtype={"arm": str, "run": str}, keep_default_na=False, na_values=[""])
        except (OSError, ValueError) as error:
            raise _unreadable(self.folder / "history.csv", error) from None


def mean_constants(by_arm: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """By arm and metric, the mean over its runs of what a network scores that ignores its inputs.

    Arms with a run that does not say, and metrics that a run lacks, are left out.
    """
    return {
        arm: {
            metric: math.fsum(constant[metric] for constant in constants) / len(constants)
            for metric in constants[0]
            if all(metric in constant for constant in constants)
        }
        for arm, constants in by_arm.items()
        if all(constants)
    }


def read_study(folder: Path) -> Results:
    """Read a study's record and table; InputError that names the file where one is missing or damaged."""
    study = StudyRecord.read(folder / "study.json")
    path = folder / "results.csv"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run the study again to write it") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    is_changed = study.checksum not in ("", hashlib.sha256(content).hexdigest())
    return Results(folder, study, _parse_results(content, path), is_changed)


def _parse_results(content: bytes, path: Path) -> RunColumns:
    """The table in the bytes of results.csv; InputError that names the file and what is wrong."""
    try:
        runs = read_columns(content, {*NUMBERS, *metric_columns()})
    except ValueError as error:
        raise _unreadable(path, error) from None
    missing = [column for column in NEEDED if column not in runs]
    if missing:
        raise InputError(f"{path}: no column '{missing[0]}'; is it a results.csv of dnntrain?")
    if any(map(is_empty, runs["seed"])):
        raise InputError(f"{path}: a row has no seed")
    there: set[tuple[str, float]] = set()
    for arm, seed in runs.rows("arm", "seed"):
        if (arm, seed) in there:
            raise InputError(f"{path}: arm {arm} has seed {seed:g} twice")
        there.add((arm, seed))
    return runs


def _read_history(folder: Path, figures: Sequence[str]) -> RunColumns:
    """The columns of `Results.history_of` from history.csv; no rows without that file."""
    path, columns = folder / "history.csv", [*RUN_AND_EPOCH, *figures]
    try:
        history = read_columns(path.read_bytes(), {"seed", "epoch", *figures}, columns)
    except FileNotFoundError:
        return RunColumns({column: [] for column in columns})
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    lacking = {column: [math.nan] * len(history) for column in columns if column not in history}
    return history.with_columns(lacking)


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: cannot be read as CSV ({str(error).splitlines()[0]})")


def _results_row(record: RunRecord, study: str, arm: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A row of results.csv."""
    named = {"study": study, "arm": arm, "seed": record.seed, "run": record.run}
    outcome = {"status": record.status, "epochs_run": record.epochs, "best_epoch": record.best_epoch}
    columns = [*recorded_columns(record.data.task), *record.results]  # and what runs watched
    results = {name: record.results.get(name) for name in columns}
    return named | outcome | dict(settings) | results | {"health": record.health, "seconds": record.seconds}


def _history_rows(record: RunRecord, study: str, arm: str) -> Iterator[dict[str, Any]]:
    """The rows of history.csv for one run."""
    named = dict(zip(HISTORY_NAMES, (study, arm, record.seed, record.run), strict=True))
    layers = {  # spaces separate the names, and a part of a user's module may have one in its name
        column: " ".join(name.replace(" ", "_") for name in names) for column, names in record.layers.columns().items()
    }
    for row in record.history:
        rate = {"lr": shortest_decimal(lr)} if isinstance(lr := row.get("lr"), float) else {}
        cells = {key: _figures(value) if isinstance(value, list) else value for key, value in (row | rate).items()}
        yield named | cells | layers


def _figures(values: Sequence[float | None]) -> str:
    """The figures of all layers in one cell, the lowest layer first."""
    return " ".join("nan" if value is None else f"{value:.6g}" for value in values)


def _csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The rows as CSV, line by line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        yield text.getvalue()
        text.seek(text.truncate(0))
        writer.writerow(row)
    yield text.getvalue()
