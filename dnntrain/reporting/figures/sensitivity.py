"""Sensitivities: the gradient for each layer's net inputs, before the first step and at the end."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dnntrain.analysis.sensitivity import Factors
from dnntrain.analysis.summary import Summary
from dnntrain.reporting.figures.axis_labels import log_axis, short_number, titled
from dnntrain.reporting.figures.series import omitted_note, select_arms
from dnntrain.reporting.figures.style import INK, LINE_COLORS, MAX_PANELS, SMALL, laid_out, panels, styled, subtitle
from dnntrain.reporting.sensitivity import factor_text

MOST_DECADES = 6.0
"""The axis reaches at most so far below the largest sensitivity, so that one arm does not squeeze the others."""

START, END = INK, LINE_COLORS[0]
"""The colors of the two lines."""


@styled
def draw_sensitivity(summary: Summary, history: pd.DataFrame) -> Figure | None:
    """Draws a panel per arm: the mean ‖s^k‖ of an example by layer on a log axis; None if no run recorded it."""
    found = summary.layer_factors
    shown = [arm.name for arm in select_arms(summary, MAX_PANELS) if arm.name in found]
    if not shown:
        return None
    values = np.concatenate([when.sensitivities for name in shown for when in (found[name].start, found[name].end)])
    positive = values[np.isfinite(values) & (values > 0)]
    if not positive.size:
        return None
    top = float(positive.max())
    low = max(float(positive.min()), top / 10**MOST_DECADES)
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
        "(‖W‖ per unit) × what else there is, such as normalization, if it changes more than 5 %. Arrows: below the "
        "axis." + omitted_note(summary, [arm for arm in summary.arms if arm.name in shown]),
    )
    for axes, name in zip(grid, shown, strict=True):
        draw_arm(axes, found[name], low)
        text = factor_text(found[name].start)
        axes.set_title(titled(name, f"\n{text}" if text else ""))
    log_axis(grid[0], "y", decades=np.log10(top / low))
    grid[0].set_ylim(low / 2, top * 2)
    return laid_out(figure)


def draw_arm(axes: Axes, factors: Factors, low: float) -> None:
    """Draws one arm's lines; what is below `low` is an arrow with its smallest value."""
    for when, color in ((factors.start, START), (factors.end, END)):
        values = np.array(when.sensitivities)
        layers = np.arange(1, len(values) + 1)
        axes.plot(layers, np.where(values >= low, values, np.nan), color=color, marker="o", markersize=2.5)
        if (below := values < low).any() and when is factors.start:
            text = f"↓ {short_number(float(values[below].min()))}"
            axes.text(layers[below].mean(), low, text, color=color, fontsize=SMALL, ha="center", va="bottom")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
