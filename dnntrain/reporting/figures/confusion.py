"""Confusion matrices as heat maps, one for each arm."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dnntrain.analysis.per_class import ArmClasses
from dnntrain.analysis.summary import Summary
from dnntrain.reporting.figures.series import omitted_note, select_arms
from dnntrain.reporting.figures.style import INK, MAX_PANELS, SMALL, canvas, laid_out, styled, subtitle

MOST_COLUMNS = 4
MOST_NUMBERED = 12
"""With more classes than this, cells have no numbers."""
MOST_CLASSES_NAMED = 30
"""With more classes than this, they are not named."""


@styled
def draw_confusion(summary: Summary) -> Figure | None:
    """Draws what each class is predicted as, in percent of its examples; None without such predictions."""
    shown = select_arms(summary, MAX_PANELS)
    by_name = {arm.arm: arm for arm in summary.classes}
    arms = [by_name[arm.name] for arm in shown if arm.name in by_name]
    if not arms:
        return None
    size = min(6.0, max(2.6, 0.42 * max(len(arm.classes) for arm in arms) + 1.2))
    part = {"val": "validation"}.get(arms[0].part, arms[0].part)
    columns = min(MOST_COLUMNS, len(arms))
    rows = -(-len(arms) // columns)
    caption = f"Percent of each true class on the {part} part, the mean over an arm's runs."
    figure = canvas(
        max(6.0, columns * size + 0.6), rows * size + 0.3,
        "Which classes are confused?", subtitle(summary), caption + omitted_note(summary, shown),
    )  # fmt: skip
    grid = figure.subplots(rows, columns, squeeze=False).ravel().tolist()  # arms may have other classes: no shared axes
    for axes, arm in zip(grid, arms, strict=False):
        draw_matrix(axes, arm)
    for empty in grid[len(arms) :]:
        empty.remove()
    for leftmost in grid[: len(arms) : columns]:
        leftmost.set_ylabel("true class", fontsize=SMALL)
    for lowest in grid[max(0, len(arms) - columns) : len(arms)]:
        lowest.set_xlabel("predicted class", fontsize=SMALL)
    return laid_out(figure)


def draw_matrix(axes: Axes, arm: ArmClasses) -> None:
    """Draws one arm's matrix, with its numbers if there is room."""
    percent = 100 * arm.confusion / np.maximum(arm.support, 1)[:, None]
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    axes.set_title(arm.arm)
    axes.spines[:].set_visible(False)
    places = range(len(arm.classes)) if len(arm.classes) <= MOST_CLASSES_NAMED else []
    names = [arm.classes[place] for place in places]
    axes.set_xticks(places, names, rotation=90)
    axes.set_yticks(places, names)
    axes.tick_params(length=0, labelbottom=True)
    if len(arm.classes) <= MOST_NUMBERED:
        for (row, column), value in np.ndenumerate(percent):
            ink = "white" if value > 60 else INK
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=SMALL, color=ink)
