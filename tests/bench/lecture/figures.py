"""The page's figures: drawn as `dnntrain report --figures` does, and made small."""

from __future__ import annotations

import io
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.figure
from PIL import Image

import dnntrain as dt
from dnntrain.analysis.summary import Summary
from dnntrain.errors import DnntrainError
from dnntrain.reporting.figures import draw_figure
from tests.bench.lecture.commands import CommandError, dnntrain
from tests.bench.lecture.declaration import Lecture
from tests.bench.lecture.sections import Figure
from tests.bench.lecture.tables import COLUMNS, write_table

DPI = 100
COLORS = 32
"""Enough for lines, text and a color scale; a file of so few colors is a third of one of all."""
SAMPLE_COLORS, SAMPLE_WIDTH = 16, 520
"""Of sample images; the width is in pixels."""


def draw(figure: Figure, lecture: Lecture, runs: Path) -> bytes:
    """A figure as PNG.

    Args:
        figure: What to draw.
        lecture: Which of the studies are tables.
        runs: The folder of recorded studies.

    Raises:
        DnntrainError: If the study is not there, or has nothing to show.
        CommandError: If the data set has no images to show.
    """
    if figure.sample:
        return small(samples(figure.sample), SAMPLE_COLORS, SAMPLE_WIDTH)
    summary = summary_of(figure, lecture, runs)
    if unknown := {*figure.arms} - {arm.name for arm in summary.arms}:
        raise DnntrainError(f"{figure.study} has no arm {', '.join(sorted(unknown))}")
    kept = [arm for arm in summary.arms if not figure.arms or arm.name in figure.arms]
    return small(as_png(draw_figure(figure.kind, replace(summary, arms=kept))))


def summary_of(figure: Figure, lecture: Lecture, runs: Path) -> Summary:
    """The study or the table that a figure shows; a table by its first column."""
    table = lecture.tables.get(figure.study)
    if table is None:
        return dt.load(runs / figure.study).summary.analysis
    write_table(figure.study, table, runs)
    value = f"{COLUMNS[table.figures][0]}:min"
    report = dt.compare(runs / f"{figure.study}.csv", arm="arm", seed="seed", value=value, baseline=figure.baseline)
    return report.summaries[0]


def as_png(figure: matplotlib.figure.Figure) -> bytes:
    """The figure at the page's resolution."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()


def samples(name: str) -> bytes:
    """Sample images of each class of a data set."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.png"
        dnntrain(["data", "show", name, "--png", str(path)])
        return path.read_bytes()


def small(png: bytes, colors: int = COLORS, width: int | None = None) -> bytes:
    """The same image with few colors, and so wide."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    if width is not None:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.quantize(colors, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


DRAWING_ERRORS = (DnntrainError, CommandError, OSError)
"""Why a figure may be missing."""
