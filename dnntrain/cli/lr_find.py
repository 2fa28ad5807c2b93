"""`dnntrain lr-find`: a learning-rate range test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dnntrain.cli.options import AsJson, Seeds, add_options
from dnntrain.cli.run_options import read_run_options, run_options
from dnntrain.cli.spec_options import run_keys, spec_options
from dnntrain.config.range_test import UNUSED_OPTIONS, unused_settings
from dnntrain.utils.console import console, show


@add_options(
    settings=spec_options(key for key in run_keys() if key not in unused_settings()),
    options=[option for option in run_options() if option.name not in UNUSED_OPTIONS],
)
def lr_find(
    settings: dict[str, Any],
    low: Annotated[float, typer.Option("--from", metavar="LR", help="the rate of the first step")] = 1e-6,
    high: Annotated[float, typer.Option("--to", metavar="LR", help="the rate of the last step")] = 10.0,
    steps: Annotated[int, typer.Option(metavar="N", help="training steps, each at a higher rate")] = 200,
    seeds: Seeds = "5",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="write the curve to this folder, as CSV and PNG")
    ] = None,
    as_json: AsJson = False,
    *,
    options: dict[str, Any],
) -> None:
    """Find a learning rate: train while the rate grows from step to step, and look where the loss falls.

    Trains a few hundred steps over several seeds; nothing is recorded. It takes most flags of `train`.

    Examples:
        dnntrain lr-find --net cnn --optimizer adam
        dnntrain lr-find --from 1e-4 --to 1 --steps 100 -o curve
    """
    from dnntrain.api.range_test import run_rates
    from dnntrain.statistics.range_test import RateRange
    from dnntrain.studies.range_test import check_range_study, range_study

    tried, run = RateRange(low, high, steps), read_run_options(options)
    study = range_study(settings, seeds, run)
    for reason in check_range_study(study, run):
        typer.echo(f"warning: {reason}", err=True)
    result = run_rates(study, tried, run, console(stderr=True), owns_process=True)
    if as_json:
        typer.echo(result.to_json(), nl=False)
    else:
        show(result)
    if out is not None:
        for path in result.save(out):
            typer.echo(f"wrote {path}", err=as_json)
