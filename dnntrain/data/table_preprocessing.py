"""How a table becomes inputs, as recorded: its columns in order, their categories and gaps; and new tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.cells import BOOLEANS, ColumnDraft, column_numbers, common_decimal, draft_notes, make_draft
from dnntrain.data.columns import CellGrid, Column, ColumnEncoding, check_names
from dnntrain.data.dataset import join_names
from dnntrain.data.parquet import frame_grid, read_parquet
from dnntrain.data.preprocessing import NewData, Preprocessing, class_name, existing_path, first_rows
from dnntrain.errors import InputError, did_you_mean
from dnntrain.utils.text_table import read_cells

if TYPE_CHECKING:
    from pandas import DataFrame

TABLE_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")


class NewTable(NamedTuple):
    """A table whose columns are not interpreted yet: those of a text file are texts."""

    where: str
    """Starts messages: the file, or 'data'."""
    grid: CellGrid
    separator: str = ""
    """Between the cells of a text file."""


class TablePreprocessing(Preprocessing):
    """How a table becomes inputs."""

    name: ClassVar[str] = "table"

    columns: tuple[ColumnEncoding, ...]
    """The columns that are predicted from, in the order of the inputs."""
    target: ColumnEncoding
    missing: tuple[str, ...] = ()
    """Texts that mean missing in every column, besides an empty cell."""
    unused: tuple[str, ...] = ()
    """The other columns of the training table."""

    def read(self, data: object) -> NewData:
        """Read a table with a header, or a DataFrame. Columns are found by name, so their order does not matter.

        A gap, or a cell that is no number in a column of numbers, is missing. A text that is no category has 0 in all
        inputs of its column. Columns that training did not know are ignored. The notes name all of these.

        Args:
            data: The path of a .csv, .tsv, or .parquet file, or a DataFrame.

        Raises:
            InputError: A column is missing, or a number is too large.
        """
        where, grid, separator = open_table(data)
        check_names(where, grid.names, grid.rows)
        known = {column.name for column in self.columns}
        for name in [each.name for each in self.columns]:
            if name not in grid.names:
                near = did_you_mean(name, [other for other in grid.names if other and other not in known])
                raise InputError(f"{where}: no column '{name}', which the run was trained on{near}")
        raw = {column.name: column for column in grid.without(self.missing).columns}
        wanted = [each for each in (*self.columns, self.target) if each.name in raw]
        drafts = {
            each.name: make_draft(each.name, number_texts(raw[each.name].values), self.missing)
            for each in wanted
            if each.kind == "number" and raw[each.name].is_text
        }
        decimal, notes = common_decimal([*drafts.values()], separator), self._ignored(grid)
        read: dict[str, Column] = {}
        for each in wanted:
            column, own = as_kind(raw[each.name], each, drafts, decimal, grid)
            read[each.name] = column.without(self.missing)
            notes += own
        for each in self.columns:
            grid.check_range(where, read[each.name], np.arange(grid.rows))
            draft, gaps = drafts.get(each.name), read[each.name].missing
            # cells that are there but cannot be read have a note already; an empty text is a gap
            refused = gaps & ~raw[each.name].missing if each.kind != "text" else np.zeros_like(gaps)
            unreadable = draft.not_numbers if draft else np.flatnonzero(refused).tolist()
            notes += unusual_cells(read[each.name], each, grid, unreadable)
            if draft and not each.marks_missing:
                draft.notes = [f"{note}; {instead_of_gaps(each)}" for note in draft.notes]
        inputs = [values for each in self.columns for values in each.inputs(read[each.name]).values()]
        labels = read[self.target.name].values if self.target.name in read else None
        return NewData(where, np.stack(inputs, axis=1), labels=labels, notes=[*notes, *draft_notes([*drafts.values()])])

    def _ignored(self, grid: CellGrid) -> list[str]:
        """A note on columns that the training table did not have."""
        known = {*(column.name for column in self.columns), self.target.name, *self.unused, ""}
        extra = [name for name in grid.names if name not in known]
        return [f"columns that the training data did not have are ignored: {join_names(extra)}"] if extra else []


def open_table(data: object) -> NewTable:
    """Read a table's cells, without deciding what they mean; InputError if it is no table."""
    if path := existing_path(data):
        if not path.name.casefold().endswith(TABLE_SUFFIXES) or path.is_dir():
            raise InputError(f"{path}: the run was trained on a table; give one ({', '.join(TABLE_SUFFIXES)})")
        if path.suffix.casefold() == ".parquet":
            return NewTable(str(path), read_parquet(path))
        cells = read_cells(path)
        columns = [
            Column(name, np.array([text or None for text in texts], object))
            for name, texts in zip(cells.names, cells.columns, strict=True)
        ]
        return NewTable(str(path), CellGrid(columns, lines=cells.lines), cells.separator)
    if hasattr(data, "columns") and hasattr(data, "items"):
        frame: DataFrame = data  # type: ignore[assignment]
        return NewTable("data", frame_grid(frame))
    raise InputError(f"data: {type(data).__name__}; the run was trained on a table: give a DataFrame, or a file's path")


def as_kind(
    column: Column, encoding: ColumnEncoding, drafts: Mapping[str, ColumnDraft], decimal: str | None, grid: CellGrid
) -> tuple[Column, list[str]]:
    """Convert a new column to the kind of the training column.

    Args:
        column: The new column.
        encoding: How the training column is encoded.
        drafts: The columns of text that are to become numbers, by name.
        decimal: The decimal mark that the columns of the file share; None if they show none.
        grid: The table, for the place of a row.

    Returns:
        The column, and notes on cells that are missing now.
    """
    values: NDArray[Any]
    if encoding.kind == "text":
        # a column of True and False with gaps was read as these two texts
        names = {text: str(value) for text, value in BOOLEANS.items()} | {"1": "True", "0": "False"}
        plain: dict[str, str | None] = {} if "" in encoding.categories else {"": None}
        plain |= names if {*encoding.categories} <= {"True", "False"} and encoding.categories else {}
        texts = (None if gap else class_name(v) for v, gap in zip(column.values.tolist(), column.missing, strict=True))
        values = np.array([plain.get(text or "", text) for text in texts], object)
        return Column(column.name, values), []
    if draft := drafts.get(column.name):
        mark = draft.decimal or decimal or encoding.decimal
        return Column(column.name, column_numbers(draft, mark, grid.place)), []
    if encoding.kind == "number" or column.kind == "yes or no":
        return Column(column.name, column.values.astype(np.float64)), []
    values = np.array([float(BOOLEANS.get(str(value), np.nan)) for value in column.values])
    others = np.flatnonzero(np.isnan(values) & ~column.missing).tolist()
    if not others:
        return Column(column.name, values), []
    first = first_rows(others, grid.place, lambda row: column.values[row])
    return Column(column.name, values), [f"column '{column.name}': neither True nor False, so missing: {first}"]


def number_texts(values: NDArray[Any]) -> list[str]:
    """The texts of a column of numbers; True and False are 1 and 0, as in a DataFrame's boolean column with gaps."""
    texts = [text or "" for text in values]
    if {*texts} - {""} <= BOOLEANS.keys():
        return [str(int(BOOLEANS[text])) if text else "" for text in texts]
    return texts


def instead_of_gaps(encoding: ColumnEncoding) -> str:
    """What stands for a gap in a column that had none in training."""
    return "all of its inputs are 0" if encoding.kind == "text" else "replaced by the training mean"


def unusual_cells(
    column: Column, encoding: ColumnEncoding, grid: CellGrid, unreadable: Collection[int] = ()
) -> list[str]:
    """Notes on gaps in a column that had none in training, other than `unreadable` cells, and on unknown categories."""
    notes, start = [], f"column '{column.name}'"
    gaps = sorted({*np.flatnonzero(column.missing).tolist()} - {*unreadable})
    if gaps and not encoding.marks_missing:
        where = f"{first_rows(gaps, grid.place)}, but in no training row"
        notes.append(f"{start}: missing in {where}; {instead_of_gaps(encoding)}")
    if encoding.kind == "text":
        known = {*encoding.categories, None}
        if unknown := [row for row, text in enumerate(column.values) if text not in known]:
            first = first_rows(unknown, grid.place, lambda row: column.values[row])
            notes.append(f"{start}: not a category of the training rows, so all of its inputs are 0: {first}")
    return notes
