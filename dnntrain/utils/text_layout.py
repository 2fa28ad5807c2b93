"""Lays out tables for a terminal without truncation: whole, in blocks of columns, or as one paragraph per row.

Without a terminal, `utils.console.console` has no width limit, so every table is printed whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

GAP, EDGES = 3, 2
"""Blanks between two columns, and at both edges together, as `box.SIMPLE_HEAD` draws them."""

NARROWEST = 24
"""Cells to which a column of text is wrapped before its table is split."""

COLORS = {
    "better": "green",
    "worse": "red",
    "equivalent": "cyan",
    "never": "red",
    "vanishing": "yellow",
    "exploding": "red",
    "diverged": "red",
    "dead": "yellow",
    "saturated": "yellow",
    "differs": "yellow",
    "compatible": "green",
    "synergistic": "green",
    "redundant": "yellow",
}
"""The color of a verdict, by its first word."""


@dataclass(frozen=True)
class TextTable:
    """A table of text. When rich prints it, it takes the layout that fits the terminal's width."""

    title: str
    headings: list[str]
    rows: list[list[str]]
    right: frozenset[str] = frozenset()
    """Right-aligned columns."""
    wraps: frozenset[str] = frozenset()
    """Columns whose cells may wrap between words."""
    colored: frozenset[str] = frozenset()
    """Columns of verdicts, which are colored."""
    keys: int = 1
    """How many of the first columns say what a row is about, so that each block of columns repeats them."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """The layout for the console's width."""
        if self.title:
            yield Text(self.title, style="bold")
        blocks = self.blocks(options.max_width)
        if blocks:
            yield from map(self.block, blocks)
        else:
            yield from self.paragraphs(options.max_width)

    def blocks(self, width: int) -> list[list[int]]:
        """Group the columns into as few blocks as fit the width, each with the keys; [] if one does not fit."""
        widths = [self.least_width(column) for column in range(len(self.headings))]
        first = used = EDGES + sum(widths[: self.keys]) + GAP * (self.keys - 1)
        blocks = [[*range(self.keys)]]
        for column, needed in enumerate(widths[self.keys :], start=self.keys):
            if used + GAP + needed > width and len(blocks[-1]) > self.keys:
                blocks.append([*range(self.keys)])
                used = first
            blocks[-1].append(column)
            used += GAP + needed
            if used > width:
                return []
        return blocks if used <= width else []

    def least_width(self, column: int) -> int:
        """The minimum width of a column, in terminal cells."""
        cells = [self.headings[column], *(row[column] for row in self.rows)]
        whole = max(cell_len(line) for cell in cells for line in cell.split("\n"))
        if self.headings[column] not in self.wraps:
            return whole
        longest_word = max((cell_len(word) for cell in cells for word in cell.split()), default=0)
        return max(longest_word, min(whole, NARROWEST))

    def block(self, columns: list[int]) -> Table:
        """A table of some of the columns."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        for column in columns:
            heading = self.headings[column]
            table.add_column(
                Text(heading),
                justify="right" if heading in self.right else "left",
                overflow="fold",
                no_wrap=heading not in self.wraps,
                min_width=self.least_width(column),
            )
        for row in self.rows:
            table.add_row(*(self.cell(self.headings[column], row[column]) for column in columns))
        return table

    def paragraphs(self, width: int) -> Iterator[RenderableType]:
        """One paragraph per row, a heading and value per line; values that do not fit after the heading go below it."""
        inline = [
            all("\n" not in row[column] and cell_len(f"  {heading}: {row[column]}") <= width for row in self.rows)
            for column, heading in enumerate(self.headings)
        ]
        for row in self.rows:
            yield Text(f"{self.headings[0]}: {row[0]}", style="bold")
            for heading, value, fits in list(zip(self.headings, row, inline, strict=True))[1:]:
                label, cell = Text(f"{heading}:" if heading else ""), self.cell(heading, value)
                if value and fits:
                    yield Padding(Text(" ").join(filter(None, (label, cell))), (0, 0, 0, 2), expand=False)
                elif value:
                    yield Padding(label, (0, 0, 0, 2), expand=False)
                    yield Padding(cell, (0, 0, 0, 4), expand=False)
            yield Text("")

    def cell(self, heading: str, value: str) -> Text:
        """A cell, in the color of its verdict."""
        return Text(value, style=self.color(heading, value))

    def color(self, heading: str, value: str) -> str:
        """The color of a cell: that of its verdict; empty if it has none."""
        return COLORS.get(value.partition(" ")[0].rstrip(",:"), "") if heading in self.colored else ""


def one_line_each(
    headings: Sequence[str], rows: Sequence[Sequence[str]], width: int | None, droppable: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """Lay out a table with one line for each row, in which nothing is wrapped or cut.

    Args:
        headings: The columns.
        rows: The cells of each row.
        width: Columns of the terminal; None for anything else, which gets all columns, separated by tabs.
        droppable: Columns that may be left out where they do not fit, the first to go first.

    Returns:
        The lines, the headings first, and the columns that were left out. If the others do not fit either, the lines
        have all columns, separated by tabs.
    """
    table, dropped = [headings, *rows], list[str]()
    by_tabs = ["\t".join(row) for row in table]
    if width is None:
        return by_tabs, []
    widths = [max(cell_len(row[column]) for row in table) for column in range(len(headings))]
    for name in (None, *droppable):
        dropped += [name] if name else []
        shown = [column for column, heading in enumerate(headings) if heading not in dropped]
        if sum(widths[column] for column in shown) + 2 * (len(shown) - 1) <= width:
            lines = ["  ".join(set_cell_size(row[column], widths[column]) for column in shown) for row in table]
            return [line.rstrip() for line in lines], dropped
    return by_tabs, []


def definitions(rows: Sequence[tuple[str, str]]) -> Table:
    """A list of names, each followed by a text that wraps between words."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(overflow="fold", no_wrap=True, min_width=16)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(Text(name), Text(text))
    return table
