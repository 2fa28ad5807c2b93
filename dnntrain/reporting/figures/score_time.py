"""The metric by training time, a point for each arm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from dnntrain.analysis.arm_summary import ArmSummary
from dnntrain.analysis.summary import Summary
from dnntrain.analysis.timing import ArmCost, arm_costs
from dnntrain.metrics import metric_of
from dnntrain.reporting import formatting
from dnntrain.reporting.figures.axis_labels import log_axis, margins, middle_values, titled
from dnntrain.reporting.figures.series import (
    MAX_ROWS,
    baseline_mark,
    lost_note,
    lost_runs_note,
    omitted_note,
    select_arms,
)
from dnntrain.reporting.figures.style import (
    INK,
    canvas,
    laid_out,
    line_styles,
    metric_label,
    metric_name,
    scale,
    styled,
    subtitle,
)
from dnntrain.statistics import deviation, mean

INSIDE = 0.07
"""How far from the edge an arm is drawn that lies beyond the axis, as a share of the axis."""


@styled
def draw_score_against_time(summary: Summary) -> Figure | None:
    """Draws the metric by time of a run, one point per arm; None if no arm has both."""
    shown, costs = select_arms(summary, MAX_ROWS), costs_of_all(summary)
    seconds = {arm.name: seconds_of_runs(summary, arm.name, costs.get(arm.name)) for arm in shown}
    points = [arm for arm in shown if arm.finished and math.isfinite(arm.mean) and sum(seconds[arm.name]) > 0]
    if not points:
        return None
    ordered = sorted(points, key=lambda arm: arm.mean, reverse=metric_of(summary.metric).higher_is_better)
    by = scale(summary.metric)
    is_within = middle_values([by * arm.mean for arm in ordered], [by * arm.deviation for arm in ordered])
    low, high = score_axis([arm for arm, within in zip(ordered, is_within, strict=True) if within], by)
    beyond = [arm.name for arm in ordered if not low <= by * arm.mean <= high]
    room = 2 * INSIDE * (high - low) if beyond else 0.0
    figure = canvas(
        8.0,
        max(3.9, 0.9 + 0.19 * len(ordered)),
        title=f"Which {metric_name(summary.metric)} for which time?",
        subtitle=subtitle(summary),
        caption=time_caption(summary, is_retimed=bool(costs), any_beyond=bool(beyond)) + omitted_note(summary, shown),
    )
    axes = figure.subplots()
    axes.grid()
    axes.set_ylim(low - room, high + room)
    for arm in ordered:
        draw_point(axes, arm, seconds[arm.name], summary, is_beyond=arm.name in beyond)
    time_axis(axes, [seconds[arm.name] for arm in ordered])
    label = "training steps of a run (s)" if costs else "mean time of a run (s)"
    axes.set(xlabel=label, ylabel=metric_label(summary, summary.metric))
    drawn, labels = axes.get_legend_handles_labels()
    markers = [bars[0] for bars in drawn if isinstance(bars, ErrorbarContainer)]  # without their bars
    axes.legend(markers, labels, loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False, title="Best first:")
    return laid_out(figure)


def costs_of_all(summary: Summary) -> Mapping[str, ArmCost]:
    """The times of the arms that `runs time` measured, by arm; empty unless it measured all of them."""
    costs = arm_costs(summary.times, summary.baseline) if summary.times else {}
    return costs if costs.keys() >= {arm.name for arm in summary.arms} else {}


def seconds_of_runs(summary: Summary, arm: str, cost: ArmCost | None) -> list[float]:
    """The time of each of an arm's runs: of its training steps where these were timed, or else as it was recorded.

    Empty for a table that has no times.
    """
    own = summary.results.runs.where("arm", arm)
    if cost is None and "seconds" not in own:
        return []
    return [float(s) for s in own["seconds"]] if cost is None else [cost.epoch * n for n in own["epochs_run"]]


def time_axis(axes: Axes, seconds: Sequence[Sequence[float]]) -> None:
    """Makes the horizontal axis logarithmic if the mean times span more than a factor of ten; else it begins at 0.

    There is room for the error bars of all arms.
    """
    means = [mean(times) for times in seconds]
    if max(means) > 10 * min(means):
        log_axis(axes, "x", math.log10(max(means) / min(means)))
    else:
        ends = [at + (error_bar(deviation(times)) or 0.0) for at, times in zip(means, seconds, strict=True)]
        axes.set_xlim(0, max(1.08 * max(means), 1.02 * max(ends)))


def score_axis(arms: Sequence[ArmSummary], by: float) -> tuple[float, float]:
    """The ends of the vertical axis, with room for the arms' error bars."""
    bars = np.nan_to_num([by * arm.deviation for arm in arms])
    means = np.array([by * arm.mean for arm in arms])
    return margins(float((means - bars).min()), float((means + bars).max()))


def draw_point(axes: Axes, arm: ArmSummary, seconds: Sequence[float], summary: Summary, *, is_beyond: bool) -> None:
    """Draws an arm with its error bars, or beyond the axis an arrow at its edge and its value in the legend."""
    style, by, is_baseline = line_styles(summary)[arm.name], scale(summary.metric), arm.name == summary.baseline
    low, high = axes.get_ylim()
    room = INSIDE * (high - low)
    y, value = by * arm.mean, ""
    if is_beyond:
        edge, y = (low, low + room) if y < low else (high, high - room)
        value = f", {formatting.number(arm.mean, summary.metric, arm.deviation)}"
        axes.annotate(
            "", (mean(seconds), edge), (mean(seconds), y), arrowprops={"arrowstyle": "->", "color": style.color}
        )
    axes.errorbar(
        [mean(seconds)],
        [y],
        xerr=error_bar(deviation(seconds)),
        yerr=None if is_beyond else error_bar(by * arm.deviation),
        color=style.color,
        marker=style.marker,
        markersize=8,
        markerfacecolor=INK if is_baseline else "none",
        zorder=2 if is_baseline else 3,
        markeredgewidth=1.5,
        elinewidth=0.8,
        linestyle="none",
        label=titled(arm.name) + baseline_mark(arm.name, summary) + lost_note(arm) + value,
    )


def time_caption(summary: Summary, *, is_retimed: bool, any_beyond: bool) -> str:
    """The figure's caption, with the arms that are not in it."""
    time = "a run's share of the training time of its population"
    if is_retimed:
        time = "of all training steps of a run, as `dnntrain runs time` measured a step"
    parts = ["Bars: ±1 standard deviation over the runs.", f"Time: {time}."]
    if any_beyond:
        parts.append("Arrow: beyond the axis; the value stands in the legend.")
    parts += lost_runs_note(summary)
    missing = [arm.name for arm in summary.arms if not arm.finished]
    if missing:
        parts.append(f"No finished run, so no point: {', '.join(missing)}.")
    unsure = [arm.name for arm in summary.arms if arm.finished and len(arm.values) == 1]
    if unsure:
        parts.append("No bar: one run.")
    return " ".join(parts)


def error_bar(length: float) -> float | None:
    """The length of an error bar; None if it is unknown."""
    return length if math.isfinite(length) else None
