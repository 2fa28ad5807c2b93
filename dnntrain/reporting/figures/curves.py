"""Learning curves: the validation metric by epoch, with a band over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dnntrain.analysis.summary import Summary
from dnntrain.analysis.training_losses import arms_by_training_loss
from dnntrain.metrics import TRAIN_LOSS, metric_of, validation_column
from dnntrain.reporting.figures.axis_labels import epochs_axis, label_ends, log_axis, margins, short_number, titled
from dnntrain.reporting.figures.series import (
    MAX_SEEDS_FOR_RANGE,
    Curve,
    baseline_mark,
    by_arm,
    divergences,
    mean_curve,
    omitted_note,
    select_arms,
)
from dnntrain.reporting.figures.style import (
    BLUE,
    FAINT,
    INK,
    MAX_PANELS,
    LineStyle,
    canvas,
    laid_out,
    line_styles,
    metric_label,
    metric_name,
    panels,
    scale,
    styled,
    subtitle,
)

MAX_ARMS_TOGETHER = 5
"""At most this many arms share axes; with more, each gets a panel."""

MAX_MARKED_EPOCHS = 20
"""With at most this many epochs, each is marked on the curve."""


@dataclass(frozen=True)
class AxisLimits:
    """Limits of the vertical axis."""

    low: float
    high: float
    beyond: int = 0
    """How many means lie above the axis."""
    logarithmic: bool = False


@dataclass(frozen=True)
class Curves:
    """All curves of one figure, in the units of its axis."""

    metric: str
    validation: Mapping[str, Curve]
    training: Mapping[str, Curve]
    diverged: Mapping[str, Sequence[tuple[int, float]]]
    """Epoch and value at which runs diverged."""
    seeds: int
    epochs: int
    limits: AxisLimits
    caption: str


@styled
def draw_learning_curves(summary: Summary, history: pd.DataFrame) -> Figure | None:
    """Draws validation (mean and band over seeds) and training by epoch; None without a history of the metric."""
    if validation_column(summary.metric) not in history:
        return None
    curves = collect(summary, history)
    if not curves.validation:
        return None
    texts = {"title": f"How does the {metric_name(curves.metric)} grow with training?", "subtitle": subtitle(summary)}
    if not metric_of(curves.metric).higher_is_better:
        texts["title"] = f"How does the {metric_name(curves.metric)} fall with training, and does it rise again?"
    if len(summary.arms) <= MAX_ARMS_TOGETHER:
        return draw_together(summary, curves, **texts)
    return draw_panels(summary, curves, **texts)


def collect(summary: Summary, history: pd.DataFrame) -> Curves:
    """The curves of every arm. A test metric is measured only at the end, so its validation curve is shown."""
    metric = validation_column(summary.metric)
    frames, seeds, factor = by_arm(history), len(summary.results.record.seeds), scale(metric)
    drawn = {arm.name: frames[arm.name] for arm in summary.arms if arm.name in frames}
    columns = (metric, training(metric))  # a metric that early stopping watches is not measured on the training part
    drawn = {
        name: frame.assign(**{column: frame.get(column, math.nan) * factor for column in columns})
        for name, frame in drawn.items()
    }
    validation = {name: mean_curve(frame, metric, seeds) for name, frame in drawn.items()}
    trained = {name: mean_curve(frame, training(metric), seeds) for name, frame in drawn.items()}
    diverged = divergences(summary, drawn, metric)
    limits = robust_limits(list(validation.values()), list(trained.values()), metric)
    differ = len(arms_by_training_loss(summary.results.record)) > 1
    return Curves(
        metric=metric,
        validation=validation,
        training=trained,
        diverged=diverged,
        epochs=max((int(c.epochs.max()) for c in validation.values()), default=0),
        limits=limits,
        seeds=seeds,
        caption=curves_caption(
            seeds, limits.beyond, pale=any(np.isfinite(c.mean[c.complete :]).any() for c in validation.values())
        )
        + (" Arrow: training goes on beyond the axis." if any(exit_of(c, limits) for c in trained.values()) else "")
        + (" ×: a run diverged." if diverged else "")
        + (" The arms' training losses differ in kind." if training(metric) == TRAIN_LOSS and differ else ""),
    )


def training(metric: str) -> str:
    """The same metric on the training part."""
    return metric.replace("val_", "train_")


def robust_limits(curves: Sequence[Curve], trained: Sequence[Curve], metric: str) -> AxisLimits:
    """Limits for the vertical axis that a few huge losses do not stretch, nor training curves.

    The axis is logarithmic if validation losses span more than a factor of ten. With many arms, only the ends of the
    training curves count, because their starts would leave little room for the rest.
    """
    means = finite_values(np.concatenate([c.mean for c in curves])) if curves else np.zeros(0)
    if not means.size:
        return AxisLimits(0.0, 1.0)
    is_share = metric_of(metric).is_share
    top, bottom = (math.inf, -math.inf) if is_share else (loss_fence(means), 0.0)
    bands = finite_values(np.concatenate([[*c.low, *c.high] for c in curves]))
    seen = np.concatenate([means[means <= top], bands[(bands > bottom) & (bands <= top)]])
    low, high, beyond = float(seen.min()), float(seen.max()), int((means > top).sum())
    start = 0 if len(curves) <= MAX_ARMS_TOGETHER else -1
    training = finite_values(np.concatenate([c.mean[start:] for c in trained]))
    if not is_share and 0 < 10 * low < high:
        low, high = np.exp(with_training(np.log([low, high]), np.log(training[training > 0])))
        return AxisLimits(float(low) / 1.2, float(high) * 1.2, beyond, logarithmic=True)
    low, high = with_training(np.array([low, high]), training)
    return AxisLimits(*margins(float(low), float(high)), beyond)


def with_training(limits: np.ndarray, training: np.ndarray) -> np.ndarray:
    """The limits (2,) of validation, extended to the training curves, of which validation keeps at least a third."""
    low, high = limits
    room = (high - low) or abs(high)
    ends = np.array([training.min(initial=low), training.max(initial=high)])
    extended: np.ndarray = ends.clip(low - room, high + room)
    return extended


def finite_values(values: np.ndarray) -> np.ndarray:
    """The finite values."""
    kept: np.ndarray = values[np.isfinite(values)]
    return kept


def loss_fence(losses: np.ndarray) -> float:
    """The loss above which a value is an outlier: Tukey's upper fence on a log scale, with the factor 5."""
    low, high = np.quantile(np.log10(losses.clip(min=1e-9)), [0.25, 0.75])
    return float(10 ** (high + 5 * max(high - low, 0.2)))


def curves_caption(seeds: int, beyond: int, *, pale: bool) -> str:
    """The figure's caption."""
    parts = [f"Thick: validation{', the mean over seeds' if seeds > 1 else ''}; thin dotted: training."]
    if seeds > 1:
        band = "lowest to highest" if seeds <= MAX_SEEDS_FOR_RANGE else "±1 standard deviation"
        parts.append(f"Band: {band} of {seeds} seeds.")
    if pale:
        parts.append("Pale: no longer all runs of the arm (stopped early or diverged).")
    if beyond:
        parts.append(f"{beyond} mean{' is' if beyond == 1 else 's are'} beyond the axis.")
    return " ".join(parts)


def draw_together(summary: Summary, curves: Curves, **texts: str) -> Figure:
    """All arms on the same axes, labeled at their ends."""
    figure = canvas(8.0, 4.2, caption=curves.caption, **texts)
    axes, look = figure.subplots(), line_styles(summary)
    prepare_axes(axes, curves)
    axes.set(xlabel="epoch", ylabel=metric_label(summary, curves.metric))
    for name in curves.validation:
        draw_arm(axes, curves, name, look[name])
    ends = [
        (float(c.epochs[k]), float(c.mean[k]), named(curves, name), look[name].color)
        for name, c in curves.validation.items()
        for k in np.flatnonzero(np.isfinite(c.mean))[-1:]
    ]
    label_ends(axes, ends)
    return laid_out(figure)


def draw_panels(summary: Summary, curves: Curves, **texts: str) -> Figure:
    """A panel for each arm, with the others in gray behind it and the baseline dashed."""
    shown = [arm for arm in select_arms(summary, MAX_PANELS) if arm.name in curves.validation]
    caption = f"{curves.caption} Gray: the other arms."
    if summary.baseline in curves.validation:
        caption += f" Black, dashed: {summary.baseline}."
    labels = ("epoch", metric_label(summary, curves.metric))
    caption += omitted_note(summary, shown)
    figure, grid = panels(len(shown), (2.3, 1.75), labels, same=True, caption=caption, **texts)
    for axes, arm in zip(grid, shown, strict=True):
        prepare_axes(axes, curves)
        for other in curves.validation.values():
            axes.plot(other.epochs, other.mean, color=FAINT, linewidth=0.7, zorder=1)
        if summary.baseline in curves.validation and arm.name != summary.baseline:
            base = curves.validation[str(summary.baseline)]
            axes.plot(base.epochs, base.mean, color=INK, linewidth=1, linestyle=(0, (3, 2)), zorder=2)
        own = LineStyle(INK if arm.name == summary.baseline else BLUE, "solid", "o")
        draw_arm(axes, curves, arm.name, own)
        axes.set_title(named(curves, arm.name, baseline_mark(arm.name, summary)), color=own.color)
    return laid_out(figure)


def named(curves: Curves, arm: str, more: str = "") -> str:
    """The arm's label, with the number of diverged runs."""
    count = len(curves.diverged.get(arm, ()))
    return titled(arm, more + (f"\n{count} of {curves.seeds} diverged" if count else ""))


def prepare_axes(axes: Axes, curves: Curves) -> None:
    """Sets up limits, ticks, and grid."""
    epochs_axis(axes, curves.epochs)
    if curves.limits.logarithmic:
        log_axis(axes, "y", math.log10(curves.limits.high / curves.limits.low))
    else:
        axes.yaxis.set_major_formatter(lambda value, _: short_number(value))
    axes.set_ylim(curves.limits.low, curves.limits.high)
    axes.grid(axis="y")


def draw_arm(axes: Axes, curves: Curves, name: str, look: LineStyle) -> None:
    """Draws one arm: the band, both curves, and a cross where a run diverged."""
    own, trained = curves.validation[name], curves.training[name]
    axes.fill_between(
        own.epochs,
        own.low,
        own.high,
        color=look.color,
        alpha=0.1 if look.color == INK else 0.18,
        linewidth=0,
        zorder=2,
    )
    axes.plot(trained.epochs, trained.mean, color=look.color, linestyle=":", linewidth=0.9, zorder=3)
    if left := exit_of(trained, curves.limits):
        epoch, edge, arrow = left
        axes.plot([epoch], [edge], arrow, color=look.color, markersize=4.5, clip_on=False, zorder=3)
    marker = look.marker if curves.epochs <= MAX_MARKED_EPOCHS or len(own.epochs) == 1 else ""
    whole = slice(0, own.complete)
    rest = slice(max(own.complete - 1, 0), None)
    for part, alpha in ((whole, 1.0), (rest, 0.35)) if own.complete < len(own.epochs) else ((whole, 1.0),):
        (line,) = axes.plot(own.epochs[part], own.mean[part], linestyle=look.dash, color=look.color, alpha=alpha)
        line.set(marker=marker, markersize=3, linewidth=1.4, zorder=4, label=name)
    for epoch, value in curves.diverged.get(name, ()):
        worst = curves.limits.low if metric_of(curves.metric).higher_is_better else curves.limits.high
        at = min(value, curves.limits.high) if np.isfinite(value) else worst
        axes.plot([epoch], [at], "x", color=look.color, markersize=7, markeredgewidth=1.8, clip_on=False, zorder=5)


def exit_of(curve: Curve, limits: AxisLimits) -> tuple[float, float, str] | None:
    """Where a curve leaves the axis for good: the epoch, the edge, and an arrow as marker; None if it ends inside."""
    epochs, values = (part[np.isfinite(curve.mean)] for part in (curve.epochs, curve.mean))
    is_inside = (values >= limits.low) & (values <= limits.high)
    if not values.size or is_inside[-1]:
        return None
    first = int(np.flatnonzero(is_inside)[-1]) + 1 if is_inside.any() else 0
    edge, arrow = (limits.low, "v") if values[-1] < limits.low else (limits.high, "^")
    return float(epochs[first]), edge, arrow
