"""What the cells of a text file mean: which columns are numbers, which cells are missing, and what is said of it."""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.columns import Column, Grid
from dnntrain.data.dataset import listed
from dnntrain.data.numbers import COMMA, LONGEST, PERIOD, Votes, oddities, read_number, votes_of
from dnntrain.data.text_table import Cells
from dnntrain.errors import InputError
from dnntrain.parameters import write_names

MISSING_NUMBERS = frozenset(
    ("na", "n/a", "#n/a", "#n/a n/a", "#na", "<na>", "null", "none", "nan", "-nan", "?",
     "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan")
)  # fmt: skip
"""Texts, in lower case, that mean missing in a column of numbers; in a column of text they are texts like others."""
PERHAPS_MISSING = MISSING_NUMBERS | {"-", "--", "."}
"""Texts in a column of text that are pointed out: they may be meant as missing."""
ENOUGH = 0.95
"""Share of a column's cells, without the missing ones, that are numbers if the column is."""
WORTH_SAYING = 0.05
"""Share of numbers in a column of text from which on it is said why the column is text."""
TRUTH = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}( .*)?")
FEW = 1000
"""Cells of a column that mostly tell its decimal mark."""


@dataclass
class Draft:
    """A column whose meaning is being found."""

    name: str
    texts: list[str]
    """The cells, empty where missing."""
    plain: NDArray[np.float64] | None
    """The numbers, nan where missing, if every cell is written as Python writes numbers."""
    counts: Counter[str]
    """How often each text occurs; empty for a plain column, of which it is rarely needed."""
    votes: Votes
    notes: list[str] = field(default_factory=list)
    readings: list[str] = field(default_factory=list)
    """What is unusual about the column, in words that may fit others too."""

    @property
    def is_numeric(self) -> bool:
        """Whether the column is one of numbers, with whichever decimal mark."""
        return self.plain is not None or any(is_enough(self.counts, decimal) for decimal in (PERIOD, COMMA))


def read_grid(path: Path, cells: Cells, used: Collection[str], missing: Sequence[str]) -> Grid:
    """The columns with what their cells mean, and notes on what is unusual in those that are used.

    `missing` has texts that mean missing in every column. Raises InputError where a cell of a used column may be
    one of two numbers.
    """
    drafts = [draft_of(name, texts, missing) for name, texts in zip(cells.names, cells.columns, strict=True)]
    common = common_decimal(drafts, cells.separator)
    columns = []
    for draft in drafts:
        decimal = draft.votes.decimal or common
        if decimal is None and draft.votes.either and draft.is_numeric and draft.name in used:
            raise InputError(f"{path}: {ambiguity(draft, cells.lines)}")
        columns.append(Column(draft.name, values_of(draft, decimal or PERIOD, cells)))
    chosen = [draft for draft in drafts if draft.name in used]
    notes = [note for draft in chosen for note in draft.notes]
    for said in dict.fromkeys(said for draft in chosen for said in draft.readings):
        notes.append(f"{said}: {listed([draft.name for draft in chosen if said in draft.readings])}")
    return Grid(columns, used, cells.lines, tuple(notes))


def draft_of(name: str, texts: list[str], missing: Sequence[str]) -> Draft:
    """The column with what it says by itself."""
    if gone := set(missing):
        texts = ["" if text in gone else text for text in texts]
    plain = plain_numbers(texts)
    counts = Counter(text for text in texts if text) if plain is None else Counter()
    return Draft(name, texts, plain, counts, votes_of(counts))


def plain_numbers(texts: list[str]) -> NDArray[np.float64] | None:
    """The numbers, nan where a cell is empty; None if a cell is anything else."""
    try:
        numbers = np.array([float(text) if text else math.nan for text in texts], np.float64)
    except ValueError:
        return None
    return None if any("_" in text for text in texts) else numbers  # to Python, 1_000 is a number


def is_enough(counts: Counter[str], decimal: str) -> bool:
    """Whether a column of texts is one of numbers: whether ENOUGH of its cells are."""
    numbers, others = tally(counts, decimal)
    return numbers > 0 and numbers >= ENOUGH * (numbers + others)


def tally(counts: Counter[str], decimal: str) -> tuple[int, int]:
    """How many cells are numbers; and how many are not, but do not mean a missing number either."""
    present = {text: count for text, count in counts.items() if text.casefold() not in MISSING_NUMBERS}
    numbers = sum(count for text, count in present.items() if not math.isnan(read_number(text, decimal)))
    return numbers, sum(present.values()) - numbers


def common_decimal(drafts: list[Draft], separator: str) -> str | None:
    """The decimal mark of all columns that have one; None where none has one, or they differ.

    Where a file may have decimal commas, the periods of its plain columns are looked at too.
    """
    odd = [draft for draft in drafts if draft.plain is None and draft.is_numeric]
    if separator != ";" and not any(draft.votes.comma or draft.votes.either for draft in odd):
        return PERIOD
    for draft in drafts:
        if draft.plain is not None and any(PERIOD in text for text in draft.texts):
            few = votes_of(Counter(draft.texts[:FEW]))
            draft.votes = few if few.decimal else votes_of(Counter(draft.texts))
    marks = {draft.votes.decimal for draft in drafts if draft.is_numeric} - {None}
    return marks.pop() if len(marks) == 1 else None


def ambiguity(draft: Draft, lines: Sequence[int]) -> str:
    """Which cell may be one of two numbers, and how to write it."""
    text = next(text for text in draft.texts if votes_of(Counter([text])).either)
    small, large = sorted((read_number(text, PERIOD), read_number(text, COMMA)), key=abs)
    return (
        f"line {lines[draft.texts.index(text)]}, column '{draft.name}': '{text}' may be {small:.12g} or {large:.12g}, "
        f"and no other number tells; write {large:.12g}, or {small:.12g}0 with four decimals"
    )


def values_of(draft: Draft, decimal: str, cells: Cells) -> NDArray[Any]:
    """The column's values as `Column` has them; notes in the draft what is unusual about them."""
    if draft.plain is not None and not (decimal == COMMA and draft.votes.either):
        note_numbers(draft, draft.plain, Counter())
        return draft.plain
    counts = draft.counts or Counter(text for text in draft.texts if text)
    if is_enough(counts, decimal):
        read = {text: read_number(text, decimal) for text in counts} | {"": math.nan}
        numbers = np.array([read[text] for text in draft.texts], np.float64)
        draft.readings += oddities((text for text, number in read.items() if not math.isnan(number)), decimal)
        note_numbers(draft, numbers, counts)
        note_strangers(draft, read, cells.lines)
        return numbers
    if counts.keys() <= TRUTH.keys():
        return truth_of(draft.texts)
    note_text(draft, counts, decimal, cells)
    return np.array([text or None for text in draft.texts], object)


def truth_of(texts: list[str]) -> NDArray[Any]:
    """True and False; as text where one is missing."""
    if "" not in texts:
        return np.array([TRUTH[text] for text in texts], bool)
    return np.array([str(TRUTH[text]) if text else None for text in texts], object)


def note_numbers(draft: Draft, numbers: NDArray[np.float64], counts: Counter[str]) -> None:
    """Note which texts mean missing in a column of numbers, and whole numbers that float64 rounds."""
    if not counts and np.isnan(numbers).sum() > draft.texts.count(""):
        counts = Counter(text for text, number in zip(draft.texts, numbers, strict=True) if text and math.isnan(number))
    if marks := sorted(text for text in counts if text.casefold() in MISSING_NUMBERS):
        draft.readings.append(f"{', '.join(marks)} in a column of numbers means missing")
    large = np.flatnonzero(np.abs(numbers) > 2.0**53)
    texts = [(draft.texts[row], numbers[row]) for row in large]
    if any(text.isdecimal() and len(text) < LONGEST and int(text) != number for text, number in texts):
        draft.readings.append("whole numbers with too many digits for float64, which are rounded")


def note_strangers(draft: Draft, read: dict[str, float], lines: Sequence[int]) -> None:
    """Note the cells of a column of numbers that are none: how many, and where the first is."""
    nothing = {text for text, number in read.items() if text and math.isnan(number)}
    strangers = {text for text in nothing if text.casefold() not in MISSING_NUMBERS}
    if strangers:
        row = next(row for row, text in enumerate(draft.texts) if text in strangers)
        count = sum(draft.counts[text] for text in strangers)
        first = f"'{draft.texts[row]}' in line {lines[row]}"
        said = f"1 cell is not a number and counts as missing: {first}"
        if count > 1:
            said = f"{count:,} cells are not numbers and count as missing; the first is {first}"
        draft.notes.append(f"column '{draft.name}': {said}")


def note_text(draft: Draft, counts: Counter[str], decimal: str, cells: Cells) -> None:
    """Note why a column is text if parts of it are not, and which of its texts may be meant as missing."""
    numbers, others = tally(counts, decimal)
    if numbers >= WORTH_SAYING * (numbers + others) and numbers:
        share = 100 * numbers / (numbers + others)
        row = next(row for row, text in enumerate(draft.texts) if is_stranger(text, decimal))
        other = f"'{draft.texts[row]}' in line {cells.lines[row]} is not"
        rule = f"a column is numbers from {100 * ENOUGH:.0f} % on"
        draft.notes.append(
            f"column '{draft.name}' is text: only {share:.1f} % of its cells are numbers, {other}; {rule}"
        )
    elif sum(count for text, count in counts.items() if DATE.fullmatch(text)) >= ENOUGH * (numbers + others) > 0:
        draft.readings.append("dates, read as text")
    for text, count in counts.items():
        if text.casefold() in PERHAPS_MISSING:
            are = "cell is" if count == 1 else "cells are"
            draft.notes.append(
                f"column '{draft.name}': {count:,} {are} '{text}', read as the text '{text}'; "
                f"--missing {shlex.quote(write_names([text]))} reads them as missing"
            )
    if draft.name in cells.padded:
        draft.readings.append("blanks at the ends of texts are left out, which makes some equal")


def is_stranger(text: str, decimal: str) -> bool:
    """Whether a cell is neither a number nor missing."""
    return bool(text) and text.casefold() not in MISSING_NUMBERS and math.isnan(read_number(text, decimal))
