"""Figures of a study, as PNG and SVG: how the arms learn, what they gain, where the gradient goes, what it costs.

Each figure is a function from a study's summary (and its history) to a matplotlib Figure, or None where the study has
nothing to show for it. matplotlib takes a moment to import: whoever needs no figure does not import this package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from dnntrain.reporting.figures.curves import draw_learning_curves
from dnntrain.reporting.figures.effects import DEFAULT_DELTA, DEFAULT_INTERVAL, draw_effects, draw_score_against_time
from dnntrain.reporting.figures.gradients import draw_gradient_flow
from dnntrain.reporting.figures.rates import draw_learning_rates
from dnntrain.reporting.figures.series import read_history
from dnntrain.reporting.figures.style import check_format, rendered
from dnntrain.reporting.figures.training_size import draw_training_size
from dnntrain.reporting.summary import Summary
from dnntrain.utils.files import write_errors

__all__ = [
    "draw_all",
    "draw_effects",
    "draw_gradient_flow",
    "draw_learning_curves",
    "draw_learning_rates",
    "draw_score_against_time",
    "draw_training_size",
    "read_history",
    "rendered",
    "save_figures",
]


def save_figures(
    summaries: Sequence[Summary],
    folder: Path,
    formats: Sequence[str] = ("png", "svg"),
    *,
    delta: float | None = None,
    interval: str | None = None,
) -> list[Path]:
    """Write every figure of every study as STUDY-FIGURE.FORMAT; the files, in order.

    The same records give the same bytes. `delta` is the difference that matters, in the metric's own unit (0.003 is
    0.3 points of accuracy); `interval` says what the arms' intervals are; both are the study's own if not given.
    """
    formats = [check_format(name) for name in formats]
    written = []
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, summary in zip(file_names(s.results.name for s in summaries), summaries, strict=True):
            for kind, figure in draw_all(summary, delta=delta, interval=interval):
                for suffix in formats:
                    path = folder / f"{name}-{kind}.{suffix}"
                    path.write_bytes(rendered(figure, suffix))
                    written.append(path)
    return written


def draw_all(
    summary: Summary, *, delta: float | None = None, interval: str | None = None
) -> Iterator[tuple[str, Figure]]:
    """The figures that the study has something to show for, each with its name."""
    if summary.family:
        delta = summary.family.delta if delta is None else delta
        interval = interval or f"simultaneous 95 % interval, {summary.family.method}"
    delta, interval = DEFAULT_DELTA if delta is None else delta, interval or DEFAULT_INTERVAL
    history = read_history(summary.results.folder)
    figures: dict[str, Callable[[], Figure | None]] = {
        "learning-curves": lambda: draw_learning_curves(summary, history),
        "effects": lambda: draw_effects(summary, delta, interval),
        "gradient-flow": lambda: draw_gradient_flow(summary, history),
        "learning-rates": lambda: draw_learning_rates(summary, history),
        "training-size": lambda: draw_training_size(summary),
        "time": lambda: draw_score_against_time(summary),
    }
    for name, make in figures.items():
        figure = make()
        if figure is not None:
            yield name, figure


def file_names(names: Iterable[str]) -> list[str]:
    """A name for each study's files: safe on every system, and no two alike."""
    given: list[str] = []
    for name in names:
        plain = re.sub(r"[^\w+=,()-]+", "_", name).strip("_") or "study"
        number, unique = 1, plain
        while unique.casefold() in {other.casefold() for other in given}:
            number += 1
            unique = f"{plain}-{number}"
        given.append(unique)
    return given
