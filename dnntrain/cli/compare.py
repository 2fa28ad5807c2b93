"""`dnntrain compare`: judges the arms in anyone's table of runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnntrain.cli import completion
from dnntrain.cli.options import Out, add_options
from dnntrain.cli.outputs import Outputs, output_options, warn_of_requirements
from dnntrain.errors import InputError
from dnntrain.store.studies import RUNS

if TYPE_CHECKING:
    from dnntrain.reporting.results import Report

DECISIONS = {0: "keep", 1: "discard", 3: "undecided"}
"""What `--keep-if` prints, by exit code."""


@add_options(outputs=output_options())
def compare(
    outputs: dict[str, Any],
    tables: Annotated[
        list[Path],
        typer.Argument(
            help="tables with a row per run, or studies by name or folder. Tables are CSV, TSV, Parquet, JSON, or JSON "
            "lines"
        ),
    ],
    out: Out = RUNS,
    arm: Annotated[
        str, typer.Option(metavar="COLUMN", help="the column that names the arms; 'file' if each file is one arm")
    ] = "",
    value: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN[:min]", help="a column to compare by; higher is better unless :min is added (a "
                                                  "loss or an error needs :min or :max); repeatable, and several "
                                                  "are judged as one family"),
    ] = None,
    seed: Annotated[
        str, typer.Option(metavar="COLUMN", help="the column that pairs the runs of two arms; unpaired by default")
    ] = "",
    block: Annotated[
        str, typer.Option(metavar="COLUMN", help="a column such as the data set, to pair by; means over its runs")
    ] = "",
    status: Annotated[
        str, typer.Option(metavar="COLUMN", help="the column that says which runs have a result; by default, a run "
                                                 "without a value is lost")
    ] = "",
    ok: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="the values of --status for runs that have a result")
    ] = None,
    lost_value: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC=X", help="what a lost run counts as, such as the metric of a constant prediction; "
                                              "repeatable"),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="ARM", help="the arm to compare with; by default the first one")
    ] = None,
    delta: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="smallest difference that matters: 2% of the baseline's mean, or a number"),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(metavar="NAME", autocompletion=completion.methods, help="moderated, dunnett, paired or welch"),
    ] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="compare every arm with every other, also in Markdown, HTML and JSON")
    ] = False,
    looks: Annotated[
        str | None,
        typer.Option(metavar="N,N,…", help="for a table that grows: the numbers of seeds at which it is judged (others "
                                           "are errors), or the largest of them: 20 is 5,7,10,14,20"),
    ] = None,
    sort: Annotated[str | None, typer.Option(metavar="NAME", autocompletion=completion.one_of(("arm", "mean")),
                                             help="order of the arms: arm or mean")] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(metavar="REQUIREMENT",
                     help="check 'new better than base' or the like; exit code 0: it holds, 1: it fails, 3: "
                          "inconclusive; repeatable"),
    ] = None,
    keep_if: Annotated[
        str | None,
        typer.Option(metavar="REQUIREMENT", help="print only keep, discard or undecided (code 0, 1, 3)"),
    ] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="check requirements although runs are missing")
    ] = False,
) -> None:  # fmt: skip
    """Judge anyone's runs: which arms differ from the baseline, and by how much.

    Examples:
        dnntrain compare runs.csv --arm optimizer --seed seed --value f1
        dnntrain compare runs.csv --arm optimizer --value f1 --value loss:min
        dnntrain compare runs/vanishing --keep-if 'elu not worse than baseline'
    """
    from dnntrain.analysis.table_layout import read_lost_values
    from dnntrain.api import reports
    from dnntrain.reporting.gates import exit_code

    shown = Outputs(**outputs)
    shown.check_against(tables)
    if keep_if is not None and (require or shown.quiet or shown.to_stdout):
        raise InputError("--keep-if: prints one word, so it takes no --require, no --quiet and no output to stdout")
    shown.check_requirements(require or ())
    result = reports.compare(
        tables,
        out=out, arm=arm, value=value or (), seed=seed, block=block, status=status,
        ok=[] if ok is None else [word.strip() for word in ok.split(",")],
        lost_value=read_lost_values(lost_value or []),
        baseline=baseline, delta=delta, method=method, pairs=pairs, sort=sort,
        looks=None if looks is None else read_looks(looks),
        require=require or (), keep_if=keep_if, allow_partial=allow_partial,
    )  # fmt: skip
    code = exit_code(result.gates)
    if keep_if is None:
        shown.write(result)
    else:
        warn_of_requirements(result)
        warn_of_test_metrics(result)
        shown.write_files(result)
        typer.echo(DECISIONS[code])
    raise typer.Exit(code)


def read_looks(text: str) -> int | Sequence[int]:
    """The numbers of '5,10,20', or the one of '20'."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and len(word) < 7 for word in words):
        raise InputError(f"--looks {text}: must be numbers of seeds, such as 5,10,20, or the largest of them")
    return int(words[0]) if len(words) == 1 else [int(word) for word in words]


def warn_of_test_metrics(report: Report) -> None:
    """Warn on stderr of decisions by a metric of the test set."""
    for summary in report.summaries:
        words = re.split(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])", summary.metric)
        if "test" in map(str.lower, words):
            typer.echo(f"warning: {summary.metric}: a loop that decides by the test set overfits it; "
                       "decide by validation", err=True)  # fmt: skip
