"""A study's report on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from dnntrain.reporting import formatting
from dnntrain.reporting.summary import Summary
from dnntrain.reporting.tables import tables


def study_report(summary: Summary, *, wide: bool = False) -> Group:
    """Everything that `report` shows of one study; `wide` adds columns and the arms' implied settings."""
    return Group(*parts(summary, wide))


def parts(summary: Summary, wide: bool) -> Iterator[RenderableType]:
    """The pieces of a study's report, from the top."""
    record = summary.results.record
    yield Text(summary.results.name, style="bold")
    if record.question:
        yield Text(record.question, style="italic")
    yield from tables(summary, wide=wide, pictures=True)
    yield Text("\n".join(formatting.footer(summary)), style="dim")
    if wide:
        yield Text("\n".join(formatting.implied(summary)), style="dim")
    yield Text("")
