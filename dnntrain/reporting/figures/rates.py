"""The learning rate by iteration, for each distinct schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dnntrain.analysis.learning_rates import RateCurve, rate_clocks
from dnntrain.analysis.summary import Summary
from dnntrain.reporting.figures.axis_labels import epochs_axis, label_ends, log_axis, short_number, titled
from dnntrain.reporting.figures.series import by_arm, schedules
from dnntrain.reporting.figures.style import canvas, laid_out, line_styles, styled, subtitle

DEPTH = 1e-4
"""A logarithmic axis ends at this fraction of the largest rate, so that rates near zero do not stretch it."""

MOST_MARKERS = 20
"""Points of a line that have a marker."""

MAX_NAMED_ARMS = 3
"""Maximum number of arms in a schedule's label."""


@styled
def draw_learning_rates(summary: Summary, history: pd.DataFrame) -> Figure | None:
    """Draws one line per distinct schedule; None if all arms share one constant rate."""
    frames, clocks = by_arm(history), rate_clocks(summary.results.record)
    curves = schedules({arm.name: frames[arm.name] for arm in summary.arms if arm.name in frames}, clocks)
    values = {rate for runs in curves for run in runs for _, rate in run}
    if len(values) < 2:
        return None
    figure = canvas(
        8.0,
        max(3.6, 0.9 + 0.2 * len(curves)),
        title="At which learning rate does each arm train?",
        subtitle=subtitle(summary),
        caption=rates_caption(curves),
    )
    axes, look = figure.subplots(), line_styles(summary)
    epochs_axis(axes, max(run[-1][0] for runs in curves for run in runs))
    logarithmic(axes, values)
    axes.grid(axis="y")
    by_epoch = {"xlabel": "epoch", "ylabel": "learning rate (at the epoch's last step)"}
    axes.set(**({"xlabel": "iteration", "ylabel": "learning rate"} if clocks else by_epoch))
    ends = []
    for runs, arms in curves.items():
        style = look[summary.baseline if summary.baseline in arms else arms[0]]
        for run in sorted(runs):
            times, rates = zip(*run, strict=True)
            axes.plot(
                times,
                rates,
                color=style.color,
                linestyle=style.dash,
                marker=style.marker,
                markersize=3.5,
                markevery=max(1, len(run) // MOST_MARKERS),
            )
        x, y = last_seen(max(sorted(runs), key=len), axes.get_ylim()[0])
        ends.append((x, y, arm_names(arms), style.color))
    label_ends(axes, ends)
    return laid_out(figure)


def logarithmic(axes: Axes, values: Iterable[float]) -> None:
    """Makes the vertical axis logarithmic if the rates span more than a factor of ten."""
    largest, smallest = max(values), min(values)
    if largest <= 0 or smallest * 10 >= largest:
        axes.set_ylim(0, 1.06 * largest or 1)
        axes.yaxis.set_major_formatter(lambda value, _: short_number(value))
        return
    positive = [value for value in values if value > DEPTH * largest]
    log_axis(axes, "y", math.log10(largest / min(positive)))
    axes.set_ylim(0.7 * min(positive), 1.5 * largest)


def last_seen(run: RateCurve, lowest: float) -> tuple[float, float]:
    """The last time with a rate above the axis's lower end, and that rate."""
    seen = [(float(time), rate) for time, rate in run if rate >= lowest]
    return seen[-1] if seen else (1.0, lowest)


def rates_caption(curves: Mapping[frozenset[RateCurve], Sequence[str]]) -> str:
    """The figure's caption."""
    parts = ["A line for each schedule, with the arms that have it."]
    if any(len(runs) > 1 for runs in curves):
        parts.append("Several lines in one style: the schedule reacts to the run, so seeds differ.")
    values = [rate for runs in curves for run in runs for _, rate in run]
    if min(values) < DEPTH * max(values):
        parts.append("Rates under 1/10,000 of the largest are below the axis.")
    return " ".join(parts)


def arm_names(arms: Sequence[str]) -> str:
    """The label of a schedule: the names of its arms."""
    named = [titled(arm) for arm in arms[:MAX_NAMED_ARMS]]
    more = len(arms) - MAX_NAMED_ARMS
    return "\n".join([*named, f"and {more} more"] if more > 0 else named)
