"""The metric by number of training examples, with transfer and from scratch."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from dnntrain.analysis.arm_summary import ArmSummary
from dnntrain.analysis.summary import Summary
from dnntrain.analysis.transfer import sized_pairs
from dnntrain.reporting.figures.series import MAX_SEEDS_FOR_RANGE, lost_runs_note
from dnntrain.reporting.figures.style import (
    BLUE,
    INK,
    canvas,
    laid_out,
    metric_label,
    scale,
    styled,
    subtitle,
)  # fmt: skip


@styled
def draw_training_size(summary: Summary) -> Figure | None:
    """Draws both curves with bands over seeds; None for studies that do not vary the training size."""
    pairs = sized_pairs(summary)
    if len(pairs) < 2:
        return None
    few = max(len(pair.transfer.values) for pair in pairs) <= MAX_SEEDS_FOR_RANGE
    band = "bands from the lowest to the highest seed" if few else "bands are ±1 standard deviation over the seeds"
    figure = canvas(7.0, 4.0, title="How much data does the transfer save?", subtitle=subtitle(summary),
                    caption=" ".join([f"Means over the seeds; {band}.", *lost_runs_note(summary)]))  # fmt: skip
    axes, factor = figure.subplots(), scale(summary.metric)
    sizes = [pair.size for pair in pairs]
    sides = {"transfer": (BLUE, "o", [p.transfer for p in pairs]), "scratch": (INK, "s", [p.scratch for p in pairs])}
    for name, (color, marker, arms) in sides.items():
        means = [arm.mean * factor for arm in arms]
        low, high = zip(*(band_ends(arm, few, factor) for arm in arms), strict=True)
        axes.fill_between(sizes, low, high, color=color, alpha=0.15, linewidth=0)
        axes.plot(sizes, means, color=color, marker=marker, label=name)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{size:,}" for size in sizes])
    axes.set_xlabel("training examples (logarithmic)")
    axes.set_ylabel(metric_label(summary, summary.metric))
    axes.legend(frameon=False)
    return laid_out(figure)


def band_ends(arm: ArmSummary, few: bool, factor: float) -> tuple[float, float]:
    """The ends of an arm's band at one size."""
    values = np.array(list(arm.values.values())) * factor
    if not values.size:
        return float("nan"), float("nan")
    if few or values.size < 2:
        return float(values.min()), float(values.max())
    return float(values.mean() - values.std(ddof=1)), float(values.mean() + values.std(ddof=1))
