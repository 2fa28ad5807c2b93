"""`dnntrain train`: one setting, over one or several seeds."""

from __future__ import annotations

import json
from typing import Any

import typer

from dnntrain.cli.options import AsJson, Name, Plan, Seeds, Track, add_options
from dnntrain.cli.plan import plan_or_run, print_result, run_here, warn
from dnntrain.cli.run_options import read_run_options, run_options
from dnntrain.cli.spec_options import run_keys, spec_options
from dnntrain.errors import InputError


@add_options(settings=spec_options(run_keys()), options=run_options())
def train(
    settings: dict[str, Any],
    seeds: Seeds = "1",
    name: Name = None,
    plan: Plan = False,
    track: Track = None,
    as_json: AsJson = False,
    *,
    options: dict[str, Any],
) -> None:
    """Train one setting over one or several seeds, and record the runs.

    `dnntrain techniques` lists techniques, `dnntrain techniques dropout` shows one.

    Examples:
        dnntrain train --act elu --bn --clipnorm 1
        dnntrain train --data houses.csv --target price --optimizer adam -n 5
        dnntrain train --net cnn --schedule 1cycle -e 5
    """
    from dnntrain.studies.build import training_study
    from dnntrain.trackers.registry import read_trackers

    run, trackers = read_run_options(options), read_trackers(track or [])
    study = training_study(settings, seeds, name, run.out, run.home)
    if plan and as_json:
        raise InputError("--json: not with --plan, which records nothing to print")
    if plan:
        plan_or_run(study, run, plan)
        return
    warn(study, run)
    result = run_here(study, run, trackers)
    if as_json:
        typer.echo(json.dumps([record.content() for record in result.records.values()], indent=1))
    else:
        print_result(result)
