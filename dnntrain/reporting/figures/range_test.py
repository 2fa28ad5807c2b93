"""The loss by learning rate in a range test, with a band over seeds."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from dnntrain.reporting.figures.axis_labels import log_axis, short_number
from dnntrain.reporting.figures.style import BLUE, FAINT, INK, SOFT, canvas, laid_out, styled
from dnntrain.statistics.range_test import RULES, RangeTest


@styled
def draw_range_test(test: RangeTest, subtitle: str) -> Figure:
    """Draws each seed's smoothed loss by rate, their mean with a band, and the suggested rate."""
    rule, found = next(iter(RULES)), test.suggestions[next(iter(RULES))]
    several = len(test.seeds) > 1
    caption = "The loss of each step's mini-batch, smoothed"
    caption += "; thick: the mean over the seeds that have not diverged, band: lowest to highest." if several else "."
    if math.isfinite(found.rate):
        ends = f", {found.low:.2g} to {found.high:.2g} by seed" if several else ""
        caption += f" Dashed: the suggested rate, {found.rate:.2g}{ends} ({RULES[rule]})."
    figure = canvas(7.0, 4.0, "Up to which learning rate does the loss fall?", subtitle, caption)
    axes, (low, mean, high) = figure.subplots(), test.band
    log_axis(axes, "x", math.log10(test.tried.high / test.tried.low))
    axes.yaxis.set_major_formatter(lambda value, _: short_number(value))
    axes.fill_between(test.rates, low, high, color=BLUE, alpha=0.15, linewidth=0)
    if several:
        axes.plot(test.rates, test.curves, color=FAINT, linewidth=0.7)
    axes.plot(test.rates, mean, color=BLUE)
    if math.isfinite(found.rate):
        axes.axvline(found.rate, color=INK, linestyle=(0, (5, 2)), linewidth=1)
        axes.axvspan(found.low, found.high, color=SOFT, alpha=0.1, linewidth=0)
    start = float(np.nanmax(mean[: max(1, int(np.nanargmin(mean)))]))
    bottom = float(np.nanmin(low))
    margin = 0.08 * (start - bottom) or 0.1 * start or 1.0
    axes.set(xlim=(test.tried.low, test.rates[-1]), ylim=(bottom - margin, start + 3 * margin))
    axes.set(xlabel="learning rate (logarithmic)", ylabel="training loss")
    axes.grid(axis="y")
    return laid_out(figure)
