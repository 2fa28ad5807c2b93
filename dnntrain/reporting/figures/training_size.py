"""The metric by number of training examples, from scratch and with each strategy of a transfer."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from dnntrain.analysis.arm_names import SCRATCH
from dnntrain.analysis.arm_summary import ArmSummary
from dnntrain.analysis.summary import Summary
from dnntrain.analysis.transfer import sized_pairs
from dnntrain.reporting.figures.series import MAX_SEEDS_FOR_RANGE, lost_runs_note
from dnntrain.reporting.figures.style import (
    SMALL,
    canvas,
    laid_out,
    metric_label,
    named_styles,
    scale,
    styled,
    subtitle,
)  # fmt: skip


@styled
def draw_training_size(summary: Summary) -> Figure | None:
    """Draws scratch and each strategy, with bands over seeds if there is only one; None for other studies."""
    pairs = sized_pairs(summary)
    sizes = list(dict.fromkeys(pair.size for pair in pairs))
    if len(sizes) < 2:
        return None
    by_strategy = {SCRATCH: {pair.size: pair.scratch for pair in pairs}}
    for pair in pairs:
        by_strategy.setdefault(pair.strategy, {})[pair.size] = pair.transfer
    few = max(len(pair.transfer.values) for pair in pairs) <= MAX_SEEDS_FOR_RANGE
    band = "bands from the lowest to the highest seed" if few else "bands are ±1 standard deviation over the seeds"
    one = len(by_strategy) == 2
    caption = " ".join([f"Means over the seeds; {band}." if one else "Means over the seeds.", *lost_runs_note(summary)])
    title = "How much data does the transfer save?" if one else "Which strategy, with how many examples?"
    figure = canvas(7.0, 4.0 if one else 5.0, title=title, subtitle=subtitle(summary), caption=caption)
    axes, factor = figure.subplots(), scale(summary.metric)
    styles = named_styles([*by_strategy], SCRATCH)
    for name, arms in by_strategy.items():
        style, means = styles[name], [arm.mean * factor for arm in arms.values()]
        if one:
            low, high = zip(*(band_ends(arm, few, factor) for arm in arms.values()), strict=True)
            axes.fill_between([*arms], low, high, color=style.color, alpha=0.15, linewidth=0)
        dash = "solid" if one else style.dash
        axes.plot([*arms], means, color=style.color, linestyle=dash, marker=style.marker, label=name)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{size:,}" for size in sizes])
    axes.set_xlabel("training examples (logarithmic)")
    axes.set_ylabel(metric_label(summary, summary.metric))
    if one:
        axes.legend(frameon=False)
    else:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=SMALL)
    return laid_out(figure)


def band_ends(arm: ArmSummary, few: bool, factor: float) -> tuple[float, float]:
    """The ends of an arm's band at one size."""
    values = np.array(list(arm.values.values())) * factor
    if not values.size:
        return float("nan"), float("nan")
    if few or values.size < 2:
        return float(values.min()), float(values.max())
    return float(values.mean() - values.std(ddof=1)), float(values.mean() + values.std(ddof=1))
