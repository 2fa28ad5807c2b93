"""Figures of a study as PNG, SVG, or PDF: learning curves, effects, gradient flow, learning rates, and time.

Each figure is a function that takes a study's summary, and its history where it needs one. It returns a matplotlib
Figure, or None if the study has nothing to show in it. Importing this package imports matplotlib, which is slow, so
import it only where a figure is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from dnntrain.analysis.summary import Summary
from dnntrain.reporting.figures.confusion import draw_confusion
from dnntrain.reporting.figures.curves import draw_learning_curves
from dnntrain.reporting.figures.effects import draw_effects, draw_score_against_time
from dnntrain.reporting.figures.gradients import draw_gradient_flow
from dnntrain.reporting.figures.rates import draw_learning_rates
from dnntrain.reporting.figures.series import read_history
from dnntrain.reporting.figures.style import check_format, rendered
from dnntrain.reporting.figures.training_size import draw_training_size
from dnntrain.utils.files import write_errors

__all__ = [
    "draw_all",
    "draw_confusion",
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


def save_figures(summaries: Sequence[Summary], folder: Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write every figure of every study as STUDY-FIGURE.FORMAT. The same records give the same bytes.

    Args:
        summaries: The studies.
        folder: Where to write; it is created if it does not exist.
        formats: File formats: png, svg or pdf.

    Returns:
        The paths of the files, in the order in which they were written.

    Raises:
        InputError: If a format is unknown or history.csv is damaged.
        DnntrainError: If the folder cannot be written to.
    """
    formats = [check_format(name) for name in formats]
    written = []
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, summary in zip(file_names(s.results.name for s in summaries), summaries, strict=True):
            for kind, figure in draw_all(summary):
                for suffix in formats:
                    path = folder / f"{name}-{kind}.{suffix}"
                    path.write_bytes(rendered(figure, suffix))
                    written.append(path)
    return written


def draw_all(summary: Summary) -> Iterator[tuple[str, Figure]]:
    """Yields each figure that the study has data for, with its name."""
    history = read_history(summary.results.folder)
    figures: dict[str, Callable[[], Figure | None]] = {
        "learning-curves": lambda: draw_learning_curves(summary, history),
        "effects": lambda: draw_effects(summary),
        "gradient-flow": lambda: draw_gradient_flow(summary, history),
        "learning-rates": lambda: draw_learning_rates(summary, history),
        "training-size": lambda: draw_training_size(summary),
        "confusion": lambda: draw_confusion(summary),
        "time": lambda: draw_score_against_time(summary),
    }
    for name, make in figures.items():
        figure = make()
        if figure is not None:
            yield name, figure


def file_names(names: Iterable[str]) -> list[str]:
    """Turns study names into distinct file names that are valid on every system."""
    unique_names: list[str] = []
    for name in names:
        plain = re.sub(r"[^\w+=,()-]+", "_", name).strip("_") or "study"
        number, unique = 1, plain
        while unique.casefold() in {other.casefold() for other in unique_names}:
            number += 1
            unique = f"{plain}-{number}"
        unique_names.append(unique)
    return unique_names
