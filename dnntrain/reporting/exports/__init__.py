"""Studies as files: Markdown, LaTeX, one self-contained HTML page, CSV, and JSON. Each module writes one format."""
