"""Sparklines and forest plots in characters, for terminals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import numpy as np

from dnntrain.statistics import Interval

BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], low: float, high: float, width: int = 12) -> str:
    """Draws values as bars.

    Args:
        values: The curve; longer ones are thinned to `width` values. One that is not finite becomes '×'.
        low: The value of the lowest bar; lower ones have it as well.
        high: The value of the highest bar; higher ones have it as well.
        width: The most characters.
    """
    step = max(1.0, len(values) / width)
    thinned = [values[min(len(values) - 1, math.ceil((i + 1) * step) - 1)] for i in range(min(width, len(values)))]
    return "".join(bar_character(value, low, high) for value in thinned)


def curve_range(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis for curves, so that one run that goes astray does not flatten all others.

    Values that are further from the quartiles than three times their distance are beyond it (Tukey 1977, "Exploratory
    Data Analysis": "far out"). If more than half of the values are equal, the axis has all values.

    Args:
        values: The values of all curves; those that are not finite do not count.
    """
    finite = np.array([value for value in values if math.isfinite(value)])
    if not len(finite):
        return 0.0, 1.0
    low, high = np.percentile(finite, (25, 75))
    reach = 3 * (high - low) or math.inf
    return max(float(finite.min()), low - reach), min(float(finite.max()), high + reach)


def bar_character(value: float, low: float, high: float) -> str:
    """One value's bar."""
    if not math.isfinite(value):
        return "×"
    share = (value - low) / (high - low) if high > low else 1.0
    return BARS[round(min(max(share, 0.0), 1.0) * (len(BARS) - 1))]


def forest_range(intervals: Sequence[Interval]) -> tuple[float, float]:
    """The ends of an axis for intervals, which includes 0.

    One huge interval would squeeze all others, so the axis ends at three times the largest mean, or three times the
    middle one of half the intervals' widths where that is more, and an arrow marks what goes on.
    """
    ends = [end for each in intervals for end in (each.low, each.high, each.mean) if math.isfinite(end)]
    halves = [half for each in intervals if math.isfinite(half := (each.high - each.low) / 2)]
    reach = 3 * max([*(abs(each.mean) for each in intervals), median(halves or [0.0])], default=1.0)
    return max(min([0.0, *ends]), -reach), min(max([0.0, *ends]), reach)


def forest_row(interval: Interval, low: float, high: float, width: int = 32) -> str:
    """Draws an interval on an axis from low to high: '├──●──┤', with '│' at zero and an arrow at a cut end."""
    row = [" "] * width

    def place(value: float) -> int:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(min(max(share, 0.0), 1.0) * (width - 1))

    if low <= 0 <= high:
        row[place(0.0)] = "│"
    if math.isfinite(interval.low):
        first, last = place(interval.low), place(interval.high)
        for i in range(first, last + 1):
            row[i] = "┼" if row[i] == "│" else "─"
        row[first] = "◄" if interval.low < low else "├"
        row[last] = "►" if interval.high > high else "┤"
    row[place(interval.mean)] = "●"
    return "".join(row).rstrip()
