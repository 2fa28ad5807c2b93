"""Reads tables of runs that dnntrain did not write: CSV, TSV, Parquet, JSON lines, and JSON arrays of objects.

Every cell is text, because an arm may be called 1e-3, NA or True. A missing cell is empty. Nested objects of JSON and
Parquet become columns with dots in their names: {"params": {"lr": 0.1}} is the column params.lr.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from dnntrain.errors import InputError, did_you_mean
from dnntrain.utils.lazy import pandas
from dnntrain.utils.text_table import read_cells, read_text

FILE = "file"
"""The column that says which file a row is from, unless the tables have a column of this name."""

SEPARATED, JSON_LINES, PARQUET = (".csv", ".tsv"), (".jsonl", ".ndjson"), (".parquet", ".pq")
SUFFIXES = (*SEPARATED, *PARQUET, *JSON_LINES, ".json")

CURVE = {"Wall time", "Step", "Value"}
"""The columns of TensorBoard's export of one curve."""


@dataclass(frozen=True)
class RunTable:
    """Rows of one or several files."""

    paths: tuple[Path, ...]
    columns: Mapping[str, Sequence[str]]
    """The cells of each column, in row order."""
    places: Sequence[str]
    """Where each row is, as 'runs.csv: line 3'."""

    def column(self, name: str, option: str) -> Sequence[str]:
        """The cells of a column; InputError that names the option where there is no such column."""
        if name not in self.columns:
            raise InputError(f"{option} {name}: no such column in {self.shown_paths}{did_you_mean(name, self.columns)}")
        return self.columns[name]

    @property
    def shown_paths(self) -> str:
        """The files, for messages."""
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return f"{self.paths[0]}{more}"


def read_run_tables(sources: Sequence[Path | pandas.DataFrame]) -> RunTable:
    """Reads and concatenates tables that have the same columns: files, and DataFrames.

    A column `file` is added, with the name of each file without its suffix; with the whole path if two are equal.

    Raises:
        InputError: If a file cannot be read or has no rows, or a column is missing in some of the files.
    """
    if not sources:
        raise InputError("no table; give a file such as runs.csv")
    tables = [
        read_run_table(source) if isinstance(source, Path) else table_of_frame(source, number)
        for number, source in enumerate(sources, 1)
    ]
    paths = [path for table in tables for path in table.paths]
    known = dict.fromkeys(chain.from_iterable(table.columns for table in tables))
    stems = [path.name.partition(".")[0] for path in paths]
    names = stems if len({*stems}) == len(stems) else [str(path) for path in paths]
    columns: dict[str, Sequence[str]] = {} if FILE in known else {FILE: [
        name for name, table in zip(names, tables, strict=True) for _ in table.places
    ]}  # fmt: skip
    for column in known:
        # a column that some files lack is left out, and named only if it is asked for
        if all(column in table.columns for table in tables):
            columns[column] = [cell for table in tables for cell in table.columns[column]]
    return RunTable(tuple(paths), columns, [place for table in tables for place in table.places])


def read_run_table(path: Path) -> RunTable:
    """Reads one file; InputError if it cannot be read, is not a table, or has no rows."""
    suffixes = path.suffixes[:-1] if path.suffix == ".gz" else path.suffixes
    kind = suffixes[-1].lower() if suffixes else ""
    if path.is_dir():
        raise InputError(f"{path}: is a folder, but not of a study; give a file such as runs.csv")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if kind in SEPARATED:
        columns, places = read_text_columns(path)
    elif kind in JSON_LINES:
        columns, places = columns_of_objects(path, json_lines(path), "line")
    elif kind == ".json":
        columns, places = columns_of_objects(path, enumerate(json_array(path), 1), "row")
    elif kind in PARQUET:
        columns, places = columns_of_objects(path, enumerate(parquet_rows(path), 1), "row")
    else:
        raise InputError(f"{path}: unknown kind of table '{kind}'; known: {', '.join(SUFFIXES)}")
    if not places:
        raise InputError(f"{path}: no rows")
    if columns.keys() >= CURVE:
        raise InputError(f"{path}: the curve of one run; export a table with a row per run (in TensorBoard: HPARAMS)")
    return RunTable((path,), columns, places)


def table_of_frame(frame: pandas.DataFrame, number: int) -> RunTable:
    """A DataFrame as a table, whose index is not used.

    Args:
        frame: A row for each run.
        number: Its place among the tables, for messages.

    Raises:
        InputError: If it has no rows, or two columns have the same name.
    """
    name = f"DataFrame {number}"
    names = [str(column) for column in frame.columns]
    if twice := next((column for column in names if names.count(column) > 1), None):
        raise InputError(f"{name}: two columns are named '{twice}'")
    if not len(frame):
        raise InputError(f"{name}: no rows")
    columns: Columns = {}
    for column, (_, values) in zip(names, frame.items(), strict=True):
        missing = values.isna()
        columns[column] = ["" if gone else str(cell).strip() for cell, gone in zip(values, missing, strict=True)]
    return RunTable((Path(name),), columns, [f"{name}: row {row}" for row in range(len(frame))])


Columns = dict[str, Sequence[str]]


def read_text_columns(path: Path) -> tuple[Columns, list[str]]:
    """The columns of a CSV or TSV file, and where its rows are."""
    cells = read_cells(path)
    names = dict(zip(cells.names, cells.columns, strict=True))
    if len(names) < len(cells.names):
        twice = next(name for name in cells.names if cells.names.count(name) > 1)
        raise InputError(f"{path}: two columns are named '{twice}'")
    return dict(names), [f"{path}: line {line}" for line in cells.lines]


def columns_of_objects(path: Path, rows: Iterator[tuple[int, Any]], unit: str) -> tuple[Columns, list[str]]:
    """The columns of numbered objects, and where they are; a key that some objects lack is an empty cell."""
    flat, places = [], []
    for number, row in rows:
        places.append(f"{path}: {unit} {number}")
        if not isinstance(row, dict):
            raise InputError(f"{places[-1]}: not an object with a value for each column")
        flat.append(dict(flattened(row)))
    names = dict.fromkeys(chain.from_iterable(flat))
    return {name: [row.get(name, "") for row in flat] for name in names}, places


def flattened(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The cells of an object by column, nested objects with dots."""
    for key, value in row.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "" if value is None else str(value).strip()


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """The object of each line that is not blank, with the line's number."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}: line {number}: not JSON ({error})") from None
            except RecursionError:
                raise InputError(f"{path}: line {number}: nested too deeply") from None


def json_array(path: Path) -> list[Any]:
    """The objects of a JSON array."""
    try:
        content = json.loads(read_text(path))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); for one object per line, name it .jsonl") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply") from None
    if not isinstance(content, list):
        raise InputError(f"{path}: must be an array of objects, one for each run")
    return content


def parquet_rows(path: Path) -> list[Any]:
    """The rows of a Parquet file."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise InputError(f"{path}: Parquet needs pyarrow: pip install 'dnntrain[parquet]'") from None
    try:
        rows: list[Any] = parquet.read_table(path).to_pylist()
    except (OSError, ValueError, RuntimeError) as error:  # pyarrow's own errors are among these
        raise InputError(f"{path}: damaged, or not a Parquet file ({str(error).splitlines()[0]})") from None
    return rows
