"""Times and durations as text, and back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, PlainSerializer

from dnntrain.errors import InputError

Moment = Annotated[AwareDatetime, PlainSerializer(lambda moment: moment.isoformat())]
"""A field with a time, which JSON has as ISO 8601 with a time zone."""

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


SOME_SECONDS = 5.0
"""A predicted time below this is not given as a number, which would promise too much."""

FEWEST_SECONDS, LEAST_SHARE = 2.0, 0.03
"""From when on the pace so far says how much time is left: seconds measured, and share of the work done in them."""


def time_left(done: float, left: float, seconds: float) -> float | None:
    """Seconds that the rest of some work takes at the pace so far; None as long as too little is done to say.

    Args:
        done: Work done in the measured time.
        left: Work that is left.
        seconds: The measured time.
    """
    if seconds < FEWEST_SECONDS or done <= 0 or done < LEAST_SHARE * (done + left):
        return None
    return left * seconds / done


def rough_duration(seconds: float) -> str:
    """A predicted duration in a sentence: 'roughly 12 s', or 'some seconds'."""
    return "some seconds" if seconds < SOME_SECONDS else f"roughly {duration(seconds)}"


def duration(seconds: float) -> str:
    """A duration as text: 5 s, 3 min, 1.5 h."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def time_of_day(moment: datetime, now: datetime | None = None) -> str:
    """A time in the local time zone: 14:32, with the date unless it is today."""
    local, today = moment.astimezone(), (now or datetime.now(UTC)).astimezone()
    return local.strftime("%H:%M" if local.date() == today.date() else "%Y-%m-%d %H:%M")


def parse_since(text: str, now: datetime | None = None) -> datetime:
    """The time that `--since` means: '2d' (30m, 6h, 1w) before now, or a date or time such as 2026-11-01.

    Raises:
        InputError: The text is neither.
    """
    now = now or datetime.now(UTC)
    try:
        if ago := re.fullmatch(r"(\d{1,6})([mhdw])", text):
            return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise InputError(
            f"--since '{text}': must be a duration such as 2d (30m, 6h, 1w), or a date such as 2026-11-01"
        ) from None
