"""What the cells of a text file mean: which columns hold numbers, which cells are missing, and notes on both."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.columns import CellGrid, Column
from dnntrain.data.dataset import join_names
from dnntrain.data.numbers import (
    COMMA,
    ENOUGH,
    LEADING_ZERO,
    LEADING_ZEROS,
    LONGEST,
    MISSING_NUMBERS,
    PERIOD,
    NumberTexts,
    oddities,
)
from dnntrain.data.text_table import TextCells
from dnntrain.errors import InputError
from dnntrain.utils.fields import write_names

PERHAPS_MISSING = MISSING_NUMBERS | {"-", "--", "."}
"""Texts that get a note in a column of text, since they may mean missing."""
WORTH_SAYING = 0.05
"""A column of text with at least this share of numbers gets a note on why it is text."""
TRUTH = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}( .*)?")
FEW = 1000
"""Cells of a column that are usually enough to find its decimal mark."""


@dataclass
class ColumnDraft:
    """A column while its meaning is being worked out."""

    name: str
    texts: Sequence[str]
    """The cells, empty where missing."""
    plain: NDArray[np.float64] | None
    """The numbers, nan where missing, if all cells are simple: read without looking at each text."""
    decimal: str | None = None
    """The decimal mark, where the column's own cells show it."""
    ambiguous: bool = False
    """Whether some cells mean different numbers with either mark."""
    distinct: NumberTexts | None = None
    """The column's distinct texts, where it is not plain."""
    notes: list[str] = field(default_factory=list)
    readings: list[str] = field(default_factory=list)
    """What is unusual about the column, in phrases that other columns may share."""

    @property
    def is_numeric(self) -> bool:
        """Whether the column holds numbers, with either decimal mark."""
        return self.distinct is None or any(map(self.distinct.is_numeric, (PERIOD, COMMA)))


def read_grid(path: Path, cells: TextCells, used: Collection[str], missing: Sequence[str]) -> CellGrid:
    """The columns as values, with notes on what is unusual in those that are used.

    The texts in `missing` mean missing in every column. Raises InputError where a cell of a used column may mean
    either of two numbers.
    """
    drafts = [draft_of(name, texts, missing) for name, texts in zip(cells.names, cells.columns, strict=True)]
    common = common_decimal(drafts, cells.separator)
    columns = []
    for draft in drafts:
        decimal = draft.decimal or common
        if decimal is None and draft.ambiguous and draft.is_numeric and draft.name in used:
            raise InputError(f"{path}: {ambiguity(draft, cells.lines)}")
        columns.append(Column(draft.name, values_of(draft, decimal or PERIOD, cells)))
    chosen = [draft for draft in drafts if draft.name in used]
    notes = [note for draft in chosen for note in draft.notes]
    for said in dict.fromkeys(said for draft in chosen for said in draft.readings):
        notes.append(f"{said}: {join_names([draft.name for draft in chosen if said in draft.readings])}")
    return CellGrid(columns, used, cells.lines, tuple(notes))


def draft_of(name: str, texts: Sequence[str], missing: Sequence[str]) -> ColumnDraft:
    """The column with what its own cells show."""
    if gone := set(missing):
        texts = ["" if text in gone else text for text in texts]
    plain = plain_numbers(texts)
    if plain is not None:
        return ColumnDraft(name, texts, plain)
    everything = "".join(texts)
    if COMMA in everything and PERIOD not in everything and NumberTexts(texts[:FEW]).decimal() == COMMA:
        plain = plain_numbers([text.replace(COMMA, PERIOD) for text in texts])
        if plain is not None:
            return ColumnDraft(name, texts, plain, COMMA)
    distinct = NumberTexts(texts)
    return ColumnDraft(name, texts, None, distinct.decimal(), bool(distinct.ambiguous()), distinct)


def plain_numbers(texts: Sequence[str]) -> NDArray[np.float64] | None:
    """The numbers, nan where a cell is empty or means missing; None if a cell is anything else."""
    try:
        return as_floats(texts)
    except ValueError:
        is_there = np.array([text not in MISSING_NUMBERS and text != "" for text in texts], bool)
    if not is_there.any() and any(texts):  # words like None alone do not make a column of numbers
        return None
    numbers = np.full(len(texts), np.nan)
    try:
        numbers[is_there] = as_floats([text for text, there in zip(texts, is_there, strict=True) if there])
    except ValueError:
        return None
    return numbers


def as_floats(texts: Sequence[str]) -> NDArray[np.float64]:
    """The texts as Python reads numbers; ValueError if one is not a number, or is written 1_000."""
    if "_" in "".join(texts):
        raise ValueError
    return np.array(list(map(float, texts)), np.float64)


def common_decimal(drafts: list[ColumnDraft], separator: str) -> str | None:
    """The decimal mark of all columns that have one; None where none has one, or they differ.

    Where a file may have decimal commas, the periods of its plain columns are looked at too.
    """
    numeric = [draft for draft in drafts if draft.is_numeric]
    if separator != ";" and not any(draft.decimal == COMMA or draft.ambiguous for draft in numeric):
        return PERIOD
    for draft in numeric:
        if draft.distinct is None and draft.decimal is None and any(PERIOD in text for text in draft.texts):
            draft.decimal = NumberTexts(draft.texts[:FEW]).decimal() or (rest := NumberTexts(draft.texts)).decimal()
            draft.ambiguous = draft.decimal is None and bool(rest.ambiguous())
    marks = {draft.decimal for draft in numeric} - {None}
    return marks.pop() if len(marks) == 1 else None


def ambiguity(draft: ColumnDraft, lines: Sequence[int]) -> str:
    """Which cell may be one of two numbers, and how to write it."""
    texts = draft.distinct or NumberTexts(draft.texts)
    text = texts.ambiguous()[0]
    small, large = sorted((numbers[text] for numbers in texts.numbers.values()), key=abs)
    where = f"line {lines[draft.texts.index(text)]}, column '{draft.name}'"
    return (
        f"{where}: '{text}' may be {small:.12g} or {large:.12g}, and no other number in the file shows which; "
        f"write {large:.12g}, or more or fewer decimals than three"
    )


def values_of(draft: ColumnDraft, decimal: str, cells: TextCells) -> NDArray[Any]:
    """The column's values as `Column` has them; adds what is unusual about them to the draft."""
    if draft.plain is not None and not (draft.ambiguous and decimal == COMMA):
        if draft.decimal == COMMA:
            draft.readings.append("numbers with a decimal comma")
        if LEADING_ZERO.search("\n".join(draft.texts)):
            draft.readings.append(LEADING_ZEROS)
        note_missing(draft, set(draft.texts) & MISSING_NUMBERS if np.isnan(draft.plain).any() else set())
        note_rounded(draft, draft.plain)
        return draft.plain
    texts = draft.distinct or NumberTexts(draft.texts)
    if texts.is_numeric(decimal):
        read = texts.numbers[decimal]
        numbers = np.array([read.get(text, math.nan) for text in draft.texts], np.float64)
        draft.readings += oddities((text for text, number in read.items() if not math.isnan(number)), decimal)
        note_missing(draft, set(texts.missing()))
        note_others(draft, texts, decimal, cells.lines)
        note_rounded(draft, numbers)
        return numbers
    if texts.counts.keys() <= TRUTH.keys():
        return truth_of(draft.texts)
    note_text(draft, texts, decimal, cells)
    return np.array([text or None for text in draft.texts], object)


def truth_of(texts: Sequence[str]) -> NDArray[Any]:
    """True and False; as text where one is missing."""
    if "" not in texts:
        return np.array([TRUTH[text] for text in texts], bool)
    return np.array([str(TRUTH[text]) if text else None for text in texts], object)


def note_missing(draft: ColumnDraft, marks: set[str]) -> None:
    """Note the texts that mean missing in a column of numbers."""
    if marks:
        draft.readings.append(f"{', '.join(sorted(marks))} in a column of numbers means missing")


def note_rounded(draft: ColumnDraft, numbers: NDArray[np.float64]) -> None:
    """Note whole numbers that float64 rounds."""
    texts = [(draft.texts[row], float(numbers[row])) for row in np.flatnonzero(np.abs(numbers) >= 2.0**53).tolist()]
    if any(text.isdecimal() and len(text) < LONGEST and int(text) != number for text, number in texts):
        draft.readings.append("whole numbers with too many digits for float64, which are rounded")


def note_others(draft: ColumnDraft, texts: NumberTexts, decimal: str, lines: Sequence[int]) -> None:
    """Note the cells of a column of numbers that are not numbers: how many, and where the first one is."""
    others = texts.others(decimal)
    if others:
        row = next(row for row, text in enumerate(draft.texts) if text in others)
        count = sum(texts.counts[text] for text in others)
        first = f"'{draft.texts[row]}' in line {lines[row]}"
        said = f"1 cell is not a number and counts as missing: {first}"
        if count > 1:
            said = f"{count:,} cells are not numbers and count as missing; the first is {first}"
        draft.notes.append(f"column '{draft.name}': {said}")


def note_text(draft: ColumnDraft, texts: NumberTexts, decimal: str, cells: TextCells) -> None:
    """Note why a column is text although it has numbers, and which of its texts may mean missing."""
    numbers, others = texts.tally(decimal)
    dates = sum(count for text, count in texts.counts.items() if DATE.fullmatch(text))
    if dates and dates >= ENOUGH * (numbers + others):
        draft.readings.append("dates, read as text")
    elif numbers and numbers >= WORTH_SAYING * (numbers + others):
        strange = texts.others(decimal)
        row = next(row for row, text in enumerate(draft.texts) if text in strange)
        draft.notes.append(
            f"column '{draft.name}' is text: {100 * numbers / (numbers + others):.1f} % of its cells are numbers, "
            f"fewer than {100 * ENOUGH:.0f} %; the first other one is '{draft.texts[row]}' in line {cells.lines[row]}"
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
