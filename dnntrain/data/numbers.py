"""Parses numbers in text: decimal commas, thousands separators, percent and currency signs."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

PERIOD, COMMA = ".", ","
MINUS = "−"
CURRENCY = "$€£¥₹₽₩₺₪₫₴₦฿¢"
NORMALIZED_SIGNS = str.maketrans({MINUS: "-", "’": "'", "\u00a0": " ", "\u202f": " ", "\u2009": " "})
NUMBER = re.compile(
    rf"(?P<sign>[+-]?)\s*[{CURRENCY}]?\s*(?P<inner>[+-]?)(?P<body>[\d.,][\d.,' ]*)"
    rf"(?P<exponent>(?:[eE][+-]?\d+)?)\s*[%{CURRENCY}]?"
)
LEADING_ZERO = re.compile(rf"^\s*[+-]?\s*[{CURRENCY}]?\s*[+-]?0\d", re.MULTILINE)
LEADING_ZEROS = "numbers with leading zeros, which are dropped; a letter in front keeps codes as text"
INFINITE = ("inf", "infinity")
MISSING_NUMBERS = frozenset(
    spelled
    for text in ("na", "n/a", "#n/a", "#n/a n/a", "#na", "<na>", "null", "none", "nan", "-nan", "?",
                 "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan")
    for spelled in (text, text.upper(), text.title(), text.replace("nan", "NaN"))
)  # fmt: skip
"""Texts that mean missing in a column of numbers; in a column of text they are ordinary values."""
NUMERIC_SHARE = 0.95
"""Share of a column's cells, without missing ones, that must be numbers for a column of numbers."""
MAX_NUMBER_LENGTH = 400
"""Longest number, in characters; matching a longer text could take very long."""


def body_pattern(decimal: str, other: str) -> re.Pattern[str]:
    """Matches the digits of a number with this decimal mark, plain or in groups of three."""
    d, o = re.escape(decimal), re.escape(other)
    return re.compile(rf"\d+(?:{d}\d*)?|{d}\d+|[1-9]\d{{0,2}}([{o}' ])\d{{3}}(?:\1\d{{3}})*(?:{d}\d+)?")


GROUPS = {PERIOD: re.compile(r"\d[,' ]\d{3}"), COMMA: re.compile(r"\d[.' ]\d{3}")}
"""Matches the boundary between two groups of digits."""
BODIES = {PERIOD: body_pattern(PERIOD, COMMA), COMMA: body_pattern(COMMA, PERIOD)}


def parse_number(text: str, decimal: str = PERIOD) -> float:
    """Parse a number; nan if the text is not a number.

    Args:
        text: The text. Percent and currency signs are ignored: '12 %' is 12.
        decimal: The decimal mark, PERIOD or COMMA.
    """
    match = NUMBER.fullmatch(text.translate(NORMALIZED_SIGNS)) if len(text) <= MAX_NUMBER_LENGTH else None
    if not match:
        return float(text) if text.casefold().lstrip("+-") in INFINITE else math.nan
    body = match["body"].strip()
    if (match["sign"] and match["inner"]) or not BODIES[decimal].fullmatch(body):
        return math.nan
    digits = "".join(PERIOD if mark == decimal else mark for mark in body if mark.isdigit() or mark == decimal)
    return float(match["sign"] + match["inner"] + digits + match["exponent"])


class NumberTexts:
    """The distinct texts of a column: how often each occurs, and its number with either decimal mark."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.counts = Counter(texts)
        del self.counts[""]
        self.numbers = {mark: {text: parse_number(text, mark) for text in self.counts} for mark in (PERIOD, COMMA)}

    def tally(self, decimal: str) -> tuple[int, int]:
        """Count the cells that are numbers, and those that are neither numbers nor missing."""
        numbers = sum(self.counts[text] for text, number in self.numbers[decimal].items() if not math.isnan(number))
        return numbers, sum(self.counts.values()) - numbers - sum(self.counts[text] for text in self.missing())

    def is_numeric(self, decimal: str) -> bool:
        """Whether enough cells are numbers for a column of numbers (NUMERIC_SHARE)."""
        numbers, others = self.tally(decimal)
        return numbers > 0 and numbers >= NUMERIC_SHARE * (numbers + others)

    def missing(self) -> list[str]:
        """The texts that mean missing in a column of numbers."""
        return [text for text in self.counts if text in MISSING_NUMBERS]

    def others(self, decimal: str) -> set[str]:
        """The texts that are neither numbers nor mean missing."""
        not_numbers = {text for text, number in self.numbers[decimal].items() if math.isnan(number)}
        return not_numbers - MISSING_NUMBERS

    def ambiguous(self) -> list[str]:
        """The texts that are different numbers with either mark."""
        period, comma = self.numbers[PERIOD], self.numbers[COMMA]
        return [text for text in self.counts if abs(period[text] - comma[text]) > 0]  # False if one is nan

    def decimal(self) -> str | None:
        """The decimal mark of most cells that are numbers with one mark only; None if there are no such cells."""
        cells = {PERIOD: 0, COMMA: 0}
        for mark, other in ((PERIOD, COMMA), (COMMA, PERIOD)):
            for text, number in self.numbers[mark].items():
                if not math.isnan(number) and math.isnan(self.numbers[other][text]):
                    cells[mark] += self.counts[text]
        if not any(cells.values()):
            return None
        return COMMA if cells[COMMA] > cells[PERIOD] else PERIOD


def format_notes(texts: Iterable[str], decimal: str) -> list[str]:
    """Phrases on the unusual number formats in a column's texts."""
    texts = list(texts)
    found = []
    if decimal == COMMA and any(COMMA in text for text in texts):
        found.append("numbers with a decimal comma")
    if any(GROUPS[decimal].search(text.translate(NORMALIZED_SIGNS)) for text in texts):
        found.append("numbers with thousands separators")
    for signs, kind in (("%", "percent"), (CURRENCY, "currency")):
        count = sum(not set(signs).isdisjoint(text) for text in texts)
        if count:
            where = "" if count == len(texts) else " in some of their cells"
            different = [sign for sign in CURRENCY if any(sign in text for text in texts)] if kind == "currency" else []
            which = f"signs of different currencies ({', '.join(different)})" if len(different) > 1 else f"{kind} signs"
            found.append(f"numbers with {which}{where}, which are ignored")
    if any(MINUS in text for text in texts):
        found.append(f"numbers with the minus sign {MINUS}")
    if any(LEADING_ZERO.match(text.translate(NORMALIZED_SIGNS)) for text in texts):
        found.append(LEADING_ZEROS)
    return found
