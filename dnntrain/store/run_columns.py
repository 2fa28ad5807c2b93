"""A table of runs by columns, as results.csv and history.csv have them. Reports read it without pandas, whose import
takes as long as the rest of a report.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class RunColumns:
    """A row per run, or per run and epoch. What is missing is nan, in columns of text too."""

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        self._columns = {name: list(values) for name, values in columns.items()}

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self._columns)

    def __contains__(self, column: object) -> bool:
        return column in self._columns

    def __getitem__(self, column: str) -> list[Any]:
        """The values of a column."""
        return self._columns[column]

    def __len__(self) -> int:
        """The number of rows."""
        return len(next(iter(self._columns.values()), ()))

    def rows(self, *columns: str) -> Iterator[tuple[Any, ...]]:
        """The rows, each with its values of some columns, or of all."""
        return zip(*(self[name] for name in columns or self.columns), strict=True)

    def where(self, column: str, value: object) -> RunColumns:
        """The rows that have a value in a column."""
        return self.take([row for row, own in enumerate(self[column]) if own == value])

    def take(self, rows: Sequence[int]) -> RunColumns:
        """Some rows, by their numbers."""
        return RunColumns({name: [values[row] for row in rows] for name, values in self._columns.items()})

    def sorted_by(self, column: str, *, descending: bool = False) -> RunColumns:
        """The rows in the order of a numeric column, those without a value last; equal ones keep their order."""
        sign = -1 if descending else 1
        values = [(math.isnan(value), 0.0 if math.isnan(value) else sign * value) for value in self[column]]
        return self.take(sorted(range(len(self)), key=values.__getitem__))

    def with_columns(self, columns: Mapping[str, Sequence[Any]]) -> RunColumns:
        """The table with more or other columns."""
        return RunColumns({**self._columns, **columns})

    def recorded(self) -> tuple[str, ...]:
        """The columns with a value in some row."""
        return tuple(name for name, values in self._columns.items() if not all(map(is_empty, values)))

    def frame(self) -> pd.DataFrame:
        """The table as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(self._columns)


def is_empty(value: object) -> bool:
    """Whether a cell is empty."""
    return isinstance(value, float) and math.isnan(value)


def read_columns(content: bytes, numbers: Collection[str], wanted: Collection[str] | None = None) -> RunColumns:
    """The table in the bytes of a CSV file.

    Args:
        content: UTF-8, with a header.
        numbers: The numeric columns. A column of whole numbers has integers.
        wanted: The columns that are needed, of those that are there; all if not given.

    Raises:
        ValueError: It is empty or no UTF-8, a row has more or fewer fields than the header, or a cell is not a number.
    """
    try:
        lines = io.StringIO(content.decode(), newline="")
        names, *rows = [row for row in csv.reader(lines) if row] or [[]]
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if not names:
        raise ValueError("it is empty")
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise ValueError(f"row {number} has {len(row)} fields, but the header has {len(names)}")
    columns: dict[str, list[Any]] = {}
    for place, name in enumerate(names):
        if wanted is None or name in wanted:
            cells = [row[place] for row in rows]
            columns[name] = read_numbers(name, cells) if name in numbers else [cell or math.nan for cell in cells]
    return RunColumns(columns)


def read_numbers(column: str, cells: Sequence[str]) -> list[Any]:
    """The numbers in a column's cells: integers if all are, else floats, nan where a cell is empty.

    Raises:
        ValueError: A cell is not a number.
    """
    try:
        return [int(cell) for cell in cells]
    except ValueError:
        pass
    values = []
    for cell in cells:
        try:
            values.append(float(cell) if cell else math.nan)
        except ValueError:
            raise ValueError(f"column {column}: {cell!r} is not a number") from None
    return values
