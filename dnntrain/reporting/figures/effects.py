"""A forest plot of the arms' differences from the baseline, and the metric by training time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from dnntrain.analysis.summary import ArmSummary, Summary
from dnntrain.metrics import metric_of
from dnntrain.reporting import formatting
from dnntrain.reporting.figures.axis_labels import log_axis, titled
from dnntrain.reporting.figures.series import omitted_note, select_arms
from dnntrain.reporting.figures.style import (
    BLUE,
    INK,
    NORMAL,
    SMALL,
    SOFT,
    canvas,
    laid_out,
    line_styles,
    metric_label,
    metric_name,
    scale,
    styled,
    subtitle,
    unit,
)
from dnntrain.statistics import Interval, deviation

DEFAULT_DELTA = 0.003
"""The smallest difference that matters if a study has none: 0.3 points of accuracy."""

DEFAULT_INTERVAL = "95 % interval"
"""How the caption describes the intervals if no method is given."""

MAX_ROWS = 60
"""Maximum number of arms in a figure."""


@styled
def draw_effects(summary: Summary, delta: float = DEFAULT_DELTA, interval: str = DEFAULT_INTERVAL) -> Figure | None:
    """Draws a forest plot of each arm's difference from the baseline; None if no arm has one.

    Args:
        summary: The study.
        delta: The smallest difference that matters, in the metric's own unit; drawn as a gray band.
        interval: What the intervals are, for the caption.
    """
    shown = select_arms(summary, MAX_ROWS)
    rows = [arm for arm in shown if arm.name != summary.baseline]
    if not any(arm.difference for arm in rows):
        return None
    limit = axis_range(
        [scaled(arm.difference, summary.metric) for arm in rows if arm.difference], delta, summary.metric
    )
    figure = canvas(
        8.0,
        1.0 + 0.29 * len(rows),
        title="Which arm differs from the baseline, and by how much?",
        subtitle=subtitle(summary),
        caption=effects_caption(summary, delta, interval) + omitted_note(summary, shown),
    )
    axes = figure.subplots()
    width = delta * scale(summary.metric)
    axes.axvspan(-width, width, color="#eeeeee", linewidth=0, zorder=0)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.set_xlim(-limit[0], limit[1])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [titled(arm.name) for arm in rows], color=INK, fontsize=NORMAL)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for y, arm in enumerate(rows):
        draw_effect_row(axes, y, arm, summary)
    higher, lower = ("better", "worse") if metric_of(summary.metric).higher_is_better else ("worse", "better")
    label = metric_label(summary, summary.metric)
    if metric_of(summary.metric).is_share:
        label = f"{metric_name(summary.metric)} (percentage points)"
    axes.set_xlabel(f"←  {lower}     difference in {label}     {higher}  →")
    return laid_out(figure)


def effects_caption(summary: Summary, delta: float, interval: str) -> str:
    """The forest plot's caption."""
    metric = metric_of(summary.metric)
    symbol = "points" if metric.is_share else unit(summary, summary.metric)
    width = f"±{delta * metric.scale:g} {symbol}".rstrip()
    parts = [
        f"Baseline: {summary.baseline}.",
        f"Bars: {interval}. Filled: the interval excludes zero; open: it includes zero.",
        f"Gray band: {width}, a difference too small to matter.",
    ]
    differences = [arm.difference for arm in summary.arms if arm.difference]
    if any(math.isnan(d.low) for d in differences):
        parts.append("No bar: one pair of runs, no uncertainty available.")
    return " ".join(parts)


def scaled(difference: Interval, metric: str) -> Interval:
    """A difference in the unit shown: percentage points for shares."""
    by = scale(metric)
    return Interval(by * difference.mean, by * difference.low, by * difference.high)


def axis_range(shown: Sequence[Interval], delta: float, metric: str) -> tuple[float, float]:
    """How far the axis extends below and above zero. Outliers are left out, so that they do not squeeze the others."""
    ends = np.array([[i.mean, i.low, i.high] for i in shown])
    ends = np.where(np.isfinite(ends), ends, ends[:, :1])
    means, halves = ends[:, 0], (ends[:, 2] - ends[:, 1]) / 2
    most = np.inf if metric_of(metric).is_share else 10 * lower_median(np.abs(ends).max(axis=1))
    allowed = max(np.abs(means[np.abs(means) <= most]).max(initial=0), 3 * float(np.median(halves)))
    low = max(0.0, float((-np.maximum(ends[:, 1], means - allowed))[np.abs(means) <= most].max(initial=0)))
    high = max(0.0, float(np.minimum(ends[:, 2], means + allowed)[np.abs(means) <= most].max(initial=0)))
    shortest = max(2 * delta * scale(metric), 0.06 * (low + high)) or 1.0
    end = 100.0 if metric_of(metric).is_share else np.inf  # shares cannot differ by more
    return min(max(1.05 * low, shortest), end), min(max(1.05 * high, shortest), end)


def lower_median(values: np.ndarray) -> float:
    """The median; of two middle values, the lower."""
    return float(np.quantile(values, 0.5, method="lower"))


def draw_effect_row(axes: Axes, y: int, arm: ArmSummary, summary: Summary) -> None:
    """Draws one row: the difference, its interval with an arrow where it leaves the axis, and the numbers."""
    text: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": SMALL, "color": SOFT}
    if arm.difference is None:
        axes.text(1.02, y, why_none(arm), **text)
        return
    shown = scaled(arm.difference, summary.metric)
    left, right = axes.get_xlim()
    if math.isfinite(shown.low):
        bar_ends = [min(max(end, left), right) for end in (shown.low, shown.high)]
        axes.plot(bar_ends, [y, y], color=BLUE, solid_capstyle="butt", zorder=2)
        for end, arrow in ((shown.low, "<"), (shown.high, ">")):
            at = min(max(end, left), right)
            axes.plot([at], [y], "|" if at == end else arrow, color=BLUE, markersize=5, clip_on=False, zorder=3)
    face = BLUE if shown.low > 0 or shown.high < 0 else "white"
    (point,) = axes.plot([shown.mean], [y], "o", color=BLUE, markerfacecolor=face, markersize=6.5, zorder=4)
    point.set_label(arm.name)
    axes.text(1.02, y, effect_text(arm, summary), **text | {"color": INK})


def effect_text(arm: ArmSummary, summary: Summary) -> str:
    """The numbers of a row, and how many runs diverged."""
    lost = f"  ({arm.runs.lost} of {arm.runs.planned} diverged)" if arm.runs.lost else ""
    return formatting.against_baseline(arm, summary).replace("-", "−") + lost


def why_none(arm: ArmSummary) -> str:
    """Why an arm has no difference."""
    if arm.runs.lost and not arm.finished:
        return f"none: {arm.runs.lost} of {arm.runs.planned} diverged"
    return "none: no seed in common" if arm.finished else "none: no finished run"


@styled
def draw_score_against_time(summary: Summary) -> Figure | None:
    """Draws the metric by time of a run, one point per arm; None if no arm has both."""
    shown = select_arms(summary, MAX_ROWS)
    points = [arm for arm in shown if arm.finished and math.isfinite(arm.mean) and arm.seconds > 0]
    if not points:
        return None
    most = math.inf if metric_of(summary.metric).is_share else 10 * lower_median(np.array([arm.mean for arm in points]))
    beyond = [arm.name for arm in points if arm.mean > most]
    points = [arm for arm in points if arm.mean <= most]
    ordered = sorted(points, key=lambda arm: arm.mean, reverse=metric_of(summary.metric).higher_is_better)
    figure = canvas(
        8.0,
        max(3.9, 0.9 + 0.19 * len(ordered)),
        title=f"Which {metric_name(summary.metric)} for which time?",
        subtitle=subtitle(summary),
        caption=time_caption(summary, beyond) + omitted_note(summary, shown),
    )
    axes, look, by = figure.subplots(), line_styles(summary), scale(summary.metric)
    axes.grid()
    for arm in ordered:
        style = look[arm.name]
        axes.errorbar(
            [arm.seconds],
            [by * arm.mean],
            xerr=error_bar(seconds_deviation(summary, arm)),
            yerr=error_bar(by * arm.deviation),
            color=style.color,
            marker=style.marker,
            markersize=8,
            markerfacecolor=INK if arm.name == summary.baseline else "none",
            zorder=2 if arm.name == summary.baseline else 3,
            markeredgewidth=1.5,
            elinewidth=0.8,
            linestyle="none",
            label=titled(arm.name) + (" (baseline)" if arm.name == summary.baseline else ""),
        )
    seconds = [arm.seconds for arm in ordered]
    if max(seconds) > 10 * min(seconds):
        log_axis(axes, "x", math.log10(max(seconds) / min(seconds)))
    else:
        axes.set_xlim(0, 1.08 * max(seconds))
    axes.set(xlabel="mean time of a run (s)", ylabel=metric_label(summary, summary.metric))
    drawn, labels = axes.get_legend_handles_labels()
    markers = [bars[0] for bars in drawn if isinstance(bars, ErrorbarContainer)]  # without their bars
    axes.legend(markers, labels, loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False, title="Best first:")
    return laid_out(figure)


def time_caption(summary: Summary, beyond: Sequence[str]) -> str:
    """The figure's caption, with the arms that are not in it."""
    parts = [
        "Bars: ±1 standard deviation over the finished runs.",
        "Time: a run's share of the training time of its population.",
    ]
    missing = [arm.name for arm in summary.arms if not arm.finished]
    if missing:
        parts.append(f"No finished run, so no point: {', '.join(missing)}.")
    if beyond:
        parts.append(f"Far above the axis: {', '.join(beyond)}.")
    unsure = [arm.name for arm in summary.arms if arm.finished == 1]
    if unsure:
        parts.append("No bar: one run.")
    return " ".join(parts)


def error_bar(length: float) -> float | None:
    """The length of an error bar; None if it is unknown."""
    return length if math.isfinite(length) else None


def seconds_deviation(summary: Summary, arm: ArmSummary) -> float:
    """Standard deviation of the arm's run times, in seconds."""
    runs = summary.results.runs
    return deviation([float(s) for s in runs.loc[runs["arm"] == arm.name, "seconds"]])
