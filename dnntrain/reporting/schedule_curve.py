"""A learning-rate schedule without training: its curve in characters, and a table of rates and ratios."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from rich.console import Group
from rich.text import Text

from dnntrain.reporting.sparklines import BARS
from dnntrain.techniques.base import iterations
from dnntrain.techniques.schedules.base import Schedule, ScheduleContext
from dnntrain.techniques.schedules.steps import Performance
from dnntrain.utils.text_layout import TextTable

EPOCH_STEPS = 100
"""Iterations of an epoch in the example run; lengths in epochs mean this many."""

MULTIPLES = 8
"""The example run lasts this many times the schedule's own length."""

CURVE_WIDTH, CURVE_HEIGHT = 61, 6
"""Size of the curve in characters."""


def schedule_curve(schedule: Schedule) -> Group:
    """Draws the factor on the learning rate over an example run, and lists it with its ratios.

    The rows are at multiples of the schedule's own length, such as s of `power`, or at tenths of the run where that is
    the length. So the ratios are those of the lecture's equations 2 (power) and 4 (exponential).
    """
    scale = schedule.time_scale
    rows = MULTIPLES if scale else 10
    total = MULTIPLES * iterations(scale, EPOCH_STEPS) if scale else float(10 * EPOCH_STEPS)
    times = np.linspace(0, total, rows + 1)
    names = [time_name(k, rows, scale) for k in range(rows + 1)]
    rates = example_rates(schedule, times, total)
    ratios = ["", *(f"{b / a:.4g}" if a else "-" for a, b in pairwise(rates))]
    cells = [list(row) for row in zip(names, (f"{rate:.4g}" for rate in rates), ratios, strict=True)]
    headings = ["t", "η(t)/η₀", "ratio to the row above"]
    if schedule.cycles_momentum:
        headings.append("momentum")
        context = ScheduleContext(EPOCH_STEPS, round(total))
        cells = [[*row, f"{m:.4g}"] for row, m in zip(cells, schedule.momentum(times, context), strict=True)]
    notes = [f"The factor on the learning rate over {names[-1] if scale else 'the run'}:"]
    if isinstance(schedule, Performance):
        notes = [f"The factor on the learning rate where {schedule.metric} never improves after the first epoch:"]
    curve = bars(example_rates(schedule, np.linspace(0, total, CURVE_WIDTH), total), max(rates), names[-1])
    return Group(Text("\n".join([*notes, *curve])), TextTable("", headings, cells, frozenset(headings)))


def time_name(k: int, rows: int, scale: str) -> str:
    """The time of a row in words: `20,000 iterations`, `40 epochs`, or `30 % of the run`."""
    if not scale:
        return f"{100 * k // rows} % of the run"
    time = k * iterations(scale, 1)
    return f"{time:,.10g} {'epochs' if scale.endswith('ep') else 'iterations'}"


def example_rates(schedule: Schedule, times: np.ndarray, total: float) -> list[float]:
    """The factor on the learning rate at each time, in a run whose watched metric never improves."""
    contexts = (ScheduleContext(EPOCH_STEPS, round(total), [1.0] * int(t // EPOCH_STEPS)) for t in times)
    rates = [float(schedule.multiplier(np.array([t]), context)[0]) for t, context in zip(times, contexts, strict=True)]
    return [round(rate, 12) for rate in rates]  # a rate that ends at 0 may differ from it by rounding


def bars(values: Sequence[float], highest: float, end: str) -> list[str]:
    """Draws values as bars from 0 up, the top line first, with the ends of both axes."""
    top = max(highest, *values) or 1.0
    eighths = [round(8 * CURVE_HEIGHT * value / top) for value in values]
    lines = [
        "".join(f" {BARS}"[min(max(e - 8 * line, 0), 8)] for e in eighths) for line in reversed(range(CURVE_HEIGHT))
    ]
    labels = [f"{top:.3g}", *[""] * (CURVE_HEIGHT - 2), "0"]
    drawn = [f"{label:>5} {line}".rstrip() for label, line in zip(labels, lines, strict=True)]
    return [*drawn, f"      0{end:>{CURVE_WIDTH - 1}}"]
