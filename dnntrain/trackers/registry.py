"""The trackers by name. To add one, write a subclass of `Tracker` and register it here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dnntrain.errors import InputError, did_you_mean
from dnntrain.trackers.base import Tracker
from dnntrain.trackers.mlflow import MLflowTracker
from dnntrain.trackers.tensorboard import TensorBoardTracker
from dnntrain.trackers.wandb import WandbTracker
from dnntrain.utils.plugins import load_plugins, registrar

TrackLike = str | Tracker | Sequence[str | Tracker]
"""One or several trackers: NAME, NAME:WHERE, or a `Tracker`."""

TRACKERS: dict[str, type[Tracker]] = {}
"""Every tracker by the name that `--track` takes."""

register_tracker = registrar("tracker", TRACKERS)
"""Makes a class known under its name; a class decorator."""

register_tracker(TensorBoardTracker)
register_tracker(WandbTracker)
register_tracker(MLflowTracker)


def create_tracker(name: str, where: str | Path | None = None) -> Tracker:
    """Make a tracker.

    Args:
        name: Its name.
        where: Where it logs; by default the tracker's own place.

    Raises:
        InputError: There is no such tracker, or its package is not installed.
    """
    if name not in TRACKERS:
        raise InputError(f"unknown tracker '{name}'{did_you_mean(name, TRACKERS)}")
    try:
        return TRACKERS[name](where)
    except ImportError as error:
        needs = TRACKERS[name].needs
        raise InputError(f"tracker {name}: its package cannot be imported ({error}): pip install '{needs}'") from None


def read_trackers(track: TrackLike) -> list[Tracker]:
    """The trackers that are meant by names, such as `mlflow` or `tensorboard:logs`, and by objects.

    Raises:
        InputError: There is no such tracker, its package is not installed, or two would log to the same place.
    """
    trackers = []
    for each in [track] if isinstance(track, str | Tracker) else track:
        if isinstance(each, Tracker):
            trackers.append(each)
            continue
        if not isinstance(each, str):
            raise InputError(f"track {each!r}: must be a tracker's name, such as 'tensorboard', or a Tracker")
        name, colon, where = each.partition(":")
        if colon and not where:
            raise InputError(f"track '{each}': names no place after the colon; write {name} or {name}:WHERE")
        trackers.append(create_tracker(name, where or None))
    places: dict[Path, Tracker] = {}
    for tracker in trackers:
        other = places.setdefault(Path(tracker.where).absolute(), tracker)
        if other is not tracker:
            raise InputError(f"trackers {other.name} and {tracker.name}: both log to {tracker.where}; name two folders")
    return trackers


load_plugins("dnntrain.trackers", TRACKERS)
