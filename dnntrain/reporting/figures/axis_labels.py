"""Axes and labels: number formats, logarithmic axes, and line labels that do not overlap."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from dnntrain.reporting.figures.style import NORMAL

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(exponent: float) -> str:
    """Formats a power of ten: '10⁻³' for -3."""
    return "10" + f"{exponent:.0f}".translate(SUPERSCRIPT)


def short_number(value: float) -> str:
    """Formats a number for an axis: 0.02, 1, 100. Below 1e-3 and from 1e5: 10⁻⁵ or 3×10⁻⁵."""
    if value <= 0 or 1e-3 <= value < 1e5:
        return f"{value:g}"
    digits, _, exponent = f"{value:.0e}".partition("e")
    return ("" if digits == "1" else f"{digits}×") + power_of_ten(int(exponent))


def darker(color: str) -> tuple[float, ...]:
    """A darker version of a line's color for text, which needs more contrast."""
    return tuple(0.7 * part for part in to_rgb(color))


def log_axis(axes: Axes, which: Literal["x", "y"], decades: float) -> None:
    """Makes an axis logarithmic, labeled 1, 2, 5, 10, …, or with powers of ten only if it spans 2.5 decades or more."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axis.set_minor_formatter(NullFormatter())


def titled(name: str, more: str = "", wide: int = 27) -> str:
    """Wraps an arm's name to `wide` characters, followed by `more`."""
    return textwrap.fill(name + more.split("\n")[0], wide) + "".join(f"\n{line}" for line in more.split("\n")[1:])


def margins(low: float, high: float) -> tuple[float, float]:
    """Adds a margin of 4 % at both ends."""
    margin = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def middle_values(values: Sequence[float], spreads: Sequence[float]) -> np.ndarray:
    """Which values an axis should be scaled to, so that a few that are far off do not squeeze the rest.

    Those within three interquartile ranges of the middle half count (Tukey 1977, "Exploratory Data Analysis", 2D: "far
    out" are all others). Where the middle half is narrower than its values are sure, their own spread counts instead.

    Args:
        values: What is drawn, finite.
        spreads: The half width of each one's error bar; nan without one.

    Returns:
        Whether each value is within, bool (values,).
    """
    drawn, bars = np.array(values), np.nan_to_num(np.array(spreads))
    low, high = np.quantile(drawn, [0.25, 0.75])
    reach = 3 * max(high - low, 2 * float(np.median(bars)))
    within: np.ndarray = (drawn >= low - reach) & (drawn <= high + reach)
    return within


def epochs_axis(axes: Axes, epochs: int) -> None:
    """Sets up a horizontal axis of whole epochs, with a margin at both ends."""
    axes.set_xlim(1 - 0.04 * max(epochs - 1, 1), epochs + 0.04 * max(epochs - 1, 1))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Labels lines to the right of the axes, without overlap.

    Args:
        axes: The axes, with their final limits.
        ends: The end of each line as (x, y, text, color).
    """
    if not ends:
        return
    place = axes.transData + axes.transAxes.inverted()
    low, high = axes.get_ylim()
    inside = [(x, min(max(y, low), high), text, color) for x, y, text, color in ends]
    marked = sorted((float(place.transform((x, y))[1]), x, y, text, color) for x, y, text, color in inside)
    height = axes.figure.bbox.height / axes.figure.dpi - 1.2  # inches left by title, caption, and labels, roughly
    heights = [1.35 * NORMAL / 72 / height * (1 + text.count("\n")) for _, _, _, text, _ in marked]
    for (_, x, y, text, color), at in zip(marked, place_labels([m[0] for m in marked], heights), strict=True):
        axes.annotate(
            text,
            (x, y),
            xytext=(1.03, at),
            textcoords="axes fraction",
            va="center",
            color=darker(color),
            arrowprops={"arrowstyle": "-", "color": "#aaaaaa", "linewidth": 0.6, "shrinkA": 1, "shrinkB": 3},
            annotation_clip=False,
        )


def place_labels(wanted: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """Moves labels apart so that none overlap, with the least squared displacement.

    This is isotonic regression, solved by pooling adjacent violators (Barlow et al. 1972).

    Args:
        wanted: The preferred centers, ascending.
        sizes: The labels' heights, in the same unit.
    """
    steps = [0.0, *accumulate((below + above) / 2 for below, above in pairwise(sizes))][: len(sizes)]
    pools: list[tuple[float, int]] = []
    for target, step in zip(wanted, steps, strict=True):
        pools.append((target - step, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, m), (b, n) = pools[-2:]
            pools[-2:] = [((a * m + b * n) / (m + n), m + n)]
    placed = [center for center, count in pools for _ in range(count)]
    return [center + step for center, step in zip(placed, steps, strict=True)]
