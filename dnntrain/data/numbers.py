"""Which numbers texts mean: decimal commas, thousands separators, percent and currency signs."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

PERIOD, COMMA = ".", ","
MINUS = "−"
CURRENCY = "$€£¥₹₽₩₺₪₫₴₦฿¢"
SPACES = str.maketrans({MINUS: "-", "’": "'", "\u00a0": " ", "\u202f": " ", "\u2009": " "})
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
"""Texts that mean missing in a column of numbers; in a column of text they are texts like others."""
ENOUGH = 0.95
"""Share of a column's cells, missing ones aside, that must be numbers for a column of numbers."""
LONGEST = 400
"""Most characters that a number may have; matching a longer text could take very long."""


def body_pattern(decimal: str, other: str) -> re.Pattern[str]:
    """The digits of a number with this decimal mark, plain or in groups of three."""
    d, o = re.escape(decimal), re.escape(other)
    return re.compile(rf"\d+(?:{d}\d*)?|{d}\d+|[1-9]\d{{0,2}}([{o}' ])\d{{3}}(?:\1\d{{3}})*(?:{d}\d+)?")


GROUPS = {PERIOD: re.compile(r"\d[,' ]\d{3}"), COMMA: re.compile(r"\d[.' ]\d{3}")}
"""Where two groups of digits meet."""
BODIES = {PERIOD: body_pattern(PERIOD, COMMA), COMMA: body_pattern(COMMA, PERIOD)}


def read_number(text: str, decimal: str = PERIOD) -> float:
    """The number that a text means where `decimal` is the decimal mark; nan where it means none.

    Percent and currency signs are left out: 12 % is 12.
    """
    match = NUMBER.fullmatch(text.translate(SPACES)) if len(text) <= LONGEST else None
    if not match:
        return float(text) if text.casefold().lstrip("+-") in INFINITE else math.nan
    body = match["body"].strip()
    if (match["sign"] and match["inner"]) or not BODIES[decimal].fullmatch(body):
        return math.nan
    digits = "".join(PERIOD if mark == decimal else mark for mark in body if mark.isdigit() or mark == decimal)
    return float(match["sign"] + match["inner"] + digits + match["exponent"])


class NumberTexts:
    """The different texts of a column: how often each occurs, and which number it means with either decimal mark."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.counts = Counter(texts)
        del self.counts[""]
        self.numbers = {mark: {text: read_number(text, mark) for text in self.counts} for mark in (PERIOD, COMMA)}

    def tally(self, decimal: str) -> tuple[int, int]:
        """How many cells are numbers, and how many are neither numbers nor missing ones."""
        numbers = sum(self.counts[text] for text, number in self.numbers[decimal].items() if not math.isnan(number))
        return numbers, sum(self.counts.values()) - numbers - sum(self.counts[text] for text in self.missing())

    def is_numeric(self, decimal: str) -> bool:
        """Whether ENOUGH of the cells are numbers for a column of numbers."""
        numbers, others = self.tally(decimal)
        return numbers > 0 and numbers >= ENOUGH * (numbers + others)

    def missing(self) -> list[str]:
        """The texts that mean missing in a column of numbers."""
        return [text for text in self.counts if text in MISSING_NUMBERS]

    def others(self, decimal: str) -> set[str]:
        """The texts that are neither numbers nor mean a missing one."""
        nothing = {text for text, number in self.numbers[decimal].items() if math.isnan(number)}
        return nothing - MISSING_NUMBERS

    def ambiguous(self) -> list[str]:
        """The texts that mean different numbers with either mark."""
        period, comma = self.numbers[PERIOD], self.numbers[COMMA]
        return [text for text in self.counts if abs(period[text] - comma[text]) > 0]  # not so if one is nan

    def decimal(self) -> str | None:
        """The decimal mark of most cells that are numbers with one mark only; None without such cells."""
        cells = {PERIOD: 0, COMMA: 0}
        for mark, other in ((PERIOD, COMMA), (COMMA, PERIOD)):
            for text, number in self.numbers[mark].items():
                if not math.isnan(number) and math.isnan(self.numbers[other][text]):
                    cells[mark] += self.counts[text]
        if not any(cells.values()):
            return None
        return COMMA if cells[COMMA] > cells[PERIOD] else PERIOD


def oddities(texts: Iterable[str], decimal: str) -> list[str]:
    """What is unusual about the texts of a column that are numbers, a phrase for each kind."""
    texts = list(texts)
    found = []
    if decimal == COMMA and any(COMMA in text for text in texts):
        found.append("numbers with a decimal comma")
    if any(GROUPS[decimal].search(text.translate(SPACES)) for text in texts):
        found.append("numbers with thousands separators")
    for signs, kind in (("%", "percent"), (CURRENCY, "currency")):
        count = sum(not set(signs).isdisjoint(text) for text in texts)
        if count:
            where = "" if count == len(texts) else " in some of their cells"
            different = [sign for sign in CURRENCY if any(sign in text for text in texts)] if kind == "currency" else []
            which = f"signs of different currencies ({', '.join(different)})" if len(different) > 1 else f"{kind} signs"
            found.append(f"numbers with {which}{where}, which are left out")
    if any(MINUS in text for text in texts):
        found.append(f"numbers with the minus sign {MINUS}")
    if any(LEADING_ZERO.match(text.translate(SPACES)) for text in texts):
        found.append(LEADING_ZEROS)
    return found
