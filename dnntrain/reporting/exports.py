"""A study as a document: Markdown, LaTeX (booktabs), and one self-contained HTML page."""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from dnntrain.reporting import formatting
from dnntrain.reporting.summary import Summary
from dnntrain.reporting.tables import main_table, tables
from dnntrain.utils.fields import format_value
from dnntrain.utils.text_layout import TextTable


def to_markdown(summaries: Sequence[Summary]) -> str:
    """Every study's tables as Markdown."""
    parts = []
    for summary in summaries:
        parts += [f"## {summary.results.name}", summary.results.record.question]
        parts += [markdown_table(table) for table in tables(summary)]
        parts += ["\n".join(f"- {line}" for line in formatting.footer(summary))]
    return "\n\n".join(filter(None, parts)) + "\n"


def markdown_table(table: TextTable) -> str:
    """One table in Markdown's own form."""
    rule = ["---:" if heading in table.right else "---" for heading in table.headings]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [table.headings, rule, *table.rows]]
    title = f"**{table.title}**\n\n" if table.title else ""
    return title + "\n".join(f"| {' | '.join(row)} |" for row in cells)


LATEX = {
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


def latex_text(text: str) -> str:
    """The text with what LaTeX would read as its own escaped."""
    return "".join(LATEX.get(character, character) for character in text)


def to_latex(summaries: Sequence[Summary]) -> str:
    """Every study's main table for booktabs; the caption says n, spread, test and correction."""
    return "\n".join(latex_table(summary) for summary in summaries)


def latex_table(summary: Summary) -> str:
    """One study's main table."""
    table = main_table(summary, wide=False)
    columns = "".join("r" if heading in table.right else "l" for heading in table.headings)
    lines = [" & ".join(latex_text(cell) for cell in row) + r" \\" for row in [table.headings, *table.rows]]
    runs = f"Mean ± standard deviation (ddof 1) over up to {max(arm.planned for arm in summary.arms)} seeds."
    caption = latex_text(" ".join([summary.results.record.question, runs, *formatting.footer(summary)]))
    label = re.sub(r"[^A-Za-z0-9-]", "-", summary.results.name)
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{caption.strip()}}}",
            f"  \\label{{tab:{label}}}",
            f"  \\begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            f"    {lines[0]}",
            r"    \midrule",
            *(f"    {line}" for line in lines[1:]),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem; text-align: left; } th { border-bottom: 2px solid #222; }
tr + tr td { border-top: 1px solid #ddd; } .right { text-align: right; white-space: nowrap; }
figure { margin: 2rem 0; } img { max-width: 100%; } .note { color: #555; }
details { margin: 1rem 0; } .scroll { overflow-x: auto; }
"""


def to_html(summaries: Sequence[Summary]) -> str:
    """One page that needs nothing beside it: the tables, the figures, and the runs behind them."""
    body = "\n".join(html_study(summary) for summary in summaries)
    title = ", ".join(summary.results.name for summary in summaries)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def html_study(summary: Summary) -> str:
    """One study's section."""
    runs = summary.results.runs
    everything = TextTable(
        "", list(runs.columns), [[cell_text(c) for c in row] for row in runs.itertuples(index=False)]
    )
    return "\n".join(
        [
            f"<section>\n<h1>{html.escape(summary.results.name)}</h1>",
            f"<p><em>{html.escape(summary.results.record.question)}</em></p>",
            *(html_table(table) for table in tables(summary, wide=True)),
            *(
                f'<p class="note">{html.escape(line)}</p>'
                for line in (*formatting.footer(summary), *formatting.implied(summary))
            ),
            *html_figures(summary),
            f"<details><summary>every run</summary>{html_table(everything)}</details>",
            "</section>",
        ]
    )


def html_table(table: TextTable) -> str:
    """One table."""

    def row(tag: str, cells: Sequence[str]) -> str:
        marks = [' class="right"' if heading in table.right else "" for heading in table.headings]
        parts = (f"<{tag}{mark}>{html.escape(c)}</{tag}>" for mark, c in zip(marks, cells, strict=True))
        return f"<tr>{''.join(parts)}</tr>"

    title = f"<h2>{html.escape(table.title)}</h2>" if table.title else ""
    rows = "\n".join(row("td", cells) for cells in table.rows)
    return f'{title}<div class="scroll"><table>\n{row("th", table.headings)}\n{rows}\n</table></div>'


def html_figures(summary: Summary) -> list[str]:
    """The figures, inside the page."""
    from dnntrain.reporting.figures import save_figures

    with TemporaryDirectory() as folder:
        paths = save_figures([summary], Path(folder), formats=("svg",))
        encoded = [base64.b64encode(path.read_bytes()).decode() for path in paths]
    sources = (f"data:image/svg+xml;base64,{data}" for data in encoded)
    names = (html.escape(path.stem) for path in paths)
    return [f'<figure><img src="{src}" alt="{name}"></figure>' for src, name in zip(sources, names, strict=True)]


def cell_text(value: object) -> str:
    """A cell of the runs' table, in full; empty where there is nothing."""
    return "" if isinstance(value, float) and math.isnan(value) else format_value(value)
