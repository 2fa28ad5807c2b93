"""The style that all figures share: colors, type sizes, line styles, and layout."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import cycle
from typing import Any, ParamSpec, TypeVar

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from dnntrain.analysis.summary import Summary
from dnntrain.errors import InputError
from dnntrain.metrics import metric_of, split_column, task_of
from dnntrain.store.provenance import datasets_of

INK, SOFT, FAINT = "#000000", "#555555", "#c8c8c8"
"""Colors of text and the baseline, of secondary text, and of background lines."""

BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
"""A palette for readers with color blindness (Okabe & Ito 2008), without its yellow, which is too pale on white."""

LINE_COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
LINE_DASHES: tuple[Any, ...] = (
    (0, (5, 1.5)),
    (0, (7, 1.5, 1.5, 1.5)),
    (0, (2.5, 1.2)),
    (0, (9, 2)),
    (0, (5, 1, 1, 1, 1, 1)),
)
LINE_MARKERS = ("s", "^", "D", "v", "P", "X", "p")
"""Arms cycle through these three. Their lengths differ, so a pair of color and dash repeats only after 30 arms, and
arms can be distinguished in grayscale."""

SMALL, NORMAL, LARGE = 7.5, 9.0, 12.0
"""Font sizes in points."""

SCREEN_DPI, PRINT_DPI = 150, 300
"""Pixels per inch in notebooks, and in files."""

MAX_PANELS = 24
"""Maximum number of panels in a figure."""

STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib, so figures are the same on every machine
    "font.size": NORMAL,
    "text.parse_math": False,  # arm names may contain $
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
    "figure.dpi": SCREEN_DPI,
    "savefig.dpi": PRINT_DPI,
    "svg.fonttype": "none",  # text stays text, which can be searched, edited, and read aloud
    "pdf.fonttype": 42,  # journals refuse the default, Type 3
    "svg.hashsalt": "dnntrain",
}

METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""The file formats, with metadata that leaves out times and versions, so that the same records give the same bytes."""

P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Decorates a function to run with `STYLE`, regardless of the user's own matplotlib settings."""

    @wraps(draw)
    def under_style(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.style.context(STYLE, after_reset=True):
            return draw(*args, **kwargs)

    return under_style


def check_format(name: str) -> str:
    """Returns a format's name; raises InputError if it is unknown."""
    if name not in METADATA:
        raise InputError(f"unknown figure format '{name}'; choose from {', '.join(METADATA)}")
    return name


@styled
def rendered(figure: Figure, suffix: str, dpi: int = PRINT_DPI) -> bytes:
    """The figure as a file's content in a format such as png. The same figure gives the same bytes."""
    file = io.BytesIO()
    figure.savefig(file, format=suffix, dpi=dpi, metadata=METADATA[check_format(suffix)])
    return file.getvalue()


class StudyFigure(Figure):
    """A figure that notebooks show without pyplot."""

    drawn: tuple[float, float] = (0.0, 0.0)
    """Bottom and height of the area to draw in, in inches, of a figure with texts around it."""

    def _repr_png_(self) -> bytes:
        return rendered(self, "png", SCREEN_DPI)


def canvas(width: float, height: float, title: str, subtitle: str, caption: str) -> Figure:
    """An empty figure with a title above and a caption below the area to draw in.

    Args:
        width: Width in inches.
        height: Height of the area to draw in, in inches.
        title: The title.
        subtitle: Smaller text below the title, wrapped to the width.
        caption: Small text below the area, wrapped to the width.
    """
    above, below = wrapped(subtitle, width), wrapped(caption, width)
    top, bottom = 0.34 + 0.15 * len(above), 0.12 + 0.15 * len(below)
    full = height + top + bottom
    figure = StudyFigure(figsize=(width, full))
    figure.drawn = bottom, height
    figure.text(0.1 / width, 1 - 0.08 / full, title, fontsize=LARGE, fontweight="bold", va="top")
    figure.text(0.1 / width, 1 - 0.32 / full, "\n".join(above), fontsize=SMALL, color=SOFT, va="top")
    figure.text(0.1 / width, 0.07 / full, "\n".join(below), fontsize=SMALL, color=SOFT, va="bottom")
    rect = (0, bottom / full, 1, height / full)
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=rect, w_pad=0.08, h_pad=0.06))
    return figure


def laid_out(figure: Figure) -> Figure:
    """Computes the layout once, so that saving to several formats does not repeat it."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)  # "none" leaves a placeholder, for which every saving draws twice
        for axes in figure.axes:  # the solver's last bits differ from call to call, and names in an SVG depend on them
            left, bottom, width, height = (round(float(edge), 9) for edge in axes.get_position(original=True).bounds)
            axes.set_position((left, bottom, width, height), which="original")
    return figure


def without_titles(figure: Figure) -> Figure:
    """Removes the title, subtitle and caption of a figure that is laid out, and the room that they take."""
    if not (isinstance(figure, StudyFigure) and figure.texts):
        return figure
    (bottom, height), full = figure.drawn, figure.get_figheight()
    for text in [*figure.texts]:
        text.remove()
    figure.set_figheight(height)
    for axes in figure.axes:
        left, low, width, high = axes.get_position(original=True).bounds
        axes.set_position((left, (low * full - bottom) / height, width, high * full / height))
    return figure


def panels(
    number: int, panel: tuple[float, float], labels: tuple[str, str], *, same: bool, **texts: str
) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of panels that share the horizontal axis.

    Args:
        number: How many panels.
        panel: Width and height of each, in inches.
        labels: Labels of the horizontal and the vertical axis.
        same: Whether the panels share the vertical axis too.
        texts: Title, subtitle, and caption, as for `canvas`.
    """
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
    """Wraps text in the small font to a width in inches."""
    return textwrap.wrap(text, int((width - 0.2) / 0.056))


def subtitle(summary: Summary) -> str:
    """A figure's subtitle: the study's name, data, number of seeds, and question."""
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
    """How an arm is drawn in figures whose arms share axes."""

    color: str
    dash: Any
    marker: str


def line_styles(summary: Summary) -> dict[str, LineStyle]:
    """Each arm's line style, assigned in the study's order. The baseline is black and solid."""
    return named_styles([arm.name for arm in summary.results.record.arms], str(summary.baseline))


def named_styles(names: Sequence[str], baseline: str) -> dict[str, LineStyle]:
    """A line style for each name, in their order. The baseline is black and solid."""
    others = [name for name in names if name != baseline]
    series = zip(others, cycle(LINE_COLORS), cycle(LINE_DASHES), cycle(LINE_MARKERS), strict=False)
    styles = {name: LineStyle(color, dash, marker) for name, color, dash, marker in series}
    return styles | {baseline: LineStyle(INK, "solid", "o")}


def metric_name(metric: str) -> str:
    """A metric's name in words: 'validation accuracy' for val_acc."""
    part = split_column(metric)[0]
    words = {"val": "validation", "train": "training", "mc_test": "Monte Carlo test"}
    return f"{words.get(part, part)} {metric_of(metric).label}".strip()


def scale(metric: str) -> float:
    """The factor from a metric's value to the number shown: 100 for shares, which are shown in percent."""
    return metric_of(metric).scale


def unit(summary: Summary, metric: str) -> str:
    """The metric's unit in the study's task; empty for a pure number."""
    return metric_of(metric).unit_of(task_of(metric, summary.results.runs.columns))


def metric_label(summary: Summary, metric: str) -> str:
    """The label of a metric's axis: 'validation accuracy (%)', or 'validation R²' for a pure number."""
    symbol = unit(summary, metric)
    return f"{metric_name(metric)} ({symbol})" if symbol else metric_name(metric)
