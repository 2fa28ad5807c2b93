"""Studies as LaTeX tables for the booktabs package."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from jinja2 import Environment, PackageLoader

from dnntrain.analysis.summary import Summary
from dnntrain.reporting.design_notes import pair_notes
from dnntrain.reporting.design_tables import pairs_table, tables_of_design
from dnntrain.reporting.footer import caption, method_lines
from dnntrain.reporting.provenance import provenance_lines, settings_table
from dnntrain.reporting.tables import main_table
from dnntrain.utils.text_layout import TextTable

SPECIAL_CHARACTERS = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "δ": r"$\delta$",
    "α": r"$\alpha$",
    "ε": r"$\varepsilon$",
    "×": r"$\times$",
    "²": r"$^2$",
    "−": r"$-$",
    "<": r"$<$",
    ">": r"$>$",
}
"""LaTeX for the characters that have a meaning there or are missing from its default fonts."""

CELL_NUMBER = re.compile(r"(?<![\w.])(?P<sign>[+-])?(?P<whole>\d[\d,]*)(?P<decimals>\.\d+)?(?!\w)")


def to_latex(summaries: Sequence[Summary]) -> str:
    """The main table of each study, and those of its pairs, effects and published values, with their notes below.

    Comments above the tables say how the study was made.
    """
    # braces are everywhere in LaTeX, so the template marks its own statements with angle brackets
    templates = Environment(
        loader=PackageLoader("dnntrain.reporting.exports"),
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    templates.filters["latex_text"] = latex_text
    studies = [{"comments": comments(summary), "tables": [*latex_tables(summary)]} for summary in summaries]
    return templates.get_template("tables.tex.j2").render(studies=studies)


def latex_text(text: str) -> str:
    """Escapes LaTeX's special characters, and parts hyphens that LaTeX would join to a dash: '--lr' is '-{}-lr'."""
    escaped = "".join(SPECIAL_CHARACTERS.get(character, character) for character in text)
    return re.sub("-(?=-)", "-{}", escaped)


def comments(summary: Summary) -> list[str]:
    """How the study was made, one line each."""
    settings = settings_table(summary)
    lines = [": ".join(line) for line in provenance_lines(summary, full=True)]
    lines += [": ".join(row) for row in (settings.rows if settings else ())]
    return [" ".join(line.split()) for line in lines]


def latex_tables(summary: Summary) -> Iterator[dict[str, Any]]:
    """Each table of a study as the template needs it.

    A second metric has a table of its own, because both together are too wide for a page.
    """
    name, question = summary.results.name, summary.results.record.question
    planned = max(arm.runs.planned for arm in summary.arms)
    over = f"{planned} seeds" if all(len(arm.values) == planned for arm in summary.arms) else f"up to {planned} seeds"
    runs = f"Mean ± standard deviation (ddof 1) over {over}."
    main = main_table(summary, wide=False, secondary=False)
    yield latex_table(main, question or f"{name}: {summary.metric}", [runs, *caption(summary)], name)
    if other := summary.secondary:
        title = f"{question or name} By {other.metric}"
        table, notes = main_table(other, wide=False), [runs, *method_lines(other)]
        yield latex_table(table, title, notes, f"{name}-{other.metric}")
    pairs = [(pairs_table(summary), [*pair_notes(summary)])] if [*pair_notes(summary)] else []
    for table, notes in (*pairs, *tables_of_design(summary)):
        title = f"{name}: {table.title}"
        yield latex_table(table, title, notes, f"{name}-{table.title.partition(':')[0]}")


def latex_table(table: TextTable, title: str, notes: Sequence[str], label: str) -> dict[str, Any]:
    """One table as the template needs it: its cells are LaTeX, the other texts are plain."""
    columns = [
        aligned_numbers(cells) if heading in table.right else [latex_text(cell) for cell in cells]
        for heading, cells in zip(table.headings, zip(*table.rows, strict=True), strict=True)
    ]
    headings = [
        rf"\multicolumn{{1}}{{c}}{{{latex_text(heading)}}}" if heading in table.right else latex_text(heading)
        for heading in table.headings
    ]
    return {
        "caption": title,
        "label": re.sub(r"[^A-Za-z0-9-]", "-", label),
        "alignment": "l" * len(table.headings),
        "rows": [headings, *zip(*columns, strict=True)],
        "notes": " ".join(note if note.endswith(".") else f"{note}." for note in notes),
    }


def aligned_numbers(cells: Sequence[str]) -> list[str]:
    """The cells of a column as LaTeX, with the first, second, … number of each cell at the same place.

    Numbers are padded with invisible signs and digits, and '-' before a number becomes a minus sign.
    """
    found = [[*CELL_NUMBER.finditer(cell)] for cell in cells]
    longest = [
        [max((match[part] or "" for match in same if match), key=len) for part in ("sign", "whole", "decimals")]
        for same in zip_longest(*found)
    ]
    columns = []
    for cell, numbers in zip(cells, found, strict=True):
        text, end = "", 0
        for number, widest in zip(numbers, longest, strict=False):
            text += latex_text(cell[end : number.start()]) + padded(number, widest)
            end = number.end()
        columns.append(text + latex_text(cell[end:]))
    return columns


def padded(number: re.Match[str], widest: Sequence[str]) -> str:
    """A number as LaTeX, as wide as the widest sign, whole part and decimals at its place."""
    sign, whole, decimals = (number[part] or "" for part in ("sign", "whole", "decimals"))
    left = widest[1][: len(widest[1]) - len(whole)]
    right = widest[2][len(decimals) :]
    parts = (
        f"${sign}$" if sign else r"\phantom{$+$}" if widest[0] else "",
        rf"\phantom{{{left}}}" if left else "",
        whole + decimals,
        rf"\phantom{{{right}}}" if right else "",
    )
    return "".join((parts[1], parts[0], *parts[2:]))
