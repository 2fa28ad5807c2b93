"""Interaction plots of a factorial design: the metric by the levels of one factor, a line for each level of another."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dnntrain.analysis.designs import crosses_factors, named_levels
from dnntrain.analysis.summary import Summary
from dnntrain.reporting.figures.axis_labels import titled
from dnntrain.reporting.figures.series import MAX_SEEDS_FOR_RANGE, lost_runs_note
from dnntrain.reporting.figures.style import (
    MAX_PANELS,
    SMALL,
    canvas,
    laid_out,
    metric_label,
    named_styles,
    scale,
    styled,
    subtitle,
)

Levels = Mapping[str, Mapping[str, str]]
"""By arm, the level of each factor."""

MOST_NARROW = 6
"""With more levels than this on the horizontal axis, their names are turned."""


@styled
def draw_interactions(summary: Summary) -> Figure | None:
    """Draws a panel for each pair of factors; None for designs that do not cross several factors."""
    if not crosses_factors(summary.results.record):
        return None
    levels = named_levels(summary.results.record)
    factors = list(next(iter(levels.values())))
    pairs = [*combinations(factors, 2)][:MAX_PANELS]
    several = len(summary.results.record.seeds) > 1
    few = len(summary.results.record.seeds) <= MAX_SEEDS_FOR_RANGE
    bars = f"; bars: {'from the lowest to the highest seed' if few else '±1 standard deviation over the seeds'}"
    others = ", over the levels of the other factors" if len(factors) > 2 else ""
    caption = f"Means over the seeds{others}{bars if several else ''}. Parallel lines: no interaction."
    columns = min(2, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = canvas(
        max(6.5, 5.4 * columns),
        3.4 * rows + 0.3,
        title="How do the factors act together?",
        subtitle=subtitle(summary),
        caption=" ".join([caption, *lost_runs_note(summary)]),
    )
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel().tolist()
    for axes, (first, second) in zip(grid, pairs, strict=False):
        draw_pair(axes, first, second, levels, summary, few)
    for empty in grid[len(pairs) :]:
        empty.remove()
    for leftmost in grid[: len(pairs) : columns]:
        leftmost.set_ylabel(metric_label(summary, summary.metric))
    return laid_out(figure)


def draw_pair(axes: Axes, first: str, second: str, levels: Levels, summary: Summary, few: bool) -> None:
    """Draws the factor with more levels on the horizontal axis, and a line for each level of the other."""
    by_factor = {
        factor: list(dict.fromkeys(levels[arm.name][factor] for arm in summary.results.record.arms))
        for factor in (first, second)
    }
    across, lines = sorted(by_factor, key=lambda factor: -len(by_factor[factor]))
    places = np.arange(len(by_factor[across]))
    reference = levels.get(str(summary.baseline), {}).get(lines, by_factor[lines][0])
    styles = named_styles(by_factor[lines], reference)
    for number, level in enumerate(by_factor[lines]):
        style = styles[level]
        cells = [cell(summary, levels, {across: place, lines: level}, few) for place in by_factor[across]]
        means, low, high = np.array(cells).T * scale(summary.metric)
        shifted = places + 0.04 * (number - (len(by_factor[lines]) - 1) / 2)  # so that bars do not hide each other
        axes.errorbar(
            shifted, means, [means - low, high - means], color=style.color, linestyle=style.dash, marker=style.marker,
            elinewidth=1, capsize=2, label=level,
        )  # fmt: skip
    turned = len(places) > MOST_NARROW
    names = [titled(name, wide=14) for name in by_factor[across]]
    axes.set_xticks(places, names, rotation=90 if turned else 0)
    axes.set_xlabel(across)
    axes.grid(axis="y")
    axes.legend(title=lines, frameon=False, fontsize=SMALL, loc="center left", bbox_to_anchor=(1, 0.5))


def cell(summary: Summary, levels: Levels, wanted: Mapping[str, str], few: bool) -> tuple[float, float, float]:
    """The mean over the arms of these levels, and the ends of its bar over the seeds that all of them have."""
    arms = [arm.values for arm in summary.arms if wanted.items() <= levels[arm.name].items()]
    seeds = set.intersection(*(set(values) for values in arms)) if arms else set()
    by_seed = np.array([np.mean([values[seed] for values in arms]) for seed in sorted(seeds)])
    if not by_seed.size:
        return np.nan, np.nan, np.nan
    mean = float(by_seed.mean())
    if few or by_seed.size < 2:
        return mean, float(by_seed.min()), float(by_seed.max())
    spread = float(by_seed.std(ddof=1))
    return mean, mean - spread, mean + spread
