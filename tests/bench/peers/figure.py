"""The ratios as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dnntrain.reporting.figures.style import BLUE, GREEN, ORANGE, PURPLE, SKY, SOFT, VERMILLION, styled
from tests.bench.peers.report import OURS, Result, heading, number

COLOURS = {OURS: BLUE, "Keras (TF)": VERMILLION, "Keras (JAX)": ORANGE, "Lightning": PURPLE,
           "PyTorch, DataLoader": GREEN, "PyTorch, tensors": SKY}  # fmt: skip


@styled
def save_figure(results: Sequence[Result], target: Path) -> None:
    """A panel for each workload: how many times as long as dnntrain each contender takes, on a logarithmic axis."""
    import matplotlib.pyplot as plt

    heights = [len(result.rows) for result in results]
    figure, panels = plt.subplots(
        len(results), figsize=(7.5, 0.9 * len(results) + 0.22 * sum(heights)), height_ratios=heights, sharex=True,
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for axes, result in zip(panels.flat, results, strict=True):
        names = [row.name for row in result.rows]
        labels = [f"{times(row.ratio)}   ({number(row.timing.seconds)} s)" for row in result.rows]
        bars = axes.barh(names, [row.ratio for row in result.rows], color=[colour(name) for name in names], height=0.72)
        axes.bar_label(bars, labels, padding=3)
        axes.set(xscale="log", title=heading(result).splitlines()[0].rstrip(","))
        axes.invert_yaxis()
    panels.flat[-1].set_xlabel("times as long as dnntrain", color=SOFT)
    panels.flat[-1].xaxis.set_major_formatter("{x:g} ×")
    ratios = [row.ratio for result in results for row in result.rows]
    panels.flat[-1].set_xlim(min(ratios) / 2, max(ratios) * 5)  # with room for the labels
    figure.savefig(target, dpi=100)


def colour(name: str) -> str:
    """One colour for each framework."""
    return next(colour for start, colour in COLOURS.items() if name.startswith(start))


def times(ratio: float) -> str:
    """27 × or 2.7 ×."""
    return f"{ratio:.0f} ×" if ratio >= 10 else f"{ratio:.2g} ×"
