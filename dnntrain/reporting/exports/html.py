"""Studies as one HTML page that needs no other file: the tables, the figures, and the runs behind them."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader

from dnntrain.analysis.summary import Summary
from dnntrain.reporting.class_tables import class_tables
from dnntrain.reporting.footer import footer
from dnntrain.reporting.provenance import provenance_lines, settings_table
from dnntrain.reporting.tables import main_table, tables, wide_tables
from dnntrain.utils.fields import format_value
from dnntrain.utils.text_layout import TextTable


def to_html(summaries: Sequence[Summary]) -> str:
    """A page with all tables, figures, and runs of some studies."""
    page = _templates().get_template("page.html.j2")
    return page.render(studies=[page_section(summary) for summary in summaries]) + "\n"


def html_table(table: TextTable) -> str:
    """One table, with its title above it."""
    return _templates().get_template("table.html.j2").render(table=table)


@cache
def _templates() -> Environment:
    """The HTML templates, which escape every value."""
    loader = PackageLoader("dnntrain.reporting.exports")
    templates = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    templates.filters["true_minus"] = true_minus
    return templates


def true_minus(cell: str) -> str:
    """A cell of numbers with minus signs for the hyphens before them; a range or an exponent keeps its own."""
    return re.sub(r"(?<![\w.)])-(?=\.?\d)", "−", cell)


def page_section(summary: Summary) -> dict[str, Any]:
    """What the page's template needs of one study."""
    runs = summary.results.runs
    cells = [[cell_text(cell) for cell in row] for row in runs.rows()]
    return {
        "name": summary.results.name,
        "question": summary.results.record.question,
        "tables": list(tables(summary)),
        "folded": folded_tables(summary),
        "notes": list(footer(summary, wide=True)),
        "provenance": list(provenance_lines(summary, full=True)),
        "settings": settings_table(summary),
        "figures": list(embedded_figures(summary)),
        "runs": TextTable("", list(runs.columns), cells),
    }


def folded_tables(summary: Summary) -> dict[str, list[TextTable]]:
    """The tables that the page folds away, by what they show: the numbers behind the verdicts, and classes."""
    folded = {}
    if summary.family and len(summary.results.runs):
        what = "more numbers: p, effect sizes, seeds that each arm needs"
        folded[what] = [main_table(summary, wide=True), *wide_tables(summary)]
    if summary.classes and not summary.per_class:
        folded["precision, recall and F1 of each class"] = [*class_tables(summary, summary.classes)]
    return folded


def embedded_figures(summary: Summary) -> Iterator[dict[str, str]]:
    """The study's figures by name, as base64 of their SVG."""
    from dnntrain.reporting.figures import draw_all, file_names, rendered  # matplotlib takes long to import

    [study] = file_names([summary.results.name])
    for kind, figure in draw_all(summary):
        yield {"name": f"{study}-{kind}", "svg": base64.b64encode(rendered(figure, "svg")).decode()}


def cell_text(value: object) -> str:
    """A cell of the table of runs in full precision; empty for nan."""
    return "" if isinstance(value, float) and math.isnan(value) else format_value(value)
