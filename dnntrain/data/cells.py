"""Interprets the cells of a text file: which columns are numbers, and which cells are missing."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.columns import CellGrid, Column
from dnntrain.data.dataset import join_names
from dnntrain.data.numbers import (
    COMMA,
    LEADING_ZERO,
    LEADING_ZEROS,
    MAX_NUMBER_LENGTH,
    MISSING_NUMBERS,
    NUMERIC_SHARE,
    PERIOD,
    NumberTexts,
    format_notes,
)
from dnntrain.errors import InputError
from dnntrain.utils.fields import write_names
from dnntrain.utils.text_table import TextCells

PERHAPS_MISSING = MISSING_NUMBERS | {"-", "--", "."}
"""Texts in a column of text that get a note, since they may mean missing."""
MIXED_SHARE = 0.05
"""A column of text with at least this share of numbers gets a note that says why it is text."""
BOOLEANS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}( .*)?")
DECIMAL_SAMPLE = 1000
"""The decimal mark is first looked for in this many cells of a column."""


@dataclass
class ColumnDraft:
    """A column during interpretation."""

    name: str
    texts: Sequence[str]
    """The cells, empty where missing."""
    plain: NDArray[np.float64] | None
    """The numbers, nan where missing, if Python parses all cells; else None."""
    decimal: str | None = None
    """The decimal mark, if the column's own cells show it."""
    ambiguous: bool = False
    """Whether some cells are different numbers with either mark."""
    distinct: NumberTexts | None = None
    """The column's distinct texts, if `plain` is None."""
    not_numbers: list[int] = field(default_factory=list)
    """The rows whose cells are no numbers, in a column of numbers."""
    notes: list[str] = field(default_factory=list)
    readings: list[str] = field(default_factory=list)
    """Phrases on what is unusual, merged over the columns that share them."""

    def is_plain(self, decimal: str) -> bool:
        """Whether Python's own reading of the cells is right if this is the decimal mark."""
        return self.plain is not None and not (self.ambiguous and decimal == COMMA)

    @property
    def is_numeric(self) -> bool:
        """Whether the column is numeric with either decimal mark."""
        return self.distinct is None or any(map(self.distinct.is_numeric, (PERIOD, COMMA)))


def read_grid(path: Path, cells: TextCells, used: Collection[str], missing: Sequence[str]) -> CellGrid:
    """Convert the cells to columns of values.

    Args:
        path: The file, for messages.
        cells: Its cells.
        used: The names of the columns that are used; only these get notes.
        missing: Texts that mean missing in every column.

    Raises:
        InputError: A cell of a used column could be either of two numbers.
    """
    drafts = [make_draft(name, texts, missing) for name, texts in zip(cells.names, cells.columns, strict=True)]
    common = common_decimal(drafts, cells.separator)
    columns = []
    for draft in drafts:
        decimal = draft.decimal or common
        if decimal is None and draft.ambiguous and draft.is_numeric and draft.name in used:
            raise InputError(f"{path}: {ambiguity(draft, cells.lines)}")
        columns.append(Column(draft.name, column_values(draft, decimal or PERIOD, cells), decimal or PERIOD))
    chosen = [draft for draft in drafts if draft.name in used]
    return CellGrid(columns, used, cells.lines, tuple(draft_notes(chosen)))


def draft_notes(drafts: Sequence[ColumnDraft]) -> list[str]:
    """The notes on some columns; those that share a reading get one line."""
    notes = [note for draft in drafts for note in draft.notes]
    for reading in dict.fromkeys(reading for draft in drafts for reading in draft.readings):
        notes.append(f"{reading}: {join_names([draft.name for draft in drafts if reading in draft.readings])}")
    return notes


def make_draft(name: str, texts: Sequence[str], missing: Sequence[str]) -> ColumnDraft:
    """Interpret a column as far as its own cells allow."""
    if missing_texts := set(missing):
        texts = ["" if text in missing_texts else text for text in texts]
    plain = plain_numbers(texts)
    if plain is not None:
        return ColumnDraft(name, texts, plain)
    joined = "".join(texts)
    if COMMA in joined and PERIOD not in joined and NumberTexts(texts[:DECIMAL_SAMPLE]).decimal() == COMMA:
        plain = plain_numbers([text.replace(COMMA, PERIOD) for text in texts])
        if plain is not None:
            return ColumnDraft(name, texts, plain, COMMA)
    distinct = NumberTexts(texts)
    return ColumnDraft(name, texts, None, distinct.decimal(), bool(distinct.ambiguous()), distinct)


def plain_numbers(texts: Sequence[str]) -> NDArray[np.float64] | None:
    """Parse plain numbers, nan where a cell is empty or means missing; None if a cell is anything else."""
    try:
        return as_floats(texts)
    except ValueError:
        present = np.array([text not in MISSING_NUMBERS and text != "" for text in texts], bool)
    if not present.any() and any(texts):  # nothing but words like None is not a column of numbers
        return None
    numbers = np.full(len(texts), np.nan)
    try:
        numbers[present] = as_floats([text for text, is_present in zip(texts, present, strict=True) if is_present])
    except ValueError:
        return None
    return numbers


def as_floats(texts: Sequence[str]) -> NDArray[np.float64]:
    """Parse the texts with `float`; ValueError if one is not a number, or is written like 1_000."""
    if "_" in "".join(texts):
        raise ValueError
    return np.array(list(map(float, texts)), np.float64)


def common_decimal(drafts: list[ColumnDraft], separator: str) -> str | None:
    """The decimal mark that all columns share; None if no column shows one, or if they differ.

    If the file may have decimal commas, the periods in its plain columns are examined too.
    """
    numeric = [draft for draft in drafts if draft.is_numeric]
    if separator != ";" and not any(draft.decimal == COMMA or draft.ambiguous for draft in numeric):
        return PERIOD
    for draft in numeric:
        if draft.distinct is None and draft.decimal is None and any(PERIOD in text for text in draft.texts):
            draft.decimal = NumberTexts(draft.texts[:DECIMAL_SAMPLE]).decimal()
            if draft.decimal is None:
                texts = NumberTexts(draft.texts)
                draft.decimal = texts.decimal()
                draft.ambiguous = draft.decimal is None and bool(texts.ambiguous())
    marks = {draft.decimal for draft in numeric} - {None}
    return marks.pop() if len(marks) == 1 else None


def ambiguity(draft: ColumnDraft, lines: Sequence[int]) -> str:
    """Say which cell could be either of two numbers, and how to write it."""
    texts = draft.distinct or NumberTexts(draft.texts)
    text = texts.ambiguous()[0]
    small, large = sorted((numbers[text] for numbers in texts.numbers.values()), key=abs)
    where = f"line {lines[draft.texts.index(text)]}, column '{draft.name}'"
    return (
        f"{where}: '{text}' could be {small:.12g} or {large:.12g}, and no other number in the file shows which; "
        f"write {large:.12g}, or more or fewer decimals than three"
    )


def column_values(draft: ColumnDraft, decimal: str, cells: TextCells) -> NDArray[Any]:
    """Convert a column to values, as in `Column`; adds notes to the draft."""
    if draft.is_plain(decimal):
        return column_numbers(draft, decimal, cells.place)
    texts = draft.distinct or NumberTexts(draft.texts)
    if texts.is_numeric(decimal):
        return column_numbers(draft, decimal, cells.place)
    if texts.counts.keys() <= BOOLEANS.keys():
        return parse_booleans(draft.texts)
    note_text(draft, texts, decimal, cells)
    return np.array([text or None for text in draft.texts], object)


def column_numbers(draft: ColumnDraft, decimal: str, place: Callable[[int], str]) -> NDArray[np.float64]:
    """Convert a column to numbers, nan where a cell is none; adds notes to the draft, in which `place` names a row."""
    if draft.plain is not None and draft.is_plain(decimal):
        if draft.decimal == COMMA:
            draft.readings.append("numbers with a decimal comma")
        if LEADING_ZERO.search("\n".join(draft.texts)):
            draft.readings.append(LEADING_ZEROS)
        note_missing(draft, set(draft.texts) & MISSING_NUMBERS if np.isnan(draft.plain).any() else set())
        note_rounded(draft, draft.plain)
        return draft.plain
    texts = draft.distinct or NumberTexts(draft.texts)
    parsed = texts.numbers[decimal]
    numbers = np.array([parsed.get(text, math.nan) for text in draft.texts], np.float64)
    draft.readings += format_notes((text for text, number in parsed.items() if not math.isnan(number)), decimal)
    note_missing(draft, set(texts.missing()))
    note_others(draft, texts, decimal, place)
    note_rounded(draft, numbers)
    return numbers


def parse_booleans(texts: Sequence[str]) -> NDArray[Any]:
    """Convert to booleans, or to the texts True and False if one is missing."""
    if "" not in texts:
        return np.array([BOOLEANS[text] for text in texts], bool)
    return np.array([str(BOOLEANS[text]) if text else None for text in texts], object)


def note_missing(draft: ColumnDraft, marks: set[str]) -> None:
    """Note the texts that mean missing in a column of numbers."""
    if marks:
        draft.readings.append(f"{', '.join(sorted(marks))} means missing in a column of numbers")


def note_rounded(draft: ColumnDraft, numbers: NDArray[np.float64]) -> None:
    """Note whole numbers that float64 cannot represent exactly."""
    texts = [(draft.texts[row], float(numbers[row])) for row in np.flatnonzero(np.abs(numbers) >= 2.0**53).tolist()]
    if any(text.isdecimal() and len(text) < MAX_NUMBER_LENGTH and int(text) != number for text, number in texts):
        draft.readings.append("whole numbers with too many digits for float64 are rounded")


def note_others(draft: ColumnDraft, texts: NumberTexts, decimal: str, place: Callable[[int], str]) -> None:
    """Note how many cells in a column of numbers are not numbers, and where the first one is."""
    others = texts.others(decimal)
    if others:
        draft.not_numbers = [row for row, text in enumerate(draft.texts) if text in others]
        row, count = draft.not_numbers[0], len(draft.not_numbers)
        first = f"'{draft.texts[row]}' in {place(row)}"
        message = f"1 cell is not a number and counts as missing: {first}"
        if count > 1:
            message = f"{count:,} cells are not numbers and count as missing; the first is {first}"
        draft.notes.append(f"column '{draft.name}': {message}")


def note_text(draft: ColumnDraft, texts: NumberTexts, decimal: str, cells: TextCells) -> None:
    """Note why a column with numbers is text, and which of its texts may mean missing."""
    numbers, others = texts.tally(decimal)
    dates = sum(count for text, count in texts.counts.items() if DATE.fullmatch(text))
    if dates and dates >= NUMERIC_SHARE * (numbers + others):
        draft.readings.append("dates, read as text")
    elif numbers and numbers >= MIXED_SHARE * (numbers + others):
        not_numbers = texts.others(decimal)
        row = next(row for row, text in enumerate(draft.texts) if text in not_numbers)
        first = f"'{draft.texts[row]}' in line {cells.lines[row]}"
        draft.notes.append(
            f"column '{draft.name}' is text: {100 * numbers / (numbers + others):.1f} % of its cells are numbers, "
            f"fewer than {100 * NUMERIC_SHARE:.0f} %; the first exception is {first}"
        )
    for text, count in texts.counts.items():
        if text in PERHAPS_MISSING:
            are = "cell is" if count == 1 else "cells are"
            draft.notes.append(
                f"column '{draft.name}': {count:,} {are} '{text}', read as the text '{text}'; "
                f"--missing {shlex.quote(write_names([text]))} reads them as missing"
            )
    if draft.name in cells.padded:
        draft.readings.append("blanks around texts are dropped, which makes some of them equal")
