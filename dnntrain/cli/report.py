"""`dnntrain report`: what recorded studies found, as tables, files and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnntrain.cli import completion
from dnntrain.cli.options import Delta, Out, StudyPaths, add_options, refuse_given
from dnntrain.cli.outputs import OUTPUTS, Outputs, output_options
from dnntrain.store.studies import RUNS
from dnntrain.store.study_files import CHANGED
from dnntrain.utils.console import show

if TYPE_CHECKING:
    from dnntrain.reporting.against import StudyComparison
    from dnntrain.store.study_files import Results

WITHOUT_AGAINST = (
    *("sort", "delta", "baseline", "method", "require", "allow_partial", "pairs", "population", "per_class", "follow"),
    *("within", "order", "out"),
    *(name for name in OUTPUTS if name != "as_json"),
)
"""Options that `--against` does not take."""


@add_options(outputs=output_options())
def report(
    context: typer.Context,
    outputs: dict[str, Any],
    paths: StudyPaths,
    out: Out = RUNS,
    metric: Annotated[
        str | None,
        typer.Option("--metric", "-m", metavar="METRIC", autocompletion=completion.metrics,
                     help="what to compare by: val_acc, test_rmse, macro_f1 (on the test part), …; by default the "
                          "study's own. What runs do not record is computed from their predictions"),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(metavar="NAME", autocompletion=completion.one_of(("arm", "mean", "seconds")),
                     help="order of the arms: arm, mean or seconds"),
    ] = None,
    delta: Delta = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="ARM", help="the arm to compare with; by default the study's own")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(metavar="NAME", autocompletion=completion.methods,
                     help="how to compare: moderated (the default), or dunnett, paired or welch for those who must "
                          "report them"),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(metavar="REQUIREMENT",
                     help="check a requirement: 'elu better than relu', 'elu not worse than base - 0.3pp', "
                          "'elu.test_acc >= 85%', 'elu.lost <= 0', 'elu.health == healthy', "
                          "'elu.seconds <= 1.2 * base'; repeatable. Exit code 0: all hold "
                          "(if one were false, in at most about 2.5 % of studies); 1: one fails (if all were true, in "
                          "at most about 2.5 % of studies for each); 3: none fails, but one is inconclusive"),
    ] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="check requirements in studies that lack planned runs, too")
    ] = False,
    against: Annotated[
        tuple[str, str] | None, typer.Option(metavar="STUDY STUDY", help="compare two studies of the same preset")
    ] = None,
    population: Annotated[
        bool, typer.Option("--population", help="judge over other test examples as well, not only over other seeds")
    ] = False,
    per_class: Annotated[
        bool,
        typer.Option("--per-class", help="show precision, recall and F1 of each class, and which classes are confused; "
                                         "--csv then writes a row for each arm and class"),
    ] = False,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="compare every arm with every other, also in Markdown, HTML and JSON")
    ] = False,
    within: Annotated[
        str | None,
        typer.Option(metavar="FACTOR", help="compare the levels of a factor at each setting of the other factors"),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(metavar="'A > B > C'", help="test an order of arms, the best first: each step, and the trend"),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="follow studies while they train, and report when they end"),
    ] = False,
) -> None:  # fmt: skip
    """Show what studies found: which differences are real, how large they are, and how healthy the runs were.

    Examples:
        dnntrain report runs/
        dnntrain report runs/vanishing --metric test_acc --html vanishing.html
        dnntrain report runs/vanishing --require 'elu better than baseline' --quiet
    """
    from dnntrain.api import reports
    from dnntrain.cli import watch
    from dnntrain.reporting.against import compare_studies
    from dnntrain.reporting.gates import exit_code

    if against is not None:
        refuse_given(context, WITHOUT_AGAINST, "not with --against, which prints one table")
        print_comparison(compare_studies(against, paths, metric), bool(outputs["as_json"]))
        return
    shown = Outputs(**outputs)
    shown.check_against(paths)
    shown.check_requirements(require or ())
    if follow:
        watch.follow(paths, out)
    result = reports.report(
        paths, out=out, metric=metric, sort=sort, delta=delta, baseline=baseline, method=method, pairs=pairs,
        population=population, per_class=per_class, within=within,
        order=None if order is None else [name.strip() for name in order.split(">")],
        require=require or (), allow_partial=allow_partial,
    )  # fmt: skip
    warn_of_changes([summary.results for summary in result.summaries])
    shown.write(result)
    raise typer.Exit(exit_code(result.gates))


def print_comparison(comparison: StudyComparison, as_json: bool) -> None:
    """Print two studies side by side, as a table or as JSON."""
    if as_json:
        typer.echo(comparison.to_json())
        return
    show(comparison.table())
    typer.echo("\n".join(comparison.notes))


def warn_of_changes(studies: Sequence[Results]) -> None:
    """Warn on stderr of tables that were edited since they were written."""
    for study in studies:
        if study.is_changed:
            typer.echo(f"warning: {CHANGED.format(study.folder / 'results.csv')}", err=True)
