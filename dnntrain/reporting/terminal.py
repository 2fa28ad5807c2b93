"""Reports for a terminal, as texts and tables that rich lays out."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from dnntrain.analysis.summary import Summary
from dnntrain.reporting.footer import footer, implied
from dnntrain.reporting.tables import tables


def study_report(summary: Summary, *, wide: bool = False) -> Group:
    """Everything that `report` shows of one study.

    Args:
        summary: The study.
        wide: Add columns to the main table, and what else the arms' settings changed.
    """
    return Group(*_parts(summary, wide))


def _parts(summary: Summary, wide: bool) -> Iterator[RenderableType]:
    record = summary.results.record
    yield Text(summary.results.name, style="bold")
    if record.question:
        yield Text(record.question, style="italic")
    yield from tables(summary, wide=wide, pictures=True)
    yield Text("\n".join(footer(summary, wide=wide)), style="dim")
    if wide:
        yield Text("\n".join(implied(summary)), style="dim")
    yield Text("")
