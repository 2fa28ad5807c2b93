"""Gradient flow: the norm of the gradient by layer and epoch, and at the last finite steps of runs that diverge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from dnntrain.analysis.arm_summary import ArmSummary
from dnntrain.analysis.example_errors import MOST_RUNS_READ
from dnntrain.analysis.sensitivity import finite_gradients
from dnntrain.analysis.summary import Summary
from dnntrain.reporting.figures.axis_labels import power_of_ten, titled
from dnntrain.reporting.figures.series import by_arm, gradients, layer_labels, mean_log, omitted_note, select_arms
from dnntrain.reporting.figures.style import MAX_PANELS, laid_out, panels, styled, subtitle
from dnntrain.store.records import HEALTHY, NOT_JUDGED

COLORMAP = "cividis"
"""Perceptually uniform, so it works in grayscale and for readers with color blindness (Nuñez et al. 2018)."""

USUAL, EXTREME = (-3.0, 2.0), (-6.0, 6.0)
"""Exponents of ten that the color scale always covers, so that figures are comparable, and those it never exceeds.
Gradients beyond them have vanished or exploded by any measure, and a longer scale would make all others look alike."""

STRIPES, DOTS = "////", "...."
"""Hatching of cells whose gradient is not finite, and of those where it is zero."""


@styled
def draw_gradient_flow(summary: Summary, history: pd.DataFrame) -> Figure | None:
    """Draws a heat map per arm: log10 of the gradient's norm by layer and epoch; None without a history."""
    frames = by_arm(history)
    flows = {arm.name: gradients(frames[arm.name]) for arm in summary.arms if arm.name in frames}
    flows = {name: flow for name, flow in flows.items() if flow.size}
    shown = [arm for arm in select_arms(summary, MAX_PANELS) if arm.name in flows]
    if not shown:
        return None
    steps = finite_steps(summary, flows)
    drawn = [*flows.values(), *(own for by_epoch in steps.values() for own in by_epoch.values())]
    names = {arm.name: layer_labels(frames[arm.name]) for arm in shown}
    layers, epochs = (max(flow.shape[k] for flow in flows.values()) for k in (0, 1))
    figure, grid = panels(
        len(shown),
        (2.3, max(1.7, min(0.5 + 0.11 * layers, 3.4))),
        ("epoch", "layer (1 is the lowest)" if all(named[0] == "1" for named in names.values()) else "layer"),
        same=len({*map(tuple, names.values())}) == 1,
        title="Does the gradient reach the lowest layer?",
        subtitle=subtitle(summary),
        caption=gradient_caption(drawn, has_steps=bool(steps)) + omitted_note(summary, shown),
    )
    colors = Normalize(*span(drawn))
    for axes, arm in zip(grid, shown, strict=True):
        image = heat_map(axes, flows[arm.name], names[arm.name], colors)
        for epoch, own in steps.get(arm.name, {}).items():
            draw_steps(axes, own, epoch, colors)
        axes.set_xlim(0.5, epochs + 0.5)
        axes.set_xticks(whole_ticks(epochs))
        axes.set_title(titled(arm.name, health_label(arm)))
    bar = figure.colorbar(image, ax=grid, label="gradient norm", fraction=0.05, aspect=30, extend="both")
    bar.ax.yaxis.set_major_formatter(lambda exponent, _: power_of_ten(exponent))
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    return laid_out(figure)


def finite_steps(summary: Summary, flows: Mapping[str, np.ndarray]) -> dict[str, dict[int, np.ndarray]]:
    """What to draw for the epochs in which all runs of an arm diverged: (layers, steps) as in `gradients`.

    Args:
        summary: The study.
        flows: By arm, (layers, epochs).

    Returns:
        By arm and epoch. Empty for studies of very many runs, whose records are not read.
    """
    if len(summary.results.runs) > MOST_RUNS_READ:
        return {}
    found = {
        arm: {
            epoch: np.array([mean_log(norms) for norms in steps]).T
            for epoch, steps in by_epoch.items()
            if np.isnan(flows[arm][:, epoch - 1]).all()
        }
        for arm, by_epoch in finite_gradients(summary.results).items()
        if arm in flows
    }
    return {arm: by_epoch for arm, by_epoch in found.items() if by_epoch}


def gradient_caption(flows: Iterable[np.ndarray], has_steps: bool) -> str:
    """The figure's caption.

    Args:
        flows: What the arms' panels show.
        has_steps: Whether finite steps of diverged runs are drawn.
    """
    values = np.concatenate([flow.ravel() for flow in flows])
    parts = [
        "Norm of each layer's gradient before clipping, on a log scale: geometric mean over the runs that have one."
    ]
    parts.append("Darker from layer to layer downwards: it vanishes; brightest: it explodes.")
    if np.isneginf(values).any():
        parts.append("Dots: exactly zero.")
    if has_steps:
        parts.append("An epoch in which all runs diverged is divided into their last finite steps.")
    if np.isnan(values).any():
        parts.append("Stripes: no gradient (the layer is frozen), or not finite (diverged).")
    return " ".join(parts)


def span(flows: list[np.ndarray]) -> tuple[float, float]:
    """The exponents that the shared color scale spans."""
    values = np.concatenate([flow.ravel() for flow in flows])
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else USUAL
    return max(min(low, USUAL[0]), EXTREME[0]), min(max(high, USUAL[1]), EXTREME[1])


def heat_map(axes: Axes, flow: np.ndarray, names: Sequence[str], colors: Normalize) -> AxesImage:
    """Draws one arm's panel, the lowest layer at the bottom."""
    layers, epochs = flow.shape
    box = (0.5, epochs + 0.5, 0.5, layers + 0.5)
    how: dict[str, Any] = {"origin": "lower", "aspect": "auto", "extent": box, "interpolation": "nearest"}
    hatch(axes, np.isnan(flow), STRIPES)
    hatch(axes, np.isneginf(flow), DOTS)
    finite = np.ma.masked_where(~np.isfinite(flow), flow)
    image = axes.imshow(finite, cmap=COLORMAP, norm=colors, **how)
    ticks = [*whole_ticks(layers - 1), layers]
    axes.set_yticks(ticks, [names[tick - 1] for tick in ticks])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    return image


def draw_steps(axes: Axes, steps: np.ndarray, epoch: int, colors: Normalize) -> None:
    """Draws the steps (layers, steps) of an epoch side by side in the epoch's column."""
    box = (epoch - 0.5, epoch + 0.5, 0.5, len(steps) + 0.5)
    shown = np.ma.masked_where(~np.isfinite(steps), steps)
    how: dict[str, Any] = {"origin": "lower", "aspect": "auto", "extent": box, "interpolation": "nearest"}
    axes.imshow(shown, cmap=COLORMAP, norm=colors, zorder=2, **how)  # on top of the hatching


def hatch(axes: Axes, where: np.ndarray, pattern: str) -> None:
    """Fills the cells where a mask (layers, epochs) is true with a hatching pattern."""
    cells = [Rectangle((epoch + 0.5, layer + 0.5), 1, 1) for layer, epoch in np.argwhere(where)]
    if cells:
        drawn = PatchCollection(cells, facecolor="white", edgecolor="#777777", linewidth=0)
        drawn.set(hatch=pattern, label=pattern)
        axes.add_collection(drawn)


def whole_ticks(last: int) -> list[int]:
    """Tick positions from 1 to `last`: 1, 5, 10, 15, …"""
    step = next((s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500) if last <= 5 * s), max(last // 5, 1))
    return sorted({1, *range(step, last + 1, step)} if last else set())


def health_label(arm: ArmSummary) -> str:
    """A second title line with the diagnoses of the arm's runs."""
    total = sum(arm.health.values())
    problems = [f"{state} {count}/{total}" for state, count in arm.health.items() if state not in (HEALTHY, NOT_JUDGED)]
    return "\n" + (", ".join(problems) if problems else NOT_JUDGED if NOT_JUDGED in arm.health else HEALTHY)
