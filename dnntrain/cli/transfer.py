"""`dnntrain transfer`: reuse a trained network, and show what it buys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dnntrain.cli.spec_options import run_keys
from dnntrain.data import DataLocation
from dnntrain.errors import InputError
from dnntrain.store.run_store import RunStore
from dnntrain.studies.study import Study, check_name, folder_name, read_seeds
from dnntrain.studies.transfer import (
    comparison,
    curve,
    inherit_settings,
    read_sizes,
    strategies,
    transfer_settings,
    with_freeze,
)
from dnntrain.transfer_learning.image_models import ARCHITECTURES
from dnntrain.transfer_learning.mlp_backbone import Backbone, MLPBackbone

From = Annotated[
    str | None,
    typer.Option("--from", metavar="RUN|NAME", help=f"a run (runs/STUDY/RUN, or runs/STUDY for its best), or one of "
                                                    f"{', '.join(ARCHITECTURES)}")]  # fmt: skip
Weights = Annotated[Path | None, typer.Option(help="a pretrained network's weights: safetensors, or a state dict")]
Drop = Annotated[int, typer.Option(min=0, help="top hidden layers of the base that are left out")]
Head = Annotated[str, typer.Option(help="new hidden layers above what is reused, as 50 or 50,50")]
Scratch = Annotated[bool, typer.Option("--scratch/--no-scratch", help="the same network from scratch beside it")]
Ladder = Annotated[bool, typer.Option("--ladder", help="the lecture's advice as one study: scratch; frozen; "
                                                       "unfreeze 1, 2, all; drop 1, 2; replace; add")]  # fmt: skip
Curve = Annotated[str | None, typer.Option(metavar="N,N,…", help="accuracy by the number of training examples")]
Name = Annotated[str | None, typer.Option(help="the study's name; made of the settings if not given")]


OF_FROM = ("weights", "drop", "head", "scratch", "rungs", "curve", "name")
"""The options of a transfer that a preset has keys of its own for."""


def transfer_keys() -> list[str]:
    """The fields of a run that `transfer` takes: what is reused has options of its own."""
    return [key for key in run_keys() if key not in ("reuse_from", "transfer_layers")]


def planned(
    base: Backbone, given: dict[str, Any], seeds: str, drop: int, head: str, scratch: bool, rungs: bool,
    sizes: str | None, name: str | None, random_base: str | None,
) -> Study:  # fmt: skip
    """The study that the options ask for."""
    chosen = read_seeds(seeds)
    label = "-".join([base.name.split("@")[0], *(f"{key}={value}" for key, value in given.items())])
    named = "" if name is None else check_name(name, "--name")
    refuse_ignored(base, given, drop=drop, head=head, scratch=scratch, rungs=rungs, sizes=sizes)
    if rungs:
        return strategies(named or folder_name(f"ladder-{label}"), base, given, chosen, head, random_base)
    settings = with_freeze(transfer_settings(base, inherit_settings(base, given), drop, head))
    if sizes is not None:
        return curve(named or folder_name(f"curve-{label}"), base, settings, read_sizes(sizes), chosen, random_base)
    return comparison(named or folder_name(f"transfer-{label}"), base, settings, chosen, random_base, scratch=scratch)


def refuse_ignored(
    base: Backbone, given: dict[str, Any], *, drop: int, head: str, scratch: bool, rungs: bool, sizes: str | None
) -> None:
    """Raise InputError for an option that another one, or what is reused, leaves nothing to decide."""
    if rungs and (drop or sizes is not None):
        raise InputError("--ladder tries every --drop itself, and excludes --curve")
    if rungs and "unfreeze_layers" in given:
        raise InputError("--ladder tries every --unfreeze-layers itself")
    if sizes is not None and "train_size" in given:
        raise InputError("--curve gives the training sizes; leave --train-size out")
    if not scratch and (rungs or sizes is not None):
        raise InputError(f"--no-scratch: {'--ladder' if rungs else '--curve'} compares with scratch")
    if isinstance(base, MLPBackbone):
        for key in ("hidden", "act"):
            if key in given:
                raise InputError(f"--{key}: the layers are those of {base.name}; --drop and --head change them")
    elif "hidden" in given and head:
        raise InputError("--hidden and --head both name the new layers; give one")


def base_of(text: str, weights: Path | None, out: Path, home: DataLocation) -> Backbone:
    """What --from names."""
    from dnntrain.transfer_learning.resolve import resolve_backbone, resolve_run

    if text in ARCHITECTURES:
        from dnntrain.transfer_learning.image_models import fetch

        return resolve_backbone(fetch(text, home, weights), RunStore(out), home)
    if weights is not None:
        raise InputError(f"--weights is for a pretrained network, and --from {text} is none")
    store, run = resolve_run(text, RunStore(out))
    return resolve_backbone(run, store, home)
