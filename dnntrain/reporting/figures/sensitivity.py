"""Sensitivities: the gradient for each layer's net inputs, before the first step and at the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dnntrain.analysis.sensitivity import Factors
from dnntrain.analysis.summary import Summary
from dnntrain.reporting.figures.axis_labels import log_axis, short_number, titled
from dnntrain.reporting.figures.series import omitted_note, select_arms
from dnntrain.reporting.figures.style import (
    INK,
    LINE_COLORS,
    MAX_PANELS,
    SMALL,
    SOFT,
    laid_out,
    panels,
    styled,
    subtitle,
)
from dnntrain.reporting.sensitivity import factor_text

MOST_DECADES = 6.0
"""The axis reaches at most so far below and above the output layer's sensitivity, so that one arm does not squeeze the
others."""

START, END = INK, LINE_COLORS[0]
"""The colors of the two lines."""


@styled
def draw_sensitivity(summary: Summary, history: pd.DataFrame) -> Figure | None:
    """Draws a panel per arm: the mean ‖s^k‖ of an example by layer on a log axis; None if no run recorded it."""
    found = summary.layer_factors
    shown = [arm.name for arm in select_arms(summary, MAX_PANELS) if arm.name in found]
    if not shown:
        return None
    low, high = limits([found[name] for name in shown])
    figure, grid = panels(
        len(shown),
        (2.3, 1.9),
        ("layer (1 is the lowest)", "sensitivity ‖s‖"),
        same=True,
        title="What does backpropagation multiply from layer to layer?",
        subtitle=subtitle(summary),
        caption="Norm of the gradient of an example's loss for the layer's net inputs, geometric mean over runs: black "
        "before the first step, colored at the end (at the last finite step of a run that diverged). In titles: factor "
        "from a layer to the one below before the first step = slope of the activation (root mean square) × weights "
        "(‖W‖ per unit) × what else there is, such as normalization, if it changes more than 5 %. Arrows: beyond the "
        "axis." + omitted_note(summary, [arm for arm in summary.arms if arm.name in shown]),
    )
    for axes, name in zip(grid, shown, strict=True):
        draw_layers(axes, found[name], low, high)
        text = factor_text(found[name].start)
        axes.set_title(titled(name, f"\n{text}" if text else ""))
    log_axis(grid[0], "y", decades=np.log10(high / low))
    grid[0].set_ylim(low / 2, high * 2)
    return laid_out(figure)


def limits(arms: Sequence[Factors]) -> tuple[float, float]:
    """The smallest and the largest sensitivity that the axis shows."""
    values = np.concatenate([when.sensitivities for arm in arms for when in (arm.start, arm.end)])
    positive = values[np.isfinite(values) & (values > 0)]
    middle = float(np.nanmedian([arm.start.sensitivities[-1] for arm in arms]))
    low, high = middle / 10**MOST_DECADES, middle * 10**MOST_DECADES
    return max(low, float(positive.min(initial=high))), min(high, float(positive.max(initial=low)))


def draw_layers(axes: Axes, factors: Factors, low: float, high: float) -> None:
    """Draws one arm's lines; where they leave the limits, an arrow says how far they go."""
    values = np.array([factors.start.sensitivities, factors.end.sensitivities])
    layers = np.arange(1, values.shape[1] + 1)
    for own, color in zip(values, (START, END), strict=True):
        shown = np.where((own >= low) & (own <= high), own, np.nan)
        axes.plot(layers, shown, color=color, marker="o", markersize=2.5)
    ends = (("↓", values < low, np.nanmin(values), low, "bottom"), ("↑", values > high, np.nanmax(values), high, "top"))
    for arrow, is_beyond, extreme, at, aligned in ends:
        if is_beyond.any():
            text = f"{arrow} {short_number(float(f'{extreme:.1g}'))}"
            center = layers[is_beyond.any(axis=0)].mean()
            axes.text(center, at, text, color=SOFT, fontsize=SMALL, ha="center", va=aligned)
    axes.set_xlim(0.5, len(layers) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
