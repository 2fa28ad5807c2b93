"""Reports for a terminal, as texts and tables that rich lays out."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from dnntrain.analysis.summary import Summary
from dnntrain.reporting.footer import footer
from dnntrain.reporting.provenance import provenance_lines, settings_table
from dnntrain.reporting.tables import tables


def study_report(summary: Summary, *, wide: bool = False) -> Group:
    """Everything that `report` shows of one study.

    Args:
        summary: The study.
        wide: Add columns to the main table, and each arm's settings.
    """
    return Group(*_parts(summary, wide))


def _parts(summary: Summary, wide: bool) -> Iterator[RenderableType]:
    record = summary.results.record
    yield Text(summary.results.name, style="bold")
    if record.question:
        yield Text(record.question, style="italic")
    yield from tables(summary, wide=wide, pictures=True)
    if wide and (settings := settings_table(summary)):
        yield settings
    made = [f"{label}: {text}" for label, text in provenance_lines(summary)]
    yield Text("\n".join([*footer(summary, wide=wide), *made]), style="dim")
    yield Text("")
