"""Studies as Markdown: every table, and below it the notes."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader

from dnntrain.analysis.summary import Summary
from dnntrain.reporting.footer import footer
from dnntrain.reporting.provenance import provenance_lines, settings_table
from dnntrain.reporting.tables import tables
from dnntrain.utils.text_layout import TextTable


def to_markdown(summaries: Sequence[Summary]) -> str:
    """All tables and notes of some studies as Markdown (GitHub's tables)."""
    templates = Environment(
        loader=PackageLoader("dnntrain.reporting.exports"), trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    templates.filters["markdown_rows"] = markdown_rows
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


def markdown_rows(table: TextTable) -> list[list[str]]:
    """The headings, the row that sets the alignment, and the rows, with '|' escaped in every cell."""
    alignment = ["---:" if heading in table.right else "---" for heading in table.headings]
    return [[cell.replace("|", "\\|") for cell in row] for row in (table.headings, alignment, *table.rows)]
