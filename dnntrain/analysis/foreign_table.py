"""Anyone's table of runs as studies, one for each value column, which everything that analyzes studies takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dnntrain.analysis.identified_runs import IdentifiedRuns, identified_runs
from dnntrain.analysis.predicted_metrics import no_metric, with_metric
from dnntrain.analysis.table_layout import LARGEST, TableLayout, read_value_column
from dnntrain.errors import InputError, did_you_mean
from dnntrain.metrics import TableColumn, column_named, metric_columns, metric_of
from dnntrain.store.run_columns import RunColumns
from dnntrain.store.run_tables import RunTable, read_run_tables
from dnntrain.store.studies import find_studies
from dnntrain.store.study_files import Results
from dnntrain.store.study_record import ArmRecord, StudyRecord
from dnntrain.utils.fields import odd_number

if TYPE_CHECKING:
    import pandas as pd

DIVERGED_WORDS = ("diverged", "nan")
"""Words of a status, or of an empty value, for a run that diverged; runs lost in another way failed."""

MISSING = ("", "nan", "na", "<na>", "n/a", "none", "null")
"""How tables write that a run has no value, in any case."""

MOST_ARMS_NAMED = 5
"""Arms that a note names, at most."""


def read_comparison(tables: Sequence[Path | pd.DataFrame], layout: TableLayout) -> list[Results]:
    """Reads tables of runs as studies, one for each value column.

    A single study of dnntrain is taken as it is, with everything that its files say. Several of them, or columns other
    than its own, make a table of their results.csv.

    Args:
        tables: Files, folders of studies, or DataFrames.
        layout: What the columns mean. Studies of dnntrain need none.

    Raises:
        InputError: If a file cannot be read, a column is missing, there are fewer than two arms, a value is not a
            number, or a run is there twice. The message names file, line and value.
    """
    folders = [table for table in tables if isinstance(table, Path) and table.is_dir()]
    studies = find_studies(folders) if folders else []
    for study in studies:
        if study.progress is not None:
            raise InputError(f"{study.folder}: not complete yet; `dnntrain report {study.folder}` shows how far it is")
    if len(studies) == 1 == len(tables) and not any((layout.arm, layout.seed, layout.block, layout.status)):
        return single_study(studies[0], layout)
    only_studies = len(folders) == len(tables)
    if only_studies and studies:
        layout = layout.or_else(TableLayout.of_study(studies[0].record.metric))
    for option, given in (("--arm", layout.arm), ("--value", layout.values)):
        if not given:
            shown = tables[0] if isinstance(tables[0], Path) else "a DataFrame"
            raise InputError(f"{option}: needed to read {shown}; name one of its columns")
    files = [table for table in tables if not (isinstance(table, Path) and table.is_dir())]
    table = read_run_tables([*files, *(study.folder / "results.csv" for study in studies)])
    if only_studies:
        layout, studies = asked_metrics(layout, studies)
        table = with_columns(table, layout.values, studies)
    values = [read_value_column(text, table.columns, is_study=only_studies) for text in layout.values]
    check_layout(layout, values)
    constants = constants_of(studies) if only_studies else {}
    runs = identified_runs(table, layout)
    constants |= layout.lost_values
    return [table_study(table, layout, runs, value, constants) for value in values]


def single_study(study: Results, layout: TableLayout) -> list[Results]:
    """A study of dnntrain by each value column, or by its own metric."""
    layout, (study,) = asked_metrics(layout, [study])
    texts = layout.values or (study.record.metric,)
    values = [read_value_column(text, study.runs.columns, is_study=True) for text in texts]
    check_layout(layout, values)
    lost = layout.lost_values
    constants = {arm.name: {**study.record.constants.get(arm.name, {}), **lost} for arm in study.record.arms}
    changes = {"constants": constants} if lost else {}
    return [replace(study, record=study.record.model_copy(update=changes | {"metric": value})) for value in values]


def asked_metrics(layout: TableLayout, studies: Sequence[Results]) -> tuple[TableLayout, list[Results]]:
    """The layout with the columns that its values mean, and studies of dnntrain with metrics of their predictions.

    Raises:
        InputError: If a value is a metric that a study neither records nor has predictions for.
    """
    values = tuple(column_named(text) for text in layout.values)
    for column in {*values} & {*metric_columns()}:
        studies = [with_metric(study, column) for study in studies]
        for study in studies:
            if column not in study.runs.columns:
                raise InputError(f"--value {column}: {no_metric(study, column)}")
    lost_values = {column_named(name): value for name, value in layout.lost_values.items()}
    return replace(layout, values=values, lost_values=lost_values), list(studies)


def with_columns(table: RunTable, columns: Iterable[str], studies: Sequence[Results]) -> RunTable:
    """The table of some studies' results.csv with columns that only the studies in memory have."""
    new: dict[str, Sequence[str]] = {}
    for column in columns:
        if column not in table.columns and all(column in study.runs.columns for study in studies):
            cells = [value for study in studies for value in study.runs[column]]
            new[column] = ["" if math.isnan(value) else repr(float(value)) for value in cells]
    return replace(table, columns={**table.columns, **new})


def check_layout(layout: TableLayout, values: Sequence[str]) -> None:
    """Raise InputError for options that contradict each other, or that name no value column."""
    for value in values:
        if values.count(value) > 1:
            raise InputError(f"--value {value}: given twice")
    for name in layout.lost_values:
        if name not in values:
            raise InputError(f"--lost-value {name}: not one of the values{did_you_mean(name, values)}")
    if layout.ok and not layout.status:
        raise InputError("--ok: needs --status, the column that it is about")


def constants_of(studies: Sequence[Results]) -> dict[str, float]:
    """What a lost run counts as in several studies: by metric, the worst of their constants."""
    constants: dict[str, float] = {}
    for study in studies:
        for by_metric in study.record.constants.values():
            for metric, value in by_metric.items():
                worse = min if metric_of(metric).higher_is_better else max
                constants[metric] = worse(value, constants.get(metric, value))
    return constants


def table_study(
    table: RunTable, layout: TableLayout, runs: IdentifiedRuns, value: str, constants: Mapping[str, float]
) -> Results:
    """The table as a study by one value column. It has no other, so that a requirement on it is judged once."""
    cells = table.column(value, "--value")
    numbers = [read_value_cell(cell, value, place) for cell, place in zip(cells, table.places, strict=True)]
    if all(math.isnan(number) for number in numbers):
        raise InputError(f"--value {value}: no number in any row of {table.shown_paths}")
    check_sizes(numbers, value, table)
    statuses = []
    for i, number in enumerate(numbers):
        is_lost = math.isnan(number) if runs.is_lost[i] is None else runs.is_lost[i]
        word = (runs.statuses[i] or cells[i]).lower()
        statuses.append("finished" if not is_lost else "diverged" if word in DIVERGED_WORDS else "failed")
    columns: dict[str, Sequence[Any]] = {
        "arm": runs.arms, "seed": runs.numbers, "status": statuses, str(value): numbers,
    }  # fmt: skip
    if runs.blocks:
        columns["block"] = runs.blocks
    names = runs.arm_names
    record = StudyRecord(
        name=name_of(table) if len(layout.values) == 1 else f"{name_of(table)}: {value}",
        metric=value,
        seeds=sorted({*runs.numbers}),
        arms=[ArmRecord(name=name) for name in names],
        baseline=names[0],
        constants={name: {str(value): constants[value]} for name in names} if value in constants else {},
    )
    # validation would make a plain string of the column
    record = record.model_copy(update={"metric": value})
    is_paired = bool(layout.seed or layout.block)
    notes = tuple(notes_on(layout, runs, value))
    return Results(
        table.paths[0],
        record,
        RunColumns(columns),
        is_table=True,
        is_paired=is_paired,
        blocks=runs.block_names,
        notes=notes,
    )


def read_value_cell(text: str, column: str, place: str) -> float:
    """A cell's number, nan if it is empty; InputError if it is other text."""
    if text.casefold() in MISSING:
        return math.nan
    try:
        number = float(text)
    except ValueError:
        number = None
    if number is None or "_" in text:
        raise InputError(f"{place}: {column} {odd_number(text) or f'{text!r} is not a number'}")
    return number


def check_sizes(numbers: Sequence[float], column: str, table: RunTable) -> None:
    """Raise InputError for numbers that are too large or too small to compute with."""
    sizes = [abs(number) if math.isfinite(number) else 0.0 for number in numbers]
    largest = max(sizes)
    if largest > LARGEST:
        place = table.places[sizes.index(largest)]
        raise InputError(
            f"{place}: {column} {largest:g} is too large to compare; rescale the column, or leave the cell empty "
            "if the run diverged"
        )
    if 0 < largest < 1 / LARGEST:
        raise InputError(f"--value {column}: no number above {largest:g}, too small to compare; rescale the column")


def name_of(table: RunTable) -> str:
    """What the study is called: after its files."""
    stems = [path.parent.name if path.name == "results.csv" else path.name.partition(".")[0] for path in table.paths]
    return "+".join(stems) if len(stems) < 4 else f"{stems[0]} and {len(stems) - 1} more"


def notes_on(layout: TableLayout, runs: IdentifiedRuns, value: str) -> list[str]:
    """What the reader of a report should know of how a table was read."""
    better = "higher" if metric_of(value).higher_is_better else "lower"
    notes = [f"{value}: {better} is better."] if isinstance(value, TableColumn) else []
    if runs.blocks:
        notes.append(f"Pairs are blocks: each {layout.block} counts once, with an arm's mean over its runs there.")
    elif not layout.seed:
        notes.append("Unpaired, because no column for the seed is named (--seed).")
    if layout.seed or runs.blocks:
        every = {*runs.numbers}
        have: dict[str, set[int]] = {name: set() for name in runs.arm_names}
        for arm, number in zip(runs.arms, runs.numbers, strict=True):
            have[arm].add(number)
        lacking = [f"{len(every - own)} of {len(every)} runs of {arm}" for arm, own in have.items() if every - own]
        if lacking:
            more = f" and {len(lacking) - MOST_ARMS_NAMED} more arms" if len(lacking) > MOST_ARMS_NAMED else ""
            notes.append(f"Missing from the table: {', '.join(lacking[:MOST_ARMS_NAMED])}{more}.")
    return notes
