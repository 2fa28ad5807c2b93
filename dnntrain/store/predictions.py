"""A run's outputs on held-out examples (predictions.npz, next to its record) and the targets that belong to them.

Runs that share a split share the targets: each distinct array is one file, named by the SHA-256 of its bytes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dnntrain.errors import InputError
from dnntrain.metrics import TargetInfo, metrics_of
from dnntrain.store.records import RunRecord
from dnntrain.utils.files import atomic_file

HELD_OUT = ("val", "test")
"""The parts whose outputs are kept."""

TOLERANCE = 1e-3
"""How far a recorded metric may be from that of the predictions, relative and absolute: another processor rounds
differently, and an example in a thousand may get another class."""

UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile)
"""What NumPy raises for a file that is missing or damaged."""


@dataclass(frozen=True)
class Predictions:
    """What a run predicts for held-out examples with the weights that it keeps. By part: val and test."""

    outputs: Mapping[str, np.ndarray]
    """float32 (rows, units), in the order of the data: logits, or standardized numbers."""
    targets: Mapping[str, np.ndarray]
    """(rows,): class numbers, or standardized numbers."""
    info: Mapping[str, TargetInfo]
    """What metrics need to know of the targets."""

    def metrics(self, task: str) -> dict[str, float]:
        """The metrics of a task by column: val_loss, …"""
        return {
            f"{part}_{metric.name}": metric.from_predictions(self.outputs[part], self.targets[part], self.info[part])
            for part in HELD_OUT
            for metric in metrics_of(task)
        }

    def difference(self, record: RunRecord) -> str:
        """The first recorded metric that these predictions do not give, with both values; empty if there is none."""
        ours = self.metrics(record.data.task)
        for column, theirs in record.results.items():
            value = ours.get(column)
            if value is not None and theirs is not None and not np.isclose(value, theirs, TOLERANCE, TOLERANCE):
                return f"{column} is {theirs:.6g} in the record and {value:.6g} by the predictions"
        return ""


def write_predictions(path: Path, predictions: Predictions, targets_folder: Path) -> None:
    """Write predictions.npz, and the files of targets that are not there yet."""
    arrays: dict[str, Any] = {}
    for part in HELD_OUT:
        content = io.BytesIO()
        np.save(content, predictions.targets[part], allow_pickle=False)
        digest = hashlib.sha256(content.getvalue()).hexdigest()
        target_file = targets_folder / f"{digest}.npy"
        if not (target_file.is_file() and target_file.read_bytes() == content.getvalue()):
            targets_folder.mkdir(parents=True, exist_ok=True)
            with atomic_file(target_file) as scratch:
                scratch.write_bytes(content.getvalue())
        arrays[f"{part}.outputs"] = predictions.outputs[part]
        arrays[f"{part}.targets"] = np.array(digest)
        arrays[f"{part}.info"] = np.array(astuple(predictions.info[part]), np.float64)
    with path.open("wb") as file:
        np.savez(file, **arrays)


def read_predictions(path: Path, targets_folder: Path) -> Predictions | None:
    """Read a predictions.npz with its targets; None if there is none, InputError that names a damaged file."""
    outputs, targets, info = {}, {}, {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            for part in HELD_OUT:
                outputs[part] = arrays[f"{part}.outputs"]
                targets[part] = _read_targets(targets_folder / f"{arrays[f'{part}.targets']}.npy")
                n_classes, deviation, variance = arrays[f"{part}.info"].tolist()
                info[part] = TargetInfo(int(n_classes), deviation, variance)
                if outputs[part].shape[:1] != targets[part].shape or outputs[part].ndim != 2:
                    raise ValueError(f"{part} has outputs {outputs[part].shape} and targets {targets[part].shape}")
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        raise InputError(f"{path}: damaged ({error}); `dnntrain runs evaluate` makes it again") from None
    return Predictions(outputs, targets, info)


def target_files(path: Path, targets_folder: Path) -> list[Path]:
    """The files of targets that a predictions.npz names; none if it is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return [targets_folder / f"{arrays[f'{part}.targets']}.npy" for part in HELD_OUT]
    except UNREADABLE:
        return []


def _read_targets(path: Path) -> np.ndarray:
    """The targets in a file; InputError if it is missing or its bytes are not those that it is named by."""
    remedy = "`dnntrain runs evaluate` makes it again"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; {remedy}") from None
    if hashlib.sha256(content).hexdigest() != path.stem:
        raise InputError(f"{path}: changed since it was written; {remedy}")
    targets: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    return targets
