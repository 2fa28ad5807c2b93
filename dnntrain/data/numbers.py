"""Which numbers the texts of a column mean: decimal commas, thousands separators, percent and currency signs."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

PERIOD, COMMA = ".", ","
MINUS = "−"
CURRENCY = "$€£¥₹₽₩₺₪₫₴₦฿¢"
SPACES = str.maketrans({MINUS: "-", "’": "'", "\u00a0": " ", "\u202f": " ", "\u2009": " "})
NUMBER = re.compile(
    rf"(?P<sign>[+-]?)\s*[{CURRENCY}]?\s*(?P<inner>[+-]?)(?P<body>[\d.,][\d.,' ]*)"
    rf"(?P<exponent>(?:[eE][+-]?\d+)?)\s*[%{CURRENCY}]?"
)
INFINITE = ("inf", "infinity")
LONGEST = 400
"""Characters up to which a text may be a number; matching a longer one could take very long."""


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


class Votes(NamedTuple):
    """How many cells are numbers with one decimal mark alone, and how many with either, but different ones."""

    period: int
    comma: int
    either: int

    @property
    def decimal(self) -> str | None:
        """The decimal mark that more cells have; None where no cell tells."""
        if self.period == self.comma == 0:
            return None
        return COMMA if self.comma > self.period else PERIOD


def votes_of(counts: Counter[str]) -> Votes:
    """What the different texts of a column, with how often each occurs, say about its decimal mark."""
    period = comma = either = 0
    for text, count in counts.items():
        if PERIOD not in text and COMMA not in text:
            continue
        as_period, as_comma = read_number(text, PERIOD), read_number(text, COMMA)
        if math.isnan(as_comma):
            period += 0 if math.isnan(as_period) else count
        elif math.isnan(as_period):
            comma += count
        elif as_period != as_comma:
            either += count
    return Votes(period, comma, either)


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
            found.append(f"numbers with {kind} signs{where}, which are left out")
    if any(MINUS in text for text in texts):
        found.append(f"numbers with the minus sign {MINUS}")
    return found
