"""Studies as LaTeX tables for the booktabs package."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader

from dnntrain.analysis.summary import Summary
from dnntrain.reporting.footer import caption
from dnntrain.reporting.tables import main_table

SPECIAL_CHARACTERS = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "δ": r"$\delta$",
    "α": r"$\alpha$",
    "ε": r"$\varepsilon$",
    "×": r"$\times$",
    "−": r"$-$",
    "<": r"$<$",
    ">": r"$>$",
}
"""LaTeX for the characters that have a meaning there or are missing from its default fonts."""


def to_latex(summaries: Sequence[Summary]) -> str:
    """The main table of each study; the caption says n, spread, test, and correction."""
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
    return templates.get_template("tables.tex.j2").render(tables=[latex_table(summary) for summary in summaries])


def latex_text(text: str) -> str:
    """Escapes LaTeX's special characters."""
    return "".join(SPECIAL_CHARACTERS.get(character, character) for character in text)


def latex_table(summary: Summary) -> dict[str, Any]:
    """What the template needs of one study."""
    table = main_table(summary, wide=False)
    runs = f"Mean ± standard deviation (ddof 1) over up to {max(arm.runs.planned for arm in summary.arms)} seeds."
    return {
        "caption": " ".join([summary.results.record.question, runs, *caption(summary)]).strip(),
        "label": re.sub(r"[^A-Za-z0-9-]", "-", summary.results.name),
        "alignment": "".join("r" if heading in table.right else "l" for heading in table.headings),
        "rows": [table.headings, *table.rows],
    }
