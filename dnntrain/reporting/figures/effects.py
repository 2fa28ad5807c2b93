"""A forest plot of the arms' differences from the baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dnntrain.analysis.arm_summary import ArmSummary
from dnntrain.analysis.summary import Summary
from dnntrain.metrics import metric_of
from dnntrain.reporting import formatting
from dnntrain.reporting.figures.axis_labels import titled
from dnntrain.reporting.figures.series import MAX_ROWS, lost_note, lost_runs_note, omitted_note, select_arms
from dnntrain.reporting.figures.style import (
    BLUE,
    GREEN,
    INK,
    NORMAL,
    SMALL,
    SOFT,
    VERMILLION,
    canvas,
    laid_out,
    metric_label,
    metric_name,
    scale,
    styled,
    subtitle,
    unit,
)
from dnntrain.reporting.formatting import percent
from dnntrain.statistics import ComparisonFamily, Interval

VERDICT_COLORS = {"better": GREEN, "worse": VERMILLION, "never": VERMILLION}
"""The color of an arm by the first word of its verdict, as in the tables; any other arm is blue."""


@styled
def draw_effects(summary: Summary) -> Figure | None:
    """Draws a forest plot of each arm's difference from the baseline; None if no arm has one.

    Lost runs count as in the tables. A gray band marks the differences that are too small to matter.
    """
    shown, family = select_arms(summary, MAX_ROWS), summary.family
    rows = [arm for arm in shown if arm.name != summary.baseline]
    if family is None or not any(arm.difference for arm in rows):
        return None
    figure = canvas(
        8.0,
        1.0 + 0.29 * len(rows),
        title="Which arm differs from the baseline, and by how much?",
        subtitle=subtitle(summary),
        caption=effects_caption(summary, family) + omitted_note(summary, shown),
    )
    axes = figure.subplots()
    if summary.delta > 0:
        width = summary.delta * scale(summary.metric)
        axes.axvspan(-width, width, color="#eeeeee", linewidth=0, zorder=0)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.set_xlim(*axis_ends(rows, summary))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [titled(arm.name) for arm in rows], color=INK, fontsize=NORMAL)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for y, arm in enumerate(rows):
        draw_effect_row(axes, y, arm, summary)
    higher, lower = ("better", "worse") if summary.higher_is_better else ("worse", "better")
    label = metric_label(summary, summary.metric)
    if metric_of(summary.metric).is_share:
        label = f"{metric_name(summary.metric)} (percentage points)"
    gap = "\u2003" * 2  # SVG viewers collapse repeated blanks
    axes.set_xlabel(f"← {lower}{gap}difference in {label}, {percent(family.level)} intervals{gap}{higher} →")
    return laid_out(figure)


def effects_caption(summary: Summary, family: ComparisonFamily) -> str:
    """The forest plot's caption."""
    metric = metric_of(summary.metric)
    compared = f"{family.k} comparison{'s' if family.k != 1 else ''}"
    parts = [
        f"Baseline: {summary.baseline}.",
        f"Bars: simultaneous {percent(family.level)} intervals of {compared}, method {family.method}; thick: "
        f"{percent(2 * family.level - 1)}, for equivalence; arrow: it goes beyond the axis.",
        "Filled: the interval excludes zero; open: it includes zero. Green: better; orange: worse; blue: others.",
    ]
    if summary.delta > 0:
        symbol = "points" if metric.is_share else unit(summary, summary.metric)
        width = f"±{formatting.figure(summary.delta * metric.scale)} {symbol}".rstrip()
        parts.append(f"Gray band: {width}, a difference too small to matter.")
    parts += lost_runs_note(summary)
    if any(arm.difference and math.isnan(arm.difference.low) for arm in summary.arms):
        parts.append("No bar: one pair of runs, no uncertainty available.")
    return " ".join(parts)


def axis_ends(rows: Sequence[ArmSummary], summary: Summary) -> tuple[float, float]:
    """The ends of the horizontal axis, in the unit shown. Arms that lost runs would squeeze the others, so they only
    count if there are no others.
    """
    metric = metric_of(summary.metric)
    compared = [arm for arm in rows if arm.difference]
    counted = [arm for arm in compared if not arm.runs.lost] or compared
    differences = [scaled(arm.difference, summary.metric) for arm in counted if arm.difference]
    delta = summary.delta * metric.scale if summary.delta > 0 else 0.0
    below, above = axis_range(differences, delta, has_outliers=not metric.is_share)
    most = 100.0 if metric.is_share else math.inf  # shares cannot differ by more
    return -min(below, most), min(above, most)


def scaled(difference: Interval, metric: str) -> Interval:
    """A difference in the unit shown: percentage points for shares."""
    by = scale(metric)
    return Interval(by * difference.mean, by * difference.low, by * difference.high)


def axis_range(shown: Sequence[Interval], delta: float, has_outliers: bool) -> tuple[float, float]:
    """How far the axis extends below and above zero. Outliers are left out, so that they do not squeeze the others."""
    ends = np.array([[i.mean, i.low, i.high] for i in shown])
    ends = np.where(np.isfinite(ends), ends, ends[:, :1])
    means, halves = ends[:, 0], (ends[:, 2] - ends[:, 1]) / 2
    most = 10 * lower_median(np.abs(ends).max(axis=1)) if has_outliers else np.inf
    allowed = max(np.abs(means[np.abs(means) <= most]).max(initial=0), 3 * float(np.median(halves)))
    low = max(0.0, float((-np.maximum(ends[:, 1], means - allowed))[np.abs(means) <= most].max(initial=0)))
    high = max(0.0, float(np.minimum(ends[:, 2], means + allowed)[np.abs(means) <= most].max(initial=0)))
    shortest = max(2 * delta, 0.06 * (low + high)) or 1.0
    return max(1.05 * low, shortest), max(1.05 * high, shortest)


def lower_median(values: np.ndarray) -> float:
    """The median; of two middle values, the lower."""
    return float(np.quantile(values, 0.5, method="lower"))


def draw_effect_row(axes: Axes, y: int, arm: ArmSummary, summary: Summary) -> None:
    """Draws one row: the difference, its intervals with arrows where they leave the axis, and the numbers."""
    text: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": SMALL, "color": SOFT}
    if arm.difference is None or arm.comparison is None:
        axes.text(1.02, y, f"none: {arm.verdict}", **text)
        return
    color = VERDICT_COLORS.get(arm.verdict.partition(" ")[0].rstrip(",:"), BLUE)
    shown, by, c = scaled(arm.difference, summary.metric), scale(summary.metric), arm.comparison
    left, right = axes.get_xlim()
    if math.isfinite(shown.low):
        for ends, width in (((shown.low, shown.high), None), ((by * c.narrow_low, by * c.narrow_high), 3.2)):
            inside = [min(max(end, left), right) for end in ends]
            axes.plot(inside, [y, y], color=color, solid_capstyle="butt", linewidth=width, zorder=2)
        for end, arrow in ((shown.low, "<"), (shown.high, ">")):
            at = min(max(end, left), right)
            axes.plot([at], [y], "|" if at == end else arrow, color=color, markersize=5, clip_on=False, zorder=3)
    face = color if shown.low > 0 or shown.high < 0 else "white"
    (point,) = axes.plot([shown.mean], [y], "o", color=color, markerfacecolor=face, markersize=6.5, zorder=4)
    point.set_label(arm.name)
    numbers = formatting.against_baseline(arm, summary).replace("-", "−")
    axes.text(1.02, y, numbers + lost_note(arm), **text | {"color": INK})
