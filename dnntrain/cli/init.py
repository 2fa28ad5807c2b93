"""`dnntrain init`: writes a preset for the user's own data."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from dnntrain.cli import completion
from dnntrain.cli.options import DataDir, add_options
from dnntrain.cli.spec_options import spec_options
from dnntrain.data import DataLocation, options
from dnntrain.errors import InputError
from dnntrain.executors.devices import default_workers
from dnntrain.executors.speed import priced_on
from dnntrain.studies.feasibility import check_study, predicted_duration
from dnntrain.studies.new_preset import SHOWN_DEFAULTS, new_preset
from dnntrain.utils.files import write_atomic, write_errors
from dnntrain.utils.times import rough_duration
from dnntrain.utils.words import count_noun

INIT_KEYS = (
    "data",
    *options(),
    "train_size",
    "val",
    "scale",
    "net",
    "hidden",
    "act",
    "optimizer",
    "lr",
    "batch_size",
    "epochs",
)
"""The settings that may be given; the others are for the user to add to the file."""


@add_options(settings=spec_options(INIT_KEYS, defaults=SHOWN_DEFAULTS))
def init(
    settings: dict[str, Any],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="the preset to write")] = Path("study.yaml"),
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="METRIC",
            autocompletion=completion.metrics,
            help="what arms are compared by; by default the task's own",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace the file if it exists")] = False,
    data_dir: DataDir = None,
) -> None:
    """Write a commented preset for your data, with a baseline and a few arms, that runs as it is.

    Examples:
        dnntrain init --data photos/
        dnntrain init houses.yaml --data houses.csv --target price
    """
    if file.suffix not in (".yaml", ".yml"):
        raise InputError(f"{file}: a preset's file ends in .yaml")
    if file.exists() and not force:
        raise InputError(f"{file}: exists already; name another file, or replace it with --force")
    if not file.parent.is_dir():
        raise InputError(f"{file}: there is no folder {file.parent}; create it first")
    if "data" not in settings:
        raise InputError(
            "--data: which data is the study about? A table, a folder of images, … (see dnntrain data list)"
        )
    home = DataLocation.at(data_dir)
    text, study = new_preset(file, settings, metric, home)
    for warning in check_study(study, home):
        typer.echo(f"warning: {warning}", err=True)
    workers = default_workers("auto")
    seconds = predicted_duration(study, workers, home)
    with write_errors(file):
        write_atomic(file, [text])
    typer.echo(
        f"{file}: {len(study.arms)} arms × {len(study.seeds)} seeds, compared by {study.metric}; "
        f"training takes {rough_duration(seconds)} with {count_noun(workers, 'worker')} {priced_on()}"
    )
    typer.echo(f"next: {shlex.join(['dnntrain', 'ablate', str(file)])}")
