"""`dnntrain transfer`: reuse a trained network, and measure what that gains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnntrain.cli import completion
from dnntrain.cli.options import (
    Delta,
    MaxSeeds,
    Name,
    Plan,
    Seeds,
    Track,
    UntilResolved,
    add_options,
    read_study_request,
    refuse_given,
)
from dnntrain.cli.plan import plan_or_run
from dnntrain.cli.run_options import read_run_options, run_options
from dnntrain.cli.spec_options import Assignments, read_assignments, run_keys, spec_options
from dnntrain.errors import InputError
from dnntrain.transfer_learning.image_models import ARCHITECTURES
from dnntrain.utils.console import show

if TYPE_CHECKING:
    from dnntrain.analysis.summary import Summary

NEEDS_SOURCE = ("weights", "drop", "head", "scratch", "strategies", "reuse_depths", "train_sizes", "name")
"""Options that a preset has keys of its own for."""
ESSENTIAL = ("data", "classes", "train_size", "lr", "epochs", "freeze_epochs", "unfreeze_layers")
"""The settings that `--help` describes here."""


def transfer_keys() -> list[str]:
    """The fields of a run that have a flag here; what is reused has options of its own."""
    return [key for key in run_keys() if key not in ("reuse_from", "transfer_layers")]


@add_options(settings=spec_options(transfer_keys(), ESSENTIAL), options=run_options())
def transfer(
    context: typer.Context,
    preset: Annotated[
        str | None,
        typer.Argument(autocompletion=completion.presets, help="a preset's file or name, instead of --from"),
    ] = None,
    *,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="RUN|NAME",
            autocompletion=completion.sources,
            help=f"a run, a study's best run, or a pretrained network. Pretrained are {', '.join(ARCHITECTURES)}",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", rich_help_panel="Transfer", help="pretrained weights: safetensors or a state dict"
        ),
    ] = None,
    drop: Annotated[int, typer.Option(metavar="N", min=0, help="top hidden layers to leave out")] = 0,
    head: Annotated[str, typer.Option(metavar="N,N,…", help="new hidden layers on top, such as 50 or 50,50")] = "",
    scratch: Annotated[
        bool, typer.Option("--scratch/--no-scratch", help="also train the same network from scratch")
    ] = True,
    strategies: Annotated[
        bool,
        typer.Option(
            "--strategies",
            help="compare the usual ways to reuse the layers. Those are scratch, frozen, unfreezing 1, 2 or all layers "
            "(at a tenth of the rate, and at the same rate), and the same after dropping 1 or 2, replacing one or "
            "adding one",
        ),
    ] = False,
    reuse_depths: Annotated[
        str | None,
        typer.Option(metavar="K,K,…", help="compare reusing these numbers of lower layers"),
    ] = None,
    train_sizes: Annotated[
        str | None,
        typer.Option(metavar="N,N,…", help="compare with scratch at these training sizes"),
    ] = None,
    assignments: Assignments = None,
    settings: dict[str, Any],
    name: Name = None,
    plan: Plan = False,
    seeds: Seeds = None,
    until_resolved: UntilResolved = False,
    max_seeds: MaxSeeds = None,
    delta: Delta = None,
    track: Track = None,
    options: dict[str, Any],
) -> None:
    """Reuse a trained network's layers on other data, and compare with training anew.

    Examples:
        dnntrain transfer transfer-depth --plan
        dnntrain transfer --from STUDY --classes coat,shirt --train-size 200
        dnntrain transfer --from resnet18 --data photos/ --strategies --seeds 3
    """
    from dnntrain.studies.build import TransferDesign, preset_study, transfer_study
    from dnntrain.trackers.registry import read_trackers

    trackers = read_trackers(track or [])
    run, request = read_run_options(options), read_study_request(seeds, until_resolved, max_seeds, delta)
    if preset is not None and source is None:
        refuse_given(context, NEEDS_SOURCE, f"needs --from; {preset} says what is trained")
        study = preset_study(preset, settings_with(settings, assignments), request, run.home)
    elif source is not None and preset is None:
        if assignments:
            raise InputError("--set: changes a preset; with --from, give the flag of the setting")
        design = TransferDesign(drop, head, scratch, strategies, reuse_depths, train_sizes)
        study = transfer_study(
            source, settings, design, weights=weights, request=request, name=name, out=run.out, home=run.home
        )
    else:
        raise InputError("give either --from RUN, with what is to be trained, or a preset")
    if result := plan_or_run(study, run, plan, trackers):
        print_transfer(result.summary.analysis)


def settings_with(settings: dict[str, Any], assignments: list[str] | None) -> dict[str, Any]:
    """The settings of flags and of `--set`; InputError for one that is given both ways."""
    more = read_assignments(assignments or [])
    if twice := settings.keys() & more.keys():
        raise InputError(f"--set {min(twice)}: given by its flag, too")
    return settings | more


def print_transfer(summary: Summary) -> None:
    """Print what the transfer gained. A study of several arms is drawn too, into the study's folder."""
    from dnntrain.analysis.transfer import sized_pairs
    from dnntrain.reporting.figures import save_figures
    from dnntrain.reporting.transfer import transfer_report

    for part in transfer_report(summary):
        show(part)
    if len(summary.arms) > 2:
        figures = ("-training-size.png" if sized_pairs(summary) else "-effects.png", "-strategies.png")
        for path in save_figures([summary], summary.results.folder / "figures", ("png",)):
            if path.name.endswith(figures):
                typer.echo(f"figure: {path}")
