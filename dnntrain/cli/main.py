"""The command line: parse, call, print. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from dnntrain.cli.data import data_app
from dnntrain.cli.options import RunOptions, check, plan_or_carry_out, print_outcome, run_study, takes_means
from dnntrain.cli.runs import runs_app
from dnntrain.cli.spec_options import read_assignments, refuse_given, run_keys, spec_label, takes_settings
from dnntrain.cli.transfer import (
    OF_FROM,
    Curve,
    Drop,
    From,
    Head,
    Ladder,
    Name,
    Scratch,
    Weights,
    base_of,
    planned,
    transfer_keys,
)  # fmt: skip
from dnntrain.config.keys import flag
from dnntrain.config.renamed import NEW_KEYS
from dnntrain.errors import DnntrainError, InputError, did_you_mean
from dnntrain.transfer_learning.image_models import ARCHITECTURES, fetch
from dnntrain.utils.console import show
from dnntrain.utils.user_dirs import provide_caches

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(data_app, name="data")
app.add_typer(runs_app, name="runs")

# some releases of typer bring their own copy of click, others use the installed one
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
ClickException: type[Exception] = typer.BadParameter.__mro__[2]


@app.callback(invoke_without_command=True)
def root(context: typer.Context) -> None:
    """Which training technique really helps here, and by how much? Ablations over seeds, trained as one."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
@takes_settings(run_keys())
@takes_means
def train(
    settings: dict[str, Any],
    means: RunOptions,
    seeds: Annotated[str, typer.Option(help="how many seeds (5), or which (3,7 or 10-14)")] = "1",
    name: Name = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the records as JSON, for scripts")] = False,
) -> None:
    """Train one setting, over one or several seeds, and record it.

    Example: dnntrain train --act elu --bn --clipnorm 1
    """
    from dnntrain.config.spec import RunSpec
    from dnntrain.studies.study import Arm, Study, check_name, default_metric, folder_name, read_seeds

    spec = RunSpec.parse(settings)
    folder = folder_name(f"train-{spec_label(spec)}") if name is None else check_name(name, "--name")
    arm = Arm(name or spec_label(spec), spec)
    study = Study(folder, (arm,), read_seeds(seeds), metric=default_metric(spec, means.home))
    check(study, means)
    outcome = run_study(study, means)
    if as_json:
        typer.echo(json.dumps(list(outcome.records.values()), indent=1))
    else:
        print_outcome(outcome, means.out)


@app.command()
@takes_means
def ablate(
    means: RunOptions,
    preset: Annotated[str, typer.Argument(help="a preset's file, or the name of one that comes with dnntrain")],
    plan: Annotated[bool, typer.Option("--plan", help="print the arms × seeds, and stop")] = False,
    seeds: Annotated[str | None, typer.Option(help="how many seeds (5), or which (3,7 or 10-14)")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="change the preset's base; repeatable")
    ] = None,
) -> None:
    """Run a preset's arms over its seeds, and report which technique helps.

    What is recorded already is not trained again. Example: dnntrain ablate presets/vanishing.yaml
    """
    from dnntrain.studies.presets import load_preset
    from dnntrain.studies.study import read_seeds

    study = load_preset(preset, read_assignments(assignments or []), means.home)
    if seeds is not None:
        study = study.with_seeds(read_seeds(seeds))
    plan_or_carry_out(study, means, plan)


@app.command()
@takes_settings(transfer_keys())
@takes_means
def transfer(
    context: typer.Context,
    settings: dict[str, Any],
    means: RunOptions,
    preset: Annotated[str | None, typer.Argument(help="a preset's file or name, instead of --from")] = None,
    source: From = None,
    weights: Weights = None,
    drop: Drop = 0,
    head: Head = "",
    scratch: Scratch = True,
    rungs: Ladder = False,
    curve: Curve = None,
    name: Name = None,
    plan: Annotated[bool, typer.Option("--plan", help="print the arms × seeds, and stop")] = False,
    seeds: Annotated[str | None, typer.Option(help="how many seeds (5), or which (3,7 or 10-14)")] = None,
) -> None:
    """Reuse a trained network's lower layers on other data, and show what it buys beside the same from scratch.

    Example: dnntrain transfer --from runs/STUDY/RUN --classes sandal,shirt --train-size 200 --unfreeze-layers all
    """
    from dnntrain.reporting.transfer import print_transfer
    from dnntrain.studies.presets import load_preset
    from dnntrain.studies.study import read_seeds

    if (preset is None) == (source is None):
        raise InputError("give either --from RUN, with what is to be trained, or a preset")
    if preset is not None:
        refuse_given(context, OF_FROM, f"needs --from; {preset} says what is trained")
        study = load_preset(preset, settings, means.home)
        study = study if seeds is None else study.with_seeds(read_seeds(seeds))
    else:
        assert source is not None
        base = base_of(source, weights, means.out, means.home)
        random_base = None if source not in ARCHITECTURES or not scratch else fetch(source, means.home, seed=0)
        study = planned(
            base, settings, "5" if seeds is None else seeds, drop, head, scratch, rungs, curve, name, random_base
        )
    plan_or_carry_out(study, means, plan)
    if not plan:
        print_transfer(means.out / study.name, figures=True)


def target(help: str) -> Any:
    """An option that writes a file, or stdout for '-'."""
    return typer.Option(metavar="FILE", help=f"{help}; - for stdout")


ALONE = ("sort", "delta", "require", "wide", "csv", "md", "latex", "html", "figures")
"""The options that `report --compare` does not take."""


@app.command()
def report(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="studies, or folders of them, as runs/")],
    metric: Annotated[str | None, typer.Option(help="val_acc, test_acc, val_loss, …; by default the study's")] = None,
    sort: Annotated[str | None, typer.Option(help="order of the arms: arm, mean or seconds")] = None,
    delta: Annotated[float | None, typer.Option(help="the difference that matters, in points (0.3)")] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(help="a requirement, as 'elu >= relu - 0.3pp'; exit code 0, 1 or 3"),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None, typer.Option(metavar="STUDY STUDY", help="two studies of one preset side by side")
    ] = None,
    wide: Annotated[bool, typer.Option("--wide", help="also p, wins by seed, correlation, effect size")] = False,
    csv: Annotated[str | None, target("a row an arm as CSV")] = None,
    md: Annotated[str | None, target("the tables as Markdown")] = None,
    latex: Annotated[str | None, target("the main tables as LaTeX (booktabs)")] = None,
    html: Annotated[str | None, target("tables, figures and runs as one HTML page")] = None,
    figures: Annotated[Path | None, typer.Option(metavar="DIR", help="write the figures there, as PNG and SVG")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print everything as JSON, for scripts")] = False,
) -> None:
    """Show what studies found: which differences are real, by how much, and how healthy the runs were."""
    from dnntrain.reporting import exports, output, plain_exports
    from dnntrain.reporting.gates import exit_code, judge
    from dnntrain.reporting.summary import SORTS, summarize
    from dnntrain.reporting.transfer import print_transfer
    from dnntrain.store.study_loading import find_studies

    if sort is not None and sort not in SORTS:
        raise InputError(f"--sort '{sort}'{did_you_mean(sort, SORTS)}")
    if compare is not None:
        refuse_given(context, ALONE, "not with --compare, which prints one table")
        output.print_comparison(compare, paths, metric, as_json)
        return
    to_stdout = [as_json, *(file == "-" for file in (csv, md, latex, html))].count(True)
    output.check_stdout(to_stdout, wide)
    studies = find_studies(paths)
    output.warn_of_changes(studies)
    summaries = [summarize(results, metric, sort, output.read_delta(delta, metric, results)) for results in studies]
    judged = [answer for requirement in require or [] for answer in judge(requirement, studies, metric)]
    writers = {"csv": (csv, plain_exports.to_csv), "md": (md, exports.to_markdown), "latex": (latex, exports.to_latex),
               "html": (html, exports.to_html)}  # fmt: skip
    for file, write in writers.values():
        if file is not None:
            output.save(write(summaries), file)
    if figures is not None:
        from dnntrain.reporting.figures import save_figures

        save_figures(summaries, figures)
    if as_json:
        typer.echo(plain_exports.to_json(summaries, [answer.as_dict() for answer in judged]), nl=False)
    elif "-" not in (csv, md, latex, html):
        for summary in summaries:
            output.print_summary(summary, wide)
            print_transfer(summary.results.folder)
        output.print_judged(judged)
    raise typer.Exit(exit_code(judged))


@app.command()
def techniques(
    name: Annotated[str | None, typer.Argument(help="one technique, for its card")] = None,
) -> None:
    """List the catalogue, or show one technique's card: what, formula, when, flags, preset key, paper."""
    from dnntrain.cli.techniques import card, overview

    show(overview() if name is None else card(name))


def run() -> int:
    """Run the command line; gives the exit code. Every foreseeable error is one message on stderr and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter shows '?', not a traceback
    try:
        provide_caches()
        return app(standalone_mode=False) or 0
    except DnntrainError as error:
        fail(str(error), error.exit_code)
    except UsageError as error:
        context = getattr(error, "ctx", None)
        where = f" (see {context.command_path} --help)" if context else ""
        fail(click_message(error).rstrip(".") + where, 2)
    except ClickException as error:
        fail(click_message(error), getattr(error, "exit_code", 1))
    except typer.Abort:
        raise KeyboardInterrupt from None
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            exit_on_broken_pipe()
        fail(f"{error.filename or 'output'}: {error.strerror or error}", 1)


def exit_on_broken_pipe() -> NoReturn:
    """Whoever reads our output has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def click_message(error: Exception) -> str:
    """A click error's message, with its suggestion, in one line."""
    option = getattr(error, "option_name", "")
    if new := NEW_KEYS.get(option.removeprefix("--").replace("-", "_")):
        return f"{option}: renamed to {flag(new)}"
    text: str = error.format_message()  # type: ignore[attr-defined]
    return " ".join(text.split())


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong, and end."""
    sys.stderr.write(f"error: {message}\n")
    sys.exit(code)
