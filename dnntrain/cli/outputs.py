"""How `report` and `compare` show what they found: on the terminal, and as files."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnntrain.cli.options import AsJson, keyword
from dnntrain.errors import InputError
from dnntrain.utils.console import show
from dnntrain.utils.files import write_atomic, write_errors

if TYPE_CHECKING:
    from dnntrain.reporting.results import Report


def file_option(help: str) -> Any:
    """An option that names a file to write, or '-' for stdout."""
    return Annotated[str | None, typer.Option(metavar="FILE", help=f"{help}; - for stdout")]


OUTPUTS: dict[str, Any] = {
    "wide": Annotated[
        bool,
        typer.Option(
            "--wide",
            help="add p, the interval for equivalence, wins, correlation, "
            "effect size, the seeds that each arm needs, how soon it is as good as the baseline in the end, and "
            "how sensitivities change from layer to layer",
        ),
    ],
    "csv": file_option("write a row for each arm as CSV"),
    "history": file_option("write the figures of each layer as CSV, a row for each run, epoch and layer"),
    "md": file_option("write the tables as Markdown"),
    "latex": file_option("write the tables as LaTeX (booktabs)"),
    "html": file_option("write tables, figures and runs as one HTML page"),
    "figures": Annotated[
        Path | None, typer.Option(metavar="DIR", help="write the figures to this folder, as PNG, SVG and PDF")
    ],
    "no_titles": Annotated[
        bool,
        typer.Option("--no-titles", help="figures without title and caption"),
    ],
    "quiet": Annotated[bool, typer.Option("--quiet", help="print only the answers to requirements")],
    "as_json": AsJson,
}
"""The fields of `Outputs` as options of the command line."""

FIGURE_SUFFIXES = ("png", "svg", "pdf")
"""Endings that no folder of figures has."""

STUDY_FILES = ("study.json", "results.csv", "history.csv", "preset.yaml")
"""What a study's folder holds: records, which no report may replace."""


@dataclass(frozen=True)
class Outputs:
    """Where a report goes."""

    wide: bool = False
    csv: str | None = None
    history: str | None = None
    md: str | None = None
    latex: str | None = None
    html: str | None = None
    figures: Path | None = None
    no_titles: bool = False
    quiet: bool = False
    as_json: bool = False

    def __post_init__(self) -> None:
        if self.to_stdout > 1:
            raise InputError(
                "only one of --json, --csv -, --history -, --md -, --latex - and --html - can go to stdout"
            )
        if self.to_stdout and self.wide:
            raise InputError("--wide: is for the table on the terminal, which is not printed here")
        if self.quiet and (self.to_stdout or self.wide):
            raise InputError("--quiet: prints only requirements, so it goes neither with --wide nor output to stdout")
        if self.no_titles and self.figures is None:
            raise InputError("--no-titles: is about the files of --figures, which is not given")
        if self.figures is not None and self.figures.suffix.lower().lstrip(".") in FIGURE_SUFFIXES:
            raise InputError(
                f"--figures {self.figures}: names a file, but takes a folder for all figures in all formats; for one "
                f"figure, use Python: dnntrain.load(STUDY).plot('effects').savefig('{self.figures.name}')"
            )

    @property
    def to_stdout(self) -> int:
        """How many outputs go to stdout instead of the tables."""
        return [self.as_json, *(file == "-" for file in self.files.values())].count(True)

    @property
    def files(self) -> dict[str, str | None]:
        """The file of each option that writes one, or '-' for stdout."""
        return {f"--{name}": getattr(self, name) for name in ("csv", "history", "md", "latex", "html")}

    def check_requirements(self, given: Sequence[str]) -> None:
        """Raise InputError for --quiet without a requirement, which would print nothing."""
        if self.quiet and not given:
            raise InputError("--quiet: prints only the answers to requirements, and no --require is given")

    def check_against(self, inputs: Iterable[Path]) -> None:
        """Raise InputError for a file that would replace what the report is about, or a file of a study."""
        read = {path.resolve() for path in inputs}
        for option, file in self.files.items():
            if not file or file == "-":
                continue
            path = Path(file).resolve()
            if path in read:
                raise InputError(f"{option} {file}: would replace the table that is read; name another file")
            if path.name in STUDY_FILES and (path.parent / "study.json").is_file():
                raise InputError(f"{option} {file}: would replace a study's record; name another file")

    def write(self, report: Report) -> None:
        """Write the files, and print the tables and the answers to requirements unless something else is printed."""
        warn_of_requirements(report)
        self.write_files(report)
        if self.as_json:
            typer.echo(report.to_json(), nl=False)
        elif not self.to_stdout:
            self.print_tables(report)

    def write_files(self, report: Report) -> None:
        """Write the files that were asked for."""
        for file, text in (
            (self.csv, report.to_csv), (self.history, report.to_layer_csv), (self.md, report.to_markdown),
            (self.latex, report.to_latex), (self.html, report.to_html),
        ):  # fmt: skip
            if file is not None:
                save(text(), file)
        if self.figures is not None:
            drawn = report.save_figures(self.figures, titles=not self.no_titles)
            typer.echo(f"wrote {len(drawn)} files to {self.figures}", err=True)

    def print_tables(self, report: Report) -> None:
        """Print the tables unless it is `quiet`, the answers to requirements, and how often exit codes are wrong."""
        from dnntrain.reporting.gates import guarantee
        from dnntrain.reporting.terminal import study_report
        from dnntrain.reporting.transfer import transfer_report

        for summary in () if self.quiet else report.summaries:
            for part in (study_report(summary, wide=self.wide), *transfer_report(summary)):
                show(part)
        answers = [line for gate in report.gates for line in gate.lines]
        for line in filter(None, (*answers, guarantee(report.gates))):
            typer.echo(line)


def warn_of_requirements(report: Report) -> None:
    """Warn on stderr of requirements that may not say what their author meant."""
    for gate in report.gates:
        if gate.finding.warning:
            typer.echo(f"warning: '{gate.requirement}': {gate.finding.warning}", err=True)


def output_options() -> list[inspect.Parameter]:
    """An option for each field of `Outputs`."""
    return [keyword(name, option, getattr(Outputs, name)) for name, option in OUTPUTS.items()]


def save(text: str, file: str, what: str = "") -> None:
    """Write text to a file, atomically, and say so on stderr; for '-', write it to stdout.

    Args:
        text: The content.
        file: The file's path, or '-'.
        what: What is written, such as `20 rows`; by default only the file is named.
    """
    if file == "-":
        typer.echo(text, nl=False)
        return
    if not file:
        raise InputError("empty file name")
    with write_errors(Path(file)):
        write_atomic(Path(file), [text])
    typer.echo(f"wrote {f'{what} to ' if what else ''}{file}", err=True)
