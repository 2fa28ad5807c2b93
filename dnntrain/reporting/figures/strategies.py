"""The steps of a transfer as a flow chart, with the measured means."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dnntrain.analysis.summary import Summary
from dnntrain.analysis.transfer import StrategyArms, steps_taken
from dnntrain.reporting import formatting
from dnntrain.reporting.figures.series import lost_runs_note
from dnntrain.reporting.figures.style import BLUE, INK, SMALL, SOFT, canvas, laid_out, metric_label, styled, subtitle

LINE_HEIGHT = 0.16
"""The height of a line of text, in inches."""


BOX_GAP = 0.2
"""The distance of two boxes, in inches."""
STEM, BRANCH = 0.04, 0.08
"""Where the arrows run, and the left end of the boxes of another top, as shares of the width."""


@styled
def draw_strategies(summary: Summary) -> Figure | None:
    """Draws a box for each step, from scratch on; None for studies that do not compare strategies of a transfer.

    The arrows are those of the flow chart of Huang, "Training Deep Neural Networks", Fig. 3: freeze; unfreeze; then
    drop layers where data are few, or replace and add some where they are many.
    """
    steps = [list(arms) for _, arms in groupby(steps_taken(summary), key=lambda arm: arm.step)]
    if not steps:
        return None
    heights = [LINE_HEIGHT * (2.6 + len(arms)) for arms in steps]
    sizes = list(dict.fromkeys(size for arms in steps for arm in arms for size in arm.by_size))
    figure = canvas(
        5.2 + 0.9 * len(sizes),
        sum(heights) + BOX_GAP * len(steps),
        title="The steps of a transfer, measured",
        subtitle=subtitle(summary),
        caption=" ".join(
            [
                f"{metric_label(summary, summary.metric)}: mean ± standard deviation over the seeds.",
                *lost_runs_note(summary),
            ]
        ),
    )
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(sum(heights) + BOX_GAP * len(steps), 0)
    columns = {size: 0.98 - 0.6 / max(len(sizes), 3) * i for i, size in enumerate(reversed(sizes))}
    for size, x in columns.items():
        axes.text(
            x, LINE_HEIGHT, f"{size:,} examples" if size else "", fontsize=SMALL, color=SOFT, va="center", ha="right"
        )
    top, stem = 0.0, 0.0
    arrow = {"arrowstyle": "->", "color": SOFT, "shrinkA": 0, "shrinkB": 0}
    for arms, height in zip(steps, heights, strict=True):
        is_branch = arms[0].name.split()[0] in ("drop", "replace", "add")
        draw_step(axes, arms, summary, top, height, columns, left=BRANCH if is_branch else 0)
        if is_branch:
            axes.plot((STEM, STEM), (stem, top + LINE_HEIGHT), color=SOFT, linewidth=1)
            axes.annotate("", (BRANCH, top + LINE_HEIGHT), (STEM, top + LINE_HEIGHT), arrowprops=arrow)
        else:
            if stem:
                axes.annotate("", (STEM, top), (STEM, stem), arrowprops=arrow)
            stem = top + height
        top += height + BOX_GAP
    return laid_out(figure)


def draw_step(
    axes: Axes,
    arms: list[StrategyArms],
    summary: Summary,
    top: float,
    height: float,
    columns: Mapping[int, float],
    left: float,
) -> None:
    """Draws a step's box, with a line for each of its strategies."""
    axes.add_patch(Rectangle((left, top), 1 - left, height, facecolor="none", edgecolor=BLUE, linewidth=0.8))
    axes.text(left + 0.02, top + LINE_HEIGHT, arms[0].step, color=INK, fontweight="bold", va="center")
    for i, strategy in enumerate(arms):
        y = top + LINE_HEIGHT * (2.3 + i)
        axes.text(left + 0.04, y, strategy.name, fontsize=SMALL, va="center")
        for size, arm in strategy.by_size.items():
            axes.text(columns[size], y, formatting.spread(arm, summary.metric), fontsize=SMALL, va="center", ha="right")
