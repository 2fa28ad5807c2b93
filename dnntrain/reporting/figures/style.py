"""How every figure looks: declared here once."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from itertools import cycle
from typing import Any, ParamSpec, TypeVar

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from dnntrain.errors import InputError
from dnntrain.metrics import metric_of, split_column, task_of
from dnntrain.reporting.summary import Summary
from dnntrain.store.provenance import datasets_of

INK, SOFT, FAINT = "#000000", "#555555", "#c8c8c8"
"""Text and the baseline; what explains; what stays in the background."""

BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
"""Okabe & Ito (2008): told apart by the color-blind. Their yellow is too pale for a line on white."""

LINE_COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
LINE_DASHES: tuple[Any, ...] = (
    (0, (5, 1.5)),
    (0, (7, 1.5, 1.5, 1.5)),
    (0, (2.5, 1.2)),
    (0, (9, 2)),
    (0, (5, 1, 1, 1, 1, 1)),
)
LINE_MARKERS = ("s", "^", "D", "v", "P", "X", "p")
"""Colors, dashes and markers differ in number, so that a pair repeats only after 30 arms, and print well in gray."""

SMALL, NORMAL, LARGE = 7.5, 9.0, 12.0
"""Sizes of type, in points."""

STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same picture on every machine
    "font.size": NORMAL,
    "text.parse_math": False,  # an arm's name is no formula
    "axes.titlesize": NORMAL,
    "axes.titlelocation": "left",
    "axes.labelcolor": SOFT,
    "axes.labelsize": NORMAL,
    "axes.edgecolor": "#888888",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": "#888888",
    "ytick.color": "#888888",
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "svg.fonttype": "path",
    "svg.hashsalt": "dnntrain",
}

METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""The formats; none gets a time or a version, so that the same records give the same bytes."""

P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run a function under the common style, whatever the user's matplotlib is set to."""

    @wraps(draw)
    def under_style(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.style.context(STYLE, after_reset=True):
            return draw(*args, **kwargs)

    return under_style


def check_format(name: str) -> str:
    """One of the formats; InputError otherwise."""
    if name not in METADATA:
        raise InputError(f"unknown figure format '{name}'; choose from {', '.join(METADATA)}")
    return name


@styled
def rendered(figure: Figure, suffix: str) -> bytes:
    """The figure as a file of that format; the same figure gives the same bytes."""
    file = io.BytesIO()
    figure.savefig(file, format=suffix, metadata=METADATA[check_format(suffix)])
    return file.getvalue()


def canvas(width: float, height: float, title: str, subtitle: str, caption: str) -> Figure:
    """An empty figure of that size in inches, and with a title above and a caption below what will be drawn in it."""
    above, below = wrapped(subtitle, width), wrapped(caption, width)
    top, bottom = 0.34 + 0.15 * len(above), 0.12 + 0.15 * len(below)
    full = height + top + bottom
    figure = Figure(figsize=(width, full))
    figure.text(0.1 / width, 1 - 0.08 / full, title, fontsize=LARGE, fontweight="bold", va="top")
    figure.text(0.1 / width, 1 - 0.32 / full, "\n".join(above), fontsize=SMALL, color=SOFT, va="top")
    figure.text(0.1 / width, 0.07 / full, "\n".join(below), fontsize=SMALL, color=SOFT, va="bottom")
    rect = (0, bottom / full, 1, height / full)
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=rect, w_pad=0.08, h_pad=0.06))
    return figure


def laid_out(figure: Figure) -> Figure:
    """The figure with everything in its place for good, so that no file of it has to find the places again."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    return figure


def panels(
    number: int, panel: tuple[float, float], labels: tuple[str, str], *, same: bool, **texts: str
) -> tuple[Figure, list[Axes]]:
    """A figure of panels of that size in rows; they share the horizontal axis, and where `same` also the vertical."""
    columns = {1: 1, 2: 2, 4: 2}.get(number, 3 if number in (3, 5, 6, 9) else 4)
    rows = -(-number // columns)
    figure = canvas(max(6.0, columns * panel[0] + 0.6), rows * panel[1] + 0.3, **texts)
    grid = figure.subplots(rows, columns, sharex=True, sharey=same, squeeze=False).ravel().tolist()
    for empty in grid[number:]:
        empty.remove()
    for lowest in grid[max(0, number - columns) : number]:
        lowest.tick_params(labelbottom=True)
    for bottom in grid[(rows - 1) * columns : number]:
        bottom.set_xlabel(labels[0])
    for leftmost in grid[:number:columns]:
        leftmost.set_ylabel(labels[1], fontsize=SMALL)
    return figure, grid[:number]


def wrapped(text: str, width: float) -> list[str]:
    """Small type in lines that fit into so many inches."""
    return textwrap.wrap(text, int((width - 0.2) / 0.053))


def subtitle(summary: Summary) -> str:
    """Which study a figure is of, and on what data."""
    record = summary.results.record
    seeds, data = len(record.seeds), dict.fromkeys(data.name for data in datasets_of(record))
    parts = (
        summary.results.name,
        ", ".join(data),
        f"{seeds} seed{'' if seeds == 1 else 's'}",
        record.question,
    )
    return " · ".join(part for part in parts if part)


@dataclass(frozen=True)
class LineStyle:
    """What an arm looks like in every figure where arms share axes."""

    color: str
    dash: Any
    marker: str


def line_styles(summary: Summary) -> dict[str, LineStyle]:
    """Each arm's look, by the study's own order: the baseline is black and solid."""
    names = [arm.name for arm in summary.results.record.arms]
    others = [name for name in names if name != summary.baseline]
    series = zip(others, cycle(LINE_COLORS), cycle(LINE_DASHES), cycle(LINE_MARKERS), strict=False)
    styles = {name: LineStyle(color, dash, marker) for name, color, dash, marker in series}
    return styles | {str(summary.baseline): LineStyle(INK, "solid", "o")}


def metric_name(metric: str) -> str:
    """'validation accuracy' for val_acc."""
    part = split_column(metric)[0]
    words = {"val": "validation", "train": "training", "mc_test": "Monte Carlo test"}
    return f"{words.get(part, part)} {metric_of(metric).label}"


def scale(metric: str) -> float:
    """The factor from a metric's value to the number that is shown: shares are shown in percent."""
    return metric_of(metric).scale


def unit(summary: Summary, metric: str) -> str:
    """The metric's unit in the study's task; empty for a pure number."""
    return metric_of(metric).unit_of(task_of(metric, summary.results.runs.columns))


def metric_label(summary: Summary, metric: str) -> str:
    """The label of a metric's axis: 'validation accuracy (%)', or 'validation R²' for a pure number."""
    symbol = unit(summary, metric)
    return f"{metric_name(metric)} ({symbol})" if symbol else metric_name(metric)
