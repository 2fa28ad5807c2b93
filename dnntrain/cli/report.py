"""`dnntrain report`: what recorded studies found, as tables, files and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnntrain.cli.options import AsJson, refuse_given
from dnntrain.errors import InputError
from dnntrain.store.study_files import CHANGED
from dnntrain.utils.console import show
from dnntrain.utils.files import write_atomic, write_errors

if TYPE_CHECKING:
    from dnntrain.reporting.compare import StudyComparison
    from dnntrain.store.study_files import Results

WITHOUT_COMPARE = ("sort", "delta", "require", "wide", "csv", "md", "latex", "html", "figures")
"""Options that `--compare` does not take."""


def file_option(help: str) -> Any:
    """An option that names a file to write, or '-' for stdout."""
    return typer.Option(metavar="FILE", help=f"{help}; - for stdout")


def report(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="studies, or folders of studies such as runs/")],
    metric: Annotated[
        str | None, typer.Option(help="what to compare by: val_acc, test_acc, val_loss, …; by default the study's own")
    ] = None,
    sort: Annotated[str | None, typer.Option(help="order of the arms: arm, mean or seconds")] = None,
    delta: Annotated[
        str | None, typer.Option(help="smallest difference that matters: 0.3pp, 2% of the baseline's mean, or a number")
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(help="check a requirement such as 'elu >= relu - 0.3pp': exit code 0 if it holds, 1 if it "
                          "fails, 3 if it is inconclusive; repeatable"),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None, typer.Option(metavar="STUDY STUDY", help="compare two studies of the same preset")
    ] = None,
    wide: Annotated[bool, typer.Option("--wide", help="add p, wins by seed, correlation and effect size")] = False,
    csv: Annotated[str | None, file_option("write a row for each arm as CSV")] = None,
    md: Annotated[str | None, file_option("write the tables as Markdown")] = None,
    latex: Annotated[str | None, file_option("write the main tables as LaTeX (booktabs)")] = None,
    html: Annotated[str | None, file_option("write tables, figures and runs as one HTML page")] = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="write the figures to this folder, as PNG and SVG")
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show what studies found: which differences are real, how large they are, and how healthy the runs were."""
    from dnntrain import api
    from dnntrain.reporting.compare import compare_studies
    from dnntrain.reporting.gates import exit_code
    from dnntrain.reporting.terminal import study_report
    from dnntrain.reporting.transfer import transfer_report

    if compare is not None:
        refuse_given(context, WITHOUT_COMPARE, "not with --compare, which prints one table")
        print_comparison(compare_studies(compare, paths, metric), as_json)
        return
    to_stdout = [as_json, *(file == "-" for file in (csv, md, latex, html))].count(True)
    check_stdout(to_stdout, wide)
    result = api.report(paths, metric=metric, sort=sort, delta=delta, require=require or ())
    warn_of_changes([summary.results for summary in result.summaries])
    for file, write in (
        (csv, result.to_csv), (md, result.to_markdown), (latex, result.to_latex), (html, result.to_html)
    ):  # fmt: skip
        if file is not None:
            save(write(), file)
    if figures is not None:
        result.save_figures(figures)
    if as_json:
        typer.echo(result.to_json(), nl=False)
    elif not to_stdout:
        for summary in result.summaries:
            for part in (study_report(summary, wide=wide), *transfer_report(summary)):
                show(part)
        for gate in result.gates:
            typer.echo(f"{gate.answer.name}: {gate.requirement} ({gate.study}): {gate.reason}")
    raise typer.Exit(exit_code(result.gates))


def print_comparison(comparison: StudyComparison, as_json: bool) -> None:
    """Print two studies side by side, as a table or as JSON."""
    if as_json:
        typer.echo(comparison.to_json())
        return
    show(comparison.table())
    typer.echo("\n".join(comparison.notes))


def check_stdout(outputs: int, wide: bool) -> None:
    """Raise InputError if more than one output would go to stdout, or --wide is given without the table."""
    if outputs > 1:
        raise InputError("only one of --json, --csv -, --md -, --latex - and --html - can go to stdout")
    if outputs and wide:
        raise InputError("--wide: is for the table on the terminal, which is not printed here")


def warn_of_changes(studies: Sequence[Results]) -> None:
    """Warn on stderr of tables that were edited since they were written."""
    for study in studies:
        if study.is_changed:
            typer.echo(f"warning: {CHANGED.format(study.folder / 'results.csv')}", err=True)


def save(text: str, file: str) -> None:
    """Write text to a file, atomically, or to stdout for '-'."""
    if file == "-":
        typer.echo(text, nl=False)
        return
    if not file:
        raise InputError("empty file name")
    with write_errors(Path(file)):
        write_atomic(Path(file), [text])
