"""Tables: one column is the target, and the others are encoded as numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import BeforeValidator

from dnntrain.data.cells import read_grid
from dnntrain.data.columns import (
    CONSTANT,
    TOO_MANY_CATEGORIES,
    CellGrid,
    Column,
    ColumnEncoding,
    EncodedColumns,
    check_names,
    encode_columns,
    group_equal_rows,
)
from dnntrain.data.dataset import ColumnUse, Dataset
from dnntrain.data.parquet import read_parquet
from dnntrain.data.source import DataLocation, FileSource
from dnntrain.data.table_preprocessing import TABLE_SUFFIXES, TablePreprocessing
from dnntrain.data.user_data import (
    LabelledSource,
    build_dataset,
    chosen_rows,
    exclusion_note,
    read_targets,
    split_rows,
)
from dnntrain.errors import InputError, did_you_mean
from dnntrain.utils.fields import as_names, hyperparameter, read_names
from dnntrain.utils.text_table import TextCells, read_cells


class Table(LabelledSource, FileSource):
    """A table of numbers and text. Copies of a row are separate observations, but stay in one part."""

    name: ClassVar[str] = "table"
    summary: ClassVar[str] = "a table with a header (.csv, .tsv, either .gz, or .parquet)"

    target: str | None = hyperparameter(None, "the column to predict", literal=True, essential=True)
    drop_columns: Annotated[str | None, BeforeValidator(as_names)] = hyperparameter(
        None, 'columns to leave out: name,ticket; one with a comma in quotes: "Length, cm",ticket', literal=True
    )
    missing: Annotated[str | None, BeforeValidator(as_names)] = hyperparameter(
        None, "texts that mean missing in every column, besides an empty cell: None,-999", literal=True
    )

    @classmethod
    def reads(cls, path: str) -> bool:
        return path.casefold().endswith(TABLE_SUFFIXES)

    def read(self, location: DataLocation) -> Dataset:
        (path,) = self.files(location)
        grid, target = self.grid(path)
        others = [column for column in grid.columns if column.name in grid.used and column is not target]
        labeled = np.flatnonzero(~target.missing)
        where = f"{self.path}: column '{target.name}'"
        targets, classes = read_targets(target.values[labeled], self.task, where, chosen=self.classes)
        columns = [column.take(labeled) for column in others]
        chosen = chosen_rows(self.classes, targets, classes)
        parts = split_rows(targets, None, self.test, self.path, group_equal_rows(columns), chosen)
        encoded = encode_columns(columns, parts, grid, labeled, self.path)
        unnamed = [str(number) for number, column in enumerate(grid.columns, 1) if not column.name]
        unlabeled = [str(row) for row in np.flatnonzero(target.missing) + 1]
        notes = exclusion_note(unnamed, "column", "without a name; number")
        notes += exclusion_note(unlabeled, "row", f"without a value of {target.name}; number")
        for reason in (CONSTANT, TOO_MANY_CATEGORIES):
            notes += exclusion_note([name for name, why in encoded.left_out.items() if why == reason], "column", reason)
        dataset = build_dataset(self, location, encoded.inputs, targets, classes, parts, notes + grid.notes)
        preprocessing = TablePreprocessing(
            columns=encoded.encodings,
            target=ColumnEncoding(name=target.name, kind=target.kind, decimal=target.decimal),
            missing=tuple(read_names(self.missing or "")),
            unused=tuple(name for name in grid.names if name not in encoded.names and name != target.name),
        )
        return replace(dataset, columns=column_uses(grid, target, encoded), preprocessing=preprocessing)

    def cells(self, path: Path) -> CellGrid | TextCells:
        """Read the file as it is."""
        return read_parquet(path) if path.suffix.casefold() == ".parquet" else read_cells(path)

    def grid(self, path: Path) -> tuple[CellGrid, Column]:
        """Read the file's columns and the target; InputError if the file or an option is wrong."""
        source = self.cells(path)
        check_names(self.path, source.names, source.rows)
        if len(source.names) < 2:
            needed = "needs a target and at least one column to predict it from"
            raise InputError(f"{self.path}: only one column, {source.names[0]}; {needed}")
        dropped = self.check_options(source.names)
        used = {name for name in source.names if name and name not in dropped}
        missing = read_names(self.missing or "")
        grid = read_grid(path, source, used, missing) if isinstance(source, TextCells) else replace(source, used=used)
        unused = tuple(
            f"--missing: no cell is '{text}'" for text in missing if not (source.has(text) or grid.has(text))
        )
        grid = replace(grid.without(missing), notes=grid.notes + unused)
        return grid, next(column for column in grid.columns if column.name == self.target)

    def check_options(self, names: list[str]) -> list[str]:
        """The columns to drop; InputError if the target is missing or a name is unknown."""
        if self.target is None:
            raise InputError(
                f"{self.path}: which column is to be predicted? --target COLUMN, one of {', '.join(names)}"
            )
        dropped = read_names(self.drop_columns or "")
        for option, name in (("--target", self.target), *(("--drop-columns", name) for name in dropped)):
            if option == "--target" and name not in names and set(name.split(",")) <= {*names}:
                raise InputError(f"{self.path}: --target {name}: several targets are not supported; name one column")
            if not name or name not in names:
                raise InputError(f"{self.path}: {option} {name}: no such column{did_you_mean(name, names)}")
        if self.target in dropped:
            raise InputError(f"{self.path}: --drop-columns {self.target}: the column to be predicted")
        return dropped


def column_uses(grid: CellGrid, target: Column, encoded: EncodedColumns) -> tuple[ColumnUse, ...]:
    """How each column of the file is used."""
    uses = []
    for column in grid.columns:
        reason = encoded.left_out.get(column.name, "")
        if not column.name:
            reason = "it has no name"
        elif column is target:
            reason = "the target"
        elif column.name not in grid.used:
            reason = "by --drop-columns"
        inputs = encoded.names.get(column.name, ())
        uses.append(ColumnUse(column.name, column.kind, int(column.missing.sum()), inputs, reason))
    return tuple(uses)
