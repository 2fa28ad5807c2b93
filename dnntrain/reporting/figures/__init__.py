"""Figures of a study as PNG, SVG, or PDF, from learning curves to confusion matrices; `FIGURE_KINDS` has them all.

Each figure is a function that takes a study's summary, and its history where it needs one. It returns a matplotlib
Figure, or None if the study has nothing to show in it. Importing this package imports matplotlib, which is slow, so
import it only where a figure is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from dnntrain.analysis.per_class import classes_by_arm
from dnntrain.analysis.summary import Summary
from dnntrain.errors import InputError, nearest
from dnntrain.reporting.figures.confusion import draw_confusion
from dnntrain.reporting.figures.curves import draw_learning_curves
from dnntrain.reporting.figures.effects import draw_effects
from dnntrain.reporting.figures.gradients import draw_gradient_flow
from dnntrain.reporting.figures.interactions import draw_interactions
from dnntrain.reporting.figures.rates import draw_learning_rates
from dnntrain.reporting.figures.score_time import draw_score_against_time
from dnntrain.reporting.figures.sensitivity import draw_sensitivity
from dnntrain.reporting.figures.series import read_history
from dnntrain.reporting.figures.strategies import draw_strategies
from dnntrain.reporting.figures.style import check_format, rendered, without_titles
from dnntrain.reporting.figures.training_size import draw_training_size
from dnntrain.reporting.figures.tuning import draw_tuning
from dnntrain.utils.files import write_errors

__all__ = [
    "FIGURE_KINDS",
    "FigureKind",
    "draw_all",
    "draw_confusion",
    "draw_effects",
    "draw_figure",
    "draw_gradient_flow",
    "draw_interactions",
    "draw_learning_curves",
    "draw_learning_rates",
    "draw_score_against_time",
    "draw_sensitivity",
    "draw_strategies",
    "draw_training_size",
    "draw_tuning",
    "read_history",
    "rendered",
    "save_figures",
]


def save_figures(
    summaries: Sequence[Summary],
    folder: Path,
    formats: Sequence[str] = ("png", "svg", "pdf"),
    *,
    titles: bool = True,
) -> list[Path]:
    """Write every figure of every study as STUDY-FIGURE.FORMAT. The same records give the same bytes.

    Args:
        summaries: The studies.
        folder: Where to write; it is created if it does not exist.
        formats: File formats: png, svg or pdf.
        titles: Whether the figures have their title, subtitle and caption.

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
                if not titles:
                    figure = without_titles(figure)
                for suffix in formats:
                    path = folder / f"{name}-{kind}.{suffix}"
                    path.write_bytes(rendered(figure, suffix))
                    written.append(path)
    return written


@dataclass(frozen=True)
class FigureKind:
    """A kind of figure."""

    file: str
    """Its name in files."""
    draw: Callable[[Summary, pd.DataFrame], Figure | None]
    """Draws it from a study's summary and history; None if the study has nothing to show in it."""
    absent: str
    """Why a study may have nothing to show in it."""


FIGURE_KINDS: dict[str, FigureKind] = {
    "curves": FigureKind("learning-curves", draw_learning_curves, "its runs have no history of this metric"),
    "effects": FigureKind("effects", lambda s, _: draw_effects(s), "no arm of it has a difference from a baseline"),
    "interactions": FigureKind(
        "interactions", lambda s, _: draw_interactions(s), "it is no factorial design with several factors"
    ),
    "gradients": FigureKind("gradient-flow", draw_gradient_flow, "its runs recorded no norms of gradients"),
    "sensitivity": FigureKind("sensitivity", draw_sensitivity, "its runs recorded no sensitivities"),
    "rates": FigureKind("learning-rates", draw_learning_rates, "the learning rate is the same in all its epochs"),
    "tuning": FigureKind(
        "tuning",
        lambda s, _: draw_tuning(s),
        "no setting was tuned for its arms, or the runs that tuned it are not here",
    ),
    "sizes": FigureKind(
        "training-size", lambda s, _: draw_training_size(s), "it does not compare transfer at several training sizes"
    ),
    "strategies": FigureKind(
        "strategies", lambda s, _: draw_strategies(s), "it does not compare the steps of a transfer"
    ),
    "confusion": FigureKind(
        "confusion", lambda s, _: draw_confusion(s), "its runs have no predictions of classes for this part of the data"
    ),
    "time": FigureKind("time", lambda s, _: draw_score_against_time(s), "no finished run of it has a time"),
}
"""The kinds of figures in the order of reports, by a short name. `StudyResult.plot` takes it and the one in files."""


def figure_kind(name: str) -> str:
    """A key of `FIGURE_KINDS` from itself or from its name in files; InputError if the name is unknown."""
    by_file = {kind.file: key for key, kind in FIGURE_KINDS.items()}
    known = dict.fromkeys([*FIGURE_KINDS, *by_file])
    if name not in known:
        near = f"; did you mean {' or '.join(map(repr, found))}?" if (found := nearest(name, known)) else ""
        raise InputError(f"kind {name!r}: must be one of {', '.join(known)}{near}")
    return by_file.get(name, name)


def draw_figure(kind: str, summary: Summary, *, titles: bool = True) -> Figure:
    """Draws one figure.

    Args:
        kind: A key of `FIGURE_KINDS`, or its name in files.
        summary: The study.
        titles: Whether the figure has its title, subtitle and caption.

    Raises:
        InputError: If the kind is unknown, the study has nothing to show in it, or history.csv is damaged.
    """
    key = figure_kind(kind)
    if key == "confusion" and not summary.classes:
        try:
            classes_by_arm(summary.results, summary.metric)  # raises InputError that says what is missing
        except InputError as error:
            raise InputError(f"kind {kind!r}: {str(error).removeprefix('--per-class: ')}") from None
    figure = FIGURE_KINDS[key].draw(summary, read_history(summary.results.folder))
    if figure is None:
        raise InputError(f"kind {kind!r}: {summary.results.name} has nothing to show, since {FIGURE_KINDS[key].absent}")
    return figure if titles else without_titles(figure)


def draw_all(summary: Summary) -> Iterator[tuple[str, Figure]]:
    """Yields each figure that the study has data for, with its name in files."""
    history = read_history(summary.results.folder)
    for kind in FIGURE_KINDS.values():
        figure = kind.draw(summary, history)
        if figure is not None:
            yield kind.file, figure


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
