"""A study on a terminal, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dnntrain.report import words
from dnntrain.report.summary import Summary
from dnntrain.report.tables import TextTable, tables

COLOURS = {
    "better": "green",
    "worse": "red",
    "vanishing": "yellow",
    "exploding": "red",
    "dead": "yellow",
    "saturated": "yellow",
    "differs": "yellow",
}
"""Colours, by the first word of a cell, only where they mean something."""


def study_report(summary: Summary, *, wide: bool = False) -> Group:
    """All that is shown of one study."""
    return Group(*parts(summary, wide))


def parts(summary: Summary, wide: bool) -> Iterator[RenderableType]:
    """The pieces of a study's report, from the top."""
    description = summary.results.description
    yield Text(summary.results.name, style="bold")
    if description.get("question"):
        yield Text(description["question"], style="italic")
    for table in tables(summary, wide=wide, pictures=True):
        yield rendered(table)
    yield Text("\n".join(words.footer(summary)), style="dim")
    if wide:
        yield Text("\n".join(words.implied(summary)), style="dim")
    yield Text("")


def rendered(table: TextTable) -> Table:
    """A table for the terminal."""
    made = Table(
        title=table.title or None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1),
    )
    for heading in table.headings:
        first = heading == table.headings[0]
        made.add_column(
            heading,
            justify="right" if heading in table.right else "left",
            overflow="fold",
            max_width=24 if first else None,
            no_wrap=heading in table.right or heading == "verdict",
        )
    for row in table.rows:
        made.add_row(*(Text(cell, style=COLOURS.get(first_word(cell), "")) for cell in row))
    return made


def first_word(cell: str) -> str:
    """What a cell's colour goes by."""
    return cell.partition(" ")[0].rstrip(",")
