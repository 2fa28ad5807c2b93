"""`dnntrain runs time`: times a study's arms again, under equal conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dnntrain.cli import completion
from dnntrain.cli.options import AsJson, DataDir, Out, TrustCode
from dnntrain.data import DataLocation
from dnntrain.errors import InputError, did_you_mean
from dnntrain.store.studies import RUNS, is_study, open_store, open_study, recorded_studies
from dnntrain.utils.console import ProgressConsole, show


def time_runs(
    study: Annotated[str, typer.Argument(autocompletion=completion.studies, help="a study by name or folder")],
    rounds: Annotated[int, typer.Option(metavar="N", help="how often each arm is timed, at least 6")] = 30,
    steps: Annotated[int, typer.Option(metavar="N", help="training steps in a round")] = 20,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", "-n", metavar="N", help="runs in each population; by default the study's seeds"),
    ] = None,
    out: Out = RUNS,
    data_dir: DataDir = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Time the training steps and predictions of a study's arms, each as a population of the same size.

    The times of recorded runs depend on how many runs trained together and on what else the machine did. Here all arms
    are timed in turn, round by round, on one core, by the time that the processor spends on them. Reports then show how
    many times the baseline's each arm's times are. Nothing is recorded as a run.

    Examples:
        dnntrain runs time activations
        dnntrain runs time activations --rounds 60 --json
    """
    from dnntrain.executors.environment import prepare_this_process
    from dnntrain.reporting.timing import time_lines, times_table
    from dnntrain.studies.timing import TimingOptions, time_study

    prepare_this_process()  # as a worker's, which decides the kernels
    open_store(out)
    folder = next((folder for folder in (out / study, Path(study)) if study and is_study(folder)), None)
    if folder is None:
        near = did_you_mean(study, [each.name for each in recorded_studies(out)])
        raise InputError(f"no study '{study}' in {out}{near}")
    results = open_study(folder)
    options = TimingOptions(rounds, steps, seeds, DataLocation.at(data_dir), trust_code)
    with ProgressConsole().status("timing") as status:
        times = time_study(results, options, lambda done: status.update(f"timing: {done} of {rounds} rounds"))
    times.write(results.folder)
    baseline = results.record.baseline
    if as_json:
        typer.echo(times.to_json(), nl=False)
        return
    show(times_table(times, baseline))
    for line in time_lines(times, baseline):
        show(line)
