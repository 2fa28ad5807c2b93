"""`dnntrain report`: what recorded studies found, as tables, files and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dnntrain.cli.options import AsJson, refuse_given

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
        float | None, typer.Option(help="smallest difference that matters, in percentage points (0.3)")
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
    from dnntrain.reporting import output
    from dnntrain.reporting.gates import exit_code
    from dnntrain.reporting.transfer import print_transfer

    if compare is not None:
        refuse_given(context, WITHOUT_COMPARE, "not with --compare, which prints one table")
        output.print_comparison(compare, paths, metric, as_json)
        return
    to_stdout = [as_json, *(file == "-" for file in (csv, md, latex, html))].count(True)
    output.check_stdout(to_stdout, wide)
    made = api.report(paths, metric=metric, sort=sort, delta=delta, require=require or ())
    output.warn_of_changes([summary.results for summary in made.summaries])
    for file, write in (
        (csv, made.to_csv), (md, made.to_markdown), (latex, made.to_latex), (html, made.to_html)
    ):  # fmt: skip
        if file is not None:
            output.save(write(), file)
    if figures is not None:
        made.save_figures(figures)
    if as_json:
        typer.echo(made.to_json(), nl=False)
    elif not to_stdout:
        for summary in made.summaries:
            output.print_summary(summary, wide)
            print_transfer(summary)
        output.print_judged(made.gates)
    raise typer.Exit(exit_code(made.gates))
