"""`dnntrain ablate`: the arms of a preset, compared over several seeds."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dnntrain.cli import completion
from dnntrain.cli.options import Delta, MaxSeeds, Plan, Seeds, Track, UntilResolved, add_options, read_study_request
from dnntrain.cli.plan import plan_or_run
from dnntrain.cli.run_options import read_run_options, run_options
from dnntrain.cli.spec_options import Assignments, read_assignments


@add_options(options=run_options())
def ablate(
    preset: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.presets, help="a preset's file, or the name of one that comes with dnntrain"
        ),
    ],
    plan: Plan = False,
    seeds: Seeds = None,
    until_resolved: UntilResolved = False,
    max_seeds: MaxSeeds = None,
    delta: Delta = None,
    track: Track = None,
    assignments: Assignments = None,
    *,
    options: dict[str, Any],
) -> None:
    """Train a preset's arms over several seeds, and report which techniques help.

    Runs that are recorded are not trained again.

    Examples:
        dnntrain ablate vanishing --plan
        dnntrain ablate vanishing --seeds 10
        dnntrain ablate presets/vanishing.yaml --set epochs=3 --delta 0.5pp
    """
    from dnntrain.studies.build import preset_study
    from dnntrain.trackers.registry import read_trackers

    run, trackers = read_run_options(options), read_trackers(track or [])
    request = read_study_request(seeds, until_resolved, max_seeds, delta)
    study = preset_study(preset, read_assignments(assignments or []), request, run.home)
    plan_or_run(study, run, plan, trackers)
