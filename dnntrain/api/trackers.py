"""Logs recorded studies in trackers: `track`."""

from __future__ import annotations

from pathlib import Path

from dnntrain.api.reports import load
from dnntrain.errors import DnntrainError, InputError
from dnntrain.reporting.results import StudyResult
from dnntrain.trackers.base import Tracker
from dnntrain.trackers.registry import create_tracker


def track(study: str | Path | StudyResult, to: str | Tracker, where: str | Path | None = None) -> int:
    """Log a recorded study to TensorBoard, Weights & Biases, or MLflow.

        dt.track("runs/vanishing", "mlflow", where="mlruns")

    Runs that the tracker already has are left as they are; the summary table and the study's files are replaced.

    Args:
        study: The study, or its folder.
        to: The tracker: 'tensorboard', 'wandb', 'mlflow', or a `Tracker`.
        where: A folder, or for MLflow also a server's URI; by default the tracker's own place.

    Returns:
        How many runs were logged.

    Raises:
        InputError: If there is no such study or tracker, or the tracker's package is not installed.
        DnntrainError: If the tracker failed.
    """
    if isinstance(to, Tracker) and where is not None:
        raise InputError(f"where {where}: the tracker has a place of its own, {to.where}")
    tracker = to if isinstance(to, Tracker) else create_tracker(to, where)
    result = study if isinstance(study, StudyResult) else load(study)
    try:
        return tracker.track(result)
    except DnntrainError:
        raise
    except Exception as error:  # anything: a tracker's package has errors of its own
        file = error.filename if isinstance(error, OSError) else None
        said = f"{file}: {error.strerror}" if file else f"{type(error).__name__}: {error}"  # type: ignore[attr-defined]
        raise DnntrainError(f"tracker {tracker.name}: {said}") from error
