"""The metric by the value of a tuned setting, usually the learning rate: a panel for each arm."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from dnntrain.analysis.summary import Summary
from dnntrain.analysis.tuning_curves import TuningCurve, tuning_curves
from dnntrain.reporting.figures.axis_labels import short_number, titled
from dnntrain.reporting.figures.series import omitted_note, select_arms
from dnntrain.reporting.figures.style import (
    BLUE,
    FAINT,
    INK,
    MAX_PANELS,
    SMALL,
    laid_out,
    metric_label,
    metric_name,
    panels,
    scale,
    styled,
    subtitle,
)
from dnntrain.utils.fields import format_value

SETTINGS_IN_WORDS = {"lr": "learning rate"}

MOST_TICKS = 5


@styled
def draw_tuning(summary: Summary) -> Figure | None:
    """Draws each tuned arm, with the others in gray; None if no arm was tuned. The baseline is black."""
    selected, curves = select_arms(summary, MAX_PANELS), {each.arm: each for each in tuning_curves(summary.results)}
    shown = [curves[arm.name] for arm in selected if arm.name in curves]
    if not shown:
        return None
    setting = Counter(curve.setting for curve in shown).most_common(1)[0][0]
    of_others = [curve.arm for curve in shown if curve.setting != setting]
    shown = [curve for curve in shown if curve.setting == setting]
    word, metric = SETTINGS_IN_WORDS.get(setting, setting), shown[0].metric
    runs = max(len(scores) for curve in shown for scores in curve.scores.values())
    caption = f"Mean of {runs} runs" if runs > 1 else "One run"
    caption += f" for each {word}, with other seeds than those of the comparison. Large, and in titles: the chosen one."
    if any(math.isnan(score) for curve in shown for scores in curve.scores.values() for score in scores):
        caption += " Cross: a run was lost, which rules the value out."
    if of_others:
        caption += f" Another setting was tuned for {', '.join(of_others)}."
    figure, grid = panels(
        len(shown), (2.4, 1.7), (word, metric_label(summary, metric)), same=True,
        title=f"How does the {metric_name(metric)} depend on the {word}?", subtitle=subtitle(summary),
        caption=caption + omitted_note(summary, selected),
    )  # fmt: skip
    values_axis(grid[0], sorted({value for curve in shown for value in curve.scores}))
    for axes, curve in zip(grid, shown, strict=True):
        for other in shown:
            axes.plot(*means(other), color=FAINT, linewidth=0.8)
        draw_curve(axes, curve, INK if curve.arm == summary.baseline else BLUE)
    return laid_out(figure)


def values_axis(axes: Axes, values: Sequence[float]) -> None:
    """Sets up the horizontal axis that all panels share, with ticks at some of the values that were tried."""
    if values[0] > 0:
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(values[:: -(-len(values) // MOST_TICKS)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: short_number(value))


def means(curve: TuningCurve) -> tuple[list[float], list[float]]:
    """The values that were tried, and the mean metric of each in the unit shown; nan if a run was lost."""
    by = scale(curve.metric)
    return [*curve.scores], [by * float(np.mean(scores)) for scores in curve.scores.values()]


def draw_curve(axes: Axes, curve: TuningCurve, color: str) -> None:
    """Draws one arm's curve, its chosen value, and crosses where a run was lost."""
    values, scores = means(curve)
    axes.plot(values, scores, color=color, marker="o", markersize=3)
    lost = [value for value, score in zip(values, scores, strict=True) if not math.isfinite(score)]
    axes.plot(lost, [0.04] * len(lost), "x", color=color, transform=axes.get_xaxis_transform())
    chosen = ""
    if curve.chosen is not None and curve.chosen in curve.scores:
        axes.plot([curve.chosen], [scores[values.index(curve.chosen)]], "o", color=color, markersize=7, zorder=4)
        chosen = f": {format_value(curve.chosen)}"
    axes.set_title(titled(curve.arm, chosen), color=color)
    axes.grid(axis="y")
    axes.tick_params(axis="x", labelsize=SMALL - 1)
