"""Studies as files: Markdown, LaTeX, one self-contained HTML page, CSV, and JSON."""

from dnntrain.reporting.exports.csv_json import to_csv, to_json
from dnntrain.reporting.exports.html import html_table, to_html
from dnntrain.reporting.exports.latex import to_latex
from dnntrain.reporting.exports.markdown import to_markdown

__all__ = ["html_table", "to_csv", "to_html", "to_json", "to_latex", "to_markdown"]
