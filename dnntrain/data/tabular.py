"""Tables: a column to predict, the others encoded as numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import BeforeValidator

from dnntrain.data.cells import read_grid
from dnntrain.data.columns import MANY, SAME, CellGrid, Column, EncodedColumn, encoded, equal_rows
from dnntrain.data.dataset import ColumnUse, Dataset
from dnntrain.data.parquet import read_parquet
from dnntrain.data.source import DataLocation
from dnntrain.data.text_table import TextCells, read_cells
from dnntrain.data.user_data import (
    LabelledFileSource,
    build_dataset,
    chosen_rows,
    exclusion_note,
    read_targets,
    split_rows,
)
from dnntrain.errors import InputError, did_you_mean
from dnntrain.utils.fields import as_names, hyperparameter, read_names

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")


class Table(LabelledFileSource):
    """Rows of numbers and text; copies of a row are separate observations, but stay in one part."""

    name: ClassVar[str] = "table"
    summary: ClassVar[str] = "a table with a header (.csv, .tsv, either .gz, or .parquet)"

    target: str | None = hyperparameter(None, "the column to predict", literal=True)
    drop_columns: Annotated[str | None, BeforeValidator(as_names)] = hyperparameter(
        None, 'columns to leave out: name,ticket; one with a comma in quotes: "Length, cm",ticket', literal=True
    )
    missing: Annotated[str | None, BeforeValidator(as_names)] = hyperparameter(
        None, "texts that mean missing in every column, besides an empty cell: None,-999", literal=True
    )

    @classmethod
    def reads(cls, path: str) -> bool:
        return path.casefold().endswith(SUFFIXES)

    def read(self, home: DataLocation) -> Dataset:
        (path,) = self.files(home)
        grid, target = self.grid(path)
        others = [column for column in grid.columns if column.name in grid.used and column is not target]
        kept = np.flatnonzero(~target.missing)
        where = f"{path}: column '{target.name}'"
        targets, classes = read_targets(target.values[kept], self.task, where, chosen=self.classes)
        columns = [column.at(kept) for column in others]
        chosen = chosen_rows(self.classes, targets, classes)
        parts = split_rows(targets, None, self.test, path, equal_rows(columns), chosen)
        made = encoded(columns, parts, grid, kept, path)
        unnamed = [str(number) for number, column in enumerate(grid.columns, 1) if not column.name]
        without = [str(row) for row in np.flatnonzero(target.missing) + 1]
        notes = exclusion_note(unnamed, "column", "without a name; number")
        notes += exclusion_note(without, "row", f"without a value of {target.name}; number")
        for reason in (SAME, MANY):
            notes += exclusion_note([name for name, why in made.left_out.items() if why == reason], "column", reason)
        dataset = build_dataset(self, home, made.inputs, targets, classes, parts, notes + grid.notes)
        return replace(dataset, columns=uses(grid, target, made))

    def grid(self, path: Path) -> tuple[CellGrid, Column]:
        """The file's columns, and the one to predict; InputError where the file or an option is wrong."""
        source = read_parquet(path) if path.suffix.casefold() == ".parquet" else read_cells(path)
        check_names(path, source.names, source.rows)
        dropped = self.check_options(source.names)
        used = {name for name in source.names if name and name not in dropped}
        missing = read_names(self.missing or "")
        grid = read_grid(path, source, used, missing) if isinstance(source, TextCells) else replace(source, used=used)
        absent = tuple(
            f"--missing: no cell is '{text}'" for text in missing if not (source.has(text) or grid.has(text))
        )
        grid = replace(grid.without(missing), notes=grid.notes + absent)
        return grid, next(column for column in grid.columns if column.name == self.target)

    def check_options(self, names: list[str]) -> list[str]:
        """The columns to leave out; InputError where the target is missing, or a name is unknown."""
        if self.target is None:
            known = ", ".join(names)
            raise InputError(f"{self.path}: which column is to be predicted? --target COLUMN, one of {known}")
        dropped = read_names(self.drop_columns or "")
        for option, name in (("--target", self.target), *(("--drop-columns", name) for name in dropped)):
            if not name or name not in names:
                raise InputError(f"{self.path}: {option} {name}: no such column{did_you_mean(name, names)}")
        if self.target in dropped:
            raise InputError(f"{self.path}: --drop-columns {self.target}: the column to be predicted")
        return dropped


def check_names(path: Path, names: list[str], rows: int) -> None:
    """Raise InputError if these cannot be the columns of a table to learn from."""
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: more than one column is called {', '.join(twice)}")
    if len(names) < 2:
        raise InputError(f"{path}: only one column, {names[0]}; needs one to predict, and others to predict it from")
    if not rows:
        raise InputError(f"{path}: a header and no rows")


def uses(grid: CellGrid, target: Column, made: EncodedColumn) -> tuple[ColumnUse, ...]:
    """What each column of the file has become."""
    found = []
    for column in grid.columns:
        reason = made.left_out.get(column.name, "")
        if not column.name:
            reason = "it has no name"
        elif column is target:
            reason = "the target"
        elif column.name not in grid.used:
            reason = "by --drop-columns"
        inputs = made.names.get(column.name, ())
        found.append(ColumnUse(column.name, column.kind, int(column.missing.sum()), inputs, reason))
    return tuple(found)
