"""`dnntrain runs track`: logs recorded studies in TensorBoard, Weights & Biases, or MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dnntrain.cli import completion
from dnntrain.cli.options import Runs
from dnntrain.errors import InputError
from dnntrain.store.studies import RUNS


def track(
    studies: Annotated[list[str], typer.Argument(autocompletion=completion.studies, help="studies by name or folder")],
    to: Annotated[
        str,
        typer.Option(
            metavar="TRACKER",
            autocompletion=completion.one_of(("tensorboard", "wandb", "mlflow")),
            help="tensorboard, wandb or mlflow",
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="WHERE",
            help="folder (for mlflow also a URI) to log to; by default the tracker's own",
        ),
    ] = None,
    runs: Runs = RUNS,
) -> None:
    """Log recorded studies to a tracker. Runs that it already has are left as they are.

    Examples:
        dnntrain runs track vanishing --to tensorboard
        dnntrain runs track vanishing --to mlflow -o http://localhost:5000
    """
    from dnntrain.analysis.summary import summarize
    from dnntrain.api.trackers import track as track_study
    from dnntrain.reporting.results import StudyResult, StudySummary
    from dnntrain.store.studies import find_studies, is_study
    from dnntrain.trackers.registry import create_tracker

    tracker = create_tracker(to, out)
    for name in studies:
        if not name or not ((runs / name).exists() or Path(name).exists()):
            raise InputError(f"no study '{name}' in {runs}, and no such folder")
    folders = [(runs / name).absolute() if is_study(runs / name) else Path(name).absolute() for name in studies]
    for results in find_studies(folders):
        result = StudyResult(StudySummary(summarize(results)))
        logged = track_study(result, tracker)
        there = len(result.runs) - logged
        typer.echo(
            f"{result.name}: {logged} of {len(result.runs)} runs logged to {tracker.name} ({tracker.where})"
            + (f"; {there} were there already" if there else "")
        )
