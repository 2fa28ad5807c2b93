"""The columns of a table, and their encoding as inputs: numbers as they are, categories one-hot."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from dnntrain.data.copies import Indices, copy_groups
from dnntrain.data.numbers import PERIOD, parse_number
from dnntrain.data.preprocessing import is_missing
from dnntrain.data.user_data import Split
from dnntrain.errors import InputError

ColumnKind = Literal["number", "text", "yes or no"]
MAX_CATEGORIES = 100
"""A text column with more distinct values than this is not categorical, but names or remarks."""
MAX_FLOAT32 = float(np.finfo(np.float32).max)
CONSTANT = "the same in every training row"
TOO_MANY_CATEGORIES = f"text of over {MAX_CATEGORIES} different values"


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a table."""

    name: str
    values: NDArray[Any]
    """(N,): float64 numbers, nan where missing; or bool; or strings, None where missing."""
    decimal: str = PERIOD
    """The decimal mark that its numbers were read with."""

    @property
    def is_text(self) -> bool:
        """Whether the values are strings."""
        return self.values.dtype.kind == "O"

    @property
    def kind(self) -> ColumnKind:
        """What the values are."""
        kinds: dict[str, ColumnKind] = {"O": "text", "b": "yes or no"}
        return kinds.get(self.values.dtype.kind, "number")

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which values are missing: (N,)."""
        return is_missing(self.values)

    def equal_to(self, text: str) -> NDArray[np.bool_]:
        """Which values are this text, or the number it stands for: (N,)."""
        value: object = text if self.is_text else parse_number(text)
        return np.asarray(self.values == value, bool) if self.kind != "yes or no" else np.zeros(len(self.values), bool)

    def without(self, texts: Sequence[str]) -> Column:
        """Mark the values that are one of these texts as missing."""
        matches = np.logical_or.reduce([np.zeros(len(self.values), bool), *map(self.equal_to, texts)])
        if not matches.any():
            return self
        values = self.values.copy()
        values[matches] = None  # nan among numbers
        return replace(self, values=values)

    def take(self, rows: NDArray[Any]) -> Column:
        """Keep only these rows."""
        return replace(self, values=self.values[rows])

    def codes(self) -> NDArray[np.float64]:
        """Numbers that are equal where the values are: the values themselves, or a number per text. (N,)."""
        if not self.is_text:
            return self.values.astype(np.float64)
        number = {text: code for code, text in enumerate(dict.fromkeys(self.values))}
        return np.array([number[text] for text in self.values], np.float64)

    def reason_to_leave_out(self, rows: Indices) -> str:
        """Why the column cannot be an input, judged by these rows; empty if it can."""
        different = len(np.unique(self.codes()[rows]))  # nan counts as one value
        return CONSTANT if different < 2 else TOO_MANY_CATEGORIES if self.is_text and different > MAX_CATEGORIES else ""

    def encoding(self, train: Indices) -> ColumnEncoding:
        """How the column becomes inputs; the training rows decide."""
        missing = self.missing[train]
        categories = sorted(set(self.values[train][~missing])) if self.is_text else ()
        return ColumnEncoding(
            name=self.name,
            kind=self.kind,
            decimal=self.decimal,
            categories=tuple(categories),
            marks_missing=bool(missing.any()),
        )


class ColumnEncoding(BaseModel):
    """How a column of a table becomes inputs: its numbers as they are, or a 1 for the category and 0 for all others."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    kind: ColumnKind = "number"
    decimal: str = PERIOD
    """The decimal mark of its numbers, where the cells themselves do not show it."""
    categories: tuple[str, ...] = ()
    """The texts that have an input; a text that is not among them has 0 in all inputs."""
    marks_missing: bool = False
    """Whether one more input is 1 where the column is missing: if a training value is."""

    def inputs(self, column: Column) -> dict[str, NDArray[np.float64]]:
        """The inputs by name, each (N,), nan where a number is missing."""
        if self.kind == "text":
            numbers = {text: number for number, text in enumerate(self.categories)}
            codes = np.array([numbers.get(text, -1) for text in column.values])
            inputs = {f"{self.name} = {text}": (codes == number).astype(np.float64) for text, number in numbers.items()}
        else:
            inputs = {self.name: column.values.astype(np.float64)}
        marks = {f"{self.name} is missing": column.missing.astype(np.float64)} if self.marks_missing else {}
        return inputs | marks


@dataclass(frozen=True, eq=False)
class CellGrid:
    """The columns of a file."""

    columns: list[Column]
    used: Collection[str] = ()
    """The names of the target column and of the columns to predict from."""
    lines: Sequence[int] = ()
    """The line number at which each row starts, if the file has lines."""
    notes: tuple[str, ...] = ()
    """Notes on the used columns."""

    @property
    def names(self) -> list[str]:
        """The column names; empty for a column without a name."""
        return [column.name for column in self.columns]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.columns[0].values) if self.columns else 0

    def has(self, text: str) -> bool:
        """Whether a cell is this text, or the number it stands for."""
        return any(column.equal_to(text).any() for column in self.columns)

    def without(self, texts: Sequence[str]) -> CellGrid:
        """Mark the cells that are one of these texts as missing."""
        return replace(self, columns=[column.without(texts) for column in self.columns])

    def line(self, row: int) -> str:
        """The row's line in the file, as ' (line 5)'; empty if the file has no lines."""
        return f" (line {self.lines[row]})" if self.lines else ""

    def place(self, row: int) -> str:
        """The row's line in the file as 'line 5', or its number if the file has no lines."""
        return f"line {self.lines[row]}" if self.lines else f"row {row + 1}"

    def check_range(self, where: object, column: Column, rows: Indices) -> None:
        """Raise InputError if a number is too large for float32; `rows` says which row each value is from, (N,)."""
        if column.is_text:
            return
        wrong = rows[np.abs(column.values.astype(np.float64)) > MAX_FLOAT32].tolist()
        if wrong:
            problem = f"row {wrong[0] + 1} is infinite, or too large for float32{self.line(wrong[0])}"
            raise InputError(f"{where}: column '{column.name}': {problem}")


class EncodedColumns(NamedTuple):
    """The inputs made from a table's columns."""

    inputs: NDArray[np.float64]
    """(N, features), nan where a value is missing."""
    names: dict[str, tuple[str, ...]]
    """Maps each encoded column to the names of its inputs."""
    left_out: dict[str, str]
    """Maps each other column to the reason."""
    encodings: tuple[ColumnEncoding, ...]
    """How each encoded column was encoded, in the order of the inputs."""


def check_names(where: object, names: list[str], rows: int) -> None:
    """Raise InputError if a name occurs twice, or if there is no row."""
    duplicates = sorted({name for name in names if name and names.count(name) > 1})
    if duplicates:
        raise InputError(f"{where}: more than one column is called {', '.join(duplicates)}")
    if not rows:
        raise InputError(f"{where}: a header, but no rows")


def group_equal_rows(columns: Sequence[Column]) -> Indices | None:
    """Group equal rows (`copy_groups`); None if there is no column to compare.

    Constant columns are ignored, and so are names and remarks, which would make copies look different.
    """
    rows = np.arange(len(columns[0].values)) if columns else np.arange(0)
    used = [column.codes() for column in columns if not column.reason_to_leave_out(rows)]
    return copy_groups(np.stack(used, axis=1)) if used else None


def encode_columns(
    columns: Sequence[Column], parts: Split, grid: CellGrid, rows: Indices, path: Path
) -> EncodedColumns:
    """Encode the columns as numbers.

    Only the training rows decide what the categories are, what is constant, and what has missing values.

    Args:
        columns: The columns to predict from.
        parts: The split; row numbers in `columns`.
        grid: The file's columns, for messages.
        rows: The rows of the grid that `columns` have, (N,).
        path: The file, for messages.

    Raises:
        InputError: A value in a part is infinite, or no column is left.
    """
    train, in_a_part = parts.train, np.isin(np.arange(len(rows)), np.concatenate([parts.train, parts.test]))
    inputs: list[NDArray[np.float64]] = []
    names: dict[str, tuple[str, ...]] = {}
    left_out: dict[str, str] = {}
    encodings: list[ColumnEncoding] = []
    for column in columns:
        if reason := column.reason_to_leave_out(train):
            left_out[column.name] = reason
            continue
        grid.check_range(path, column.take(in_a_part), rows[in_a_part])
        encodings.append(column.encoding(train))
        features = encodings[-1].inputs(column)
        inputs += features.values()
        names[column.name] = tuple(features)
    if not inputs:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise InputError(f"{path}: no column is left to predict from" + (f" ({reasons})" if reasons else ""))
    return EncodedColumns(np.stack(inputs, axis=1), names, left_out, tuple(encodings))
