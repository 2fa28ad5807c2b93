"""Columns of a table and the inputs made of them: numbers as they are, categories as 0 and 1."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.copies import Rows, copy_groups
from dnntrain.data.numbers import read_number
from dnntrain.data.user_data import Split
from dnntrain.errors import InputError

MOST_CATEGORIES = 100
"""Most distinct values of a column of categories; with more, text is taken for names or remarks."""
LARGEST = float(np.finfo(np.float32).max)
SAME = "the same in every training row"
MANY = f"text of over {MOST_CATEGORIES} different values"


@dataclass(frozen=True, eq=False)
class Column:
    """One column: float64 numbers, nan where missing; or bool; or text, None where missing: (N,)."""

    name: str
    values: NDArray[Any]

    @property
    def is_text(self) -> bool:
        """Whether the values are text."""
        return self.values.dtype.kind == "O"

    @property
    def kind(self) -> str:
        """number, text, or yes or no."""
        return {"O": "text", "b": "yes or no"}.get(self.values.dtype.kind, "number")

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which values are missing: (N,)."""
        if self.is_text:
            return np.array([value is None for value in self.values], bool)
        return np.isnan(self.values) if self.values.dtype.kind == "f" else np.zeros(len(self.values), bool)

    def equal_to(self, text: str) -> NDArray[np.bool_]:
        """Which values are this text, or the number that it means: (N,)."""
        value: object = text if self.is_text else read_number(text)
        return np.asarray(self.values == value, bool) if self.kind != "yes or no" else np.zeros(len(self.values), bool)

    def without(self, texts: Sequence[str]) -> Column:
        """The same column with the values that are one of these texts missing."""
        gone = np.logical_or.reduce([np.zeros(len(self.values), bool), *map(self.equal_to, texts)])
        if not gone.any():
            return self
        values = self.values.copy()
        values[gone] = None  # nan among numbers
        return replace(self, values=values)

    def at(self, rows: NDArray[Any]) -> Column:
        """The same column with these rows only."""
        return replace(self, values=self.values[rows])

    def codes(self) -> NDArray[np.float64]:
        """Numbers (N,) that are equal where the values are: the values themselves, or a number for each text."""
        if not self.is_text:
            return self.values.astype(np.float64)
        number = {text: code for code, text in enumerate(dict.fromkeys(self.values))}
        return np.array([number[text] for text in self.values], np.float64)

    def reason_to_leave_out(self, rows: Rows) -> str:
        """Why the column cannot be an input, judged by these rows; empty if it can."""
        different = len(np.unique(self.codes()[rows]))  # nan counts as one value
        return SAME if different < 2 else MANY if self.is_text and different > MOST_CATEGORIES else ""

    def features(self, train: Rows) -> dict[str, NDArray[np.float64]]:
        """The inputs made of the column, each (N,), by name.

        Its numbers, or 0 and 1 for each category of the training rows; then 1 where it is missing, if it ever is there.
        """
        missing = self.missing
        if self.is_text:
            categories = sorted(set(self.values[train][~missing[train]]))
            numbers = {text: number for number, text in enumerate(categories)}
            codes = np.array([numbers.get(text, -1) for text in self.values])
            made = {f"{self.name} = {text}": (codes == number).astype(np.float64) for text, number in numbers.items()}
        else:
            made = {self.name: self.values.astype(np.float64)}
        return made | ({f"{self.name} is missing": missing.astype(np.float64)} if missing[train].any() else {})


@dataclass(frozen=True, eq=False)
class CellGrid:
    """All columns of a file."""

    columns: list[Column]
    used: Collection[str] = ()
    """The names of the columns that are to be predicted or to predict from."""
    lines: Sequence[int] = ()
    """The number of the file's line on which each row begins, where it has lines."""
    notes: tuple[str, ...] = ()
    """What was unusual about the used columns."""

    @property
    def names(self) -> list[str]:
        """The columns' names; empty where one has none."""
        return [column.name for column in self.columns]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.columns[0].values) if self.columns else 0

    def has(self, text: str) -> bool:
        """Whether a cell is this text, or the number that it means."""
        return any(column.equal_to(text).any() for column in self.columns)

    def without(self, texts: Sequence[str]) -> CellGrid:
        """The same columns with the values that are one of these texts missing."""
        return replace(self, columns=[column.without(texts) for column in self.columns])

    def line(self, row: int) -> str:
        """Where a row is in the file, in brackets; empty where the file has no lines."""
        return f" (line {self.lines[row]})" if self.lines else ""


class EncodedColumn(NamedTuple):
    """The inputs made of columns."""

    inputs: NDArray[np.float64]
    """(N, features), nan where a value is missing."""
    names: dict[str, tuple[str, ...]]
    """For each column, the names of its inputs."""
    left_out: dict[str, str]
    """For each column of which no input is made, why."""


def equal_rows(columns: Sequence[Column]) -> Rows | None:
    """For each row, the first row with equal inputs (`copy_groups`); None without a column to compare.

    Constant columns are left out, and so are names and remarks, which would make copies look different.
    """
    rows = np.arange(len(columns[0].values)) if columns else np.arange(0)
    used = [column.codes() for column in columns if not column.reason_to_leave_out(rows)]
    return copy_groups(np.stack(used, axis=1)) if used else None


def encoded(columns: Sequence[Column], parts: Split, grid: CellGrid, rows: Rows, path: Path) -> EncodedColumn:
    """The columns, which have these rows of the grid, as numbers.

    The training rows alone decide what the categories are, what is constant, and what has missing values.
    Raises InputError for an infinite value in a row of a part, or where no column is left.
    """
    train, in_a_part = parts.train, np.isin(np.arange(len(rows)), np.concatenate([parts.train, parts.test]))
    inputs: list[NDArray[np.float64]] = []
    names: dict[str, tuple[str, ...]] = {}
    left_out: dict[str, str] = {}
    for column in columns:
        if reason := column.reason_to_leave_out(train):
            left_out[column.name] = reason
            continue
        if not column.is_text and (wrong := in_a_part & (np.abs(column.values.astype(np.float64)) > LARGEST)).any():
            row = rows[int(wrong.argmax())]
            problem = f"row {row + 1} is infinite, or too large for float32{grid.line(row)}"
            raise InputError(f"{path}: column '{column.name}': {problem}")
        features = column.features(train)
        inputs += features.values()
        names[column.name] = tuple(features)
    if not inputs:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise InputError(f"{path}: no column is left to predict from" + (f" ({reasons})" if reasons else ""))
    return EncodedColumn(np.stack(inputs, axis=1), names, left_out)
