"""Studies as Markdown: every table, and below it the notes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jinja2 import Environment, PackageLoader

from dnntrain.analysis.summary import Summary
from dnntrain.reporting.footer import footer
from dnntrain.reporting.provenance import provenance_lines, settings_table
from dnntrain.reporting.tables import tables
from dnntrain.utils.text_layout import TextTable

MARKUP = re.compile(r"(`[^`]*`)|<(?=[A-Za-z/!?])|&(?=#?\w+;)")
"""Code, in which nothing is markup, or what begins a tag or a character reference. A '<' before a number is text."""


def to_markdown(summaries: Sequence[Summary]) -> str:
    """All tables and notes of some studies as Markdown (GitHub's tables)."""
    templates = Environment(
        loader=PackageLoader("dnntrain.reporting.exports"), trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    templates.filters["markdown_rows"] = markdown_rows
    templates.filters["markdown_text"] = markdown_text
    studies = [
        {
            "name": summary.results.name,
            "question": summary.results.record.question,
            "tables": list(tables(summary)),
            "footer": list(footer(summary)),
            "provenance": list(provenance_lines(summary, full=True)),
            "settings": settings_table(summary),
        }
        for summary in summaries
    ]
    return templates.get_template("studies.md.j2").render(studies=studies).rstrip("\n") + "\n"


def markdown_text(text: str) -> str:
    """The text with a backslash before what Markdown would read as HTML, such as an arm's name '<x>'."""
    return MARKUP.sub(lambda found: found[0] if found[1] else f"\\{found[0]}", text)


def markdown_rows(table: TextTable) -> list[list[str]]:
    """The headings, the row that sets the alignment, and the rows, with '|' and HTML escaped in every cell."""
    alignment = ["---:" if heading in table.right else "---" for heading in table.headings]
    return [
        [markdown_text(cell).replace("|", "\\|") for cell in row] for row in (table.headings, alignment, *table.rows)
    ]
