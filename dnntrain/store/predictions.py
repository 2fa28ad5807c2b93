"""A run's outputs on held-out examples (predictions.npz, next to its record) and the targets that belong to them.

Runs that share a split share the targets: each distinct array is one file, named by the SHA-256 of its bytes.
The means over passes with Monte Carlo dropout have the same form (mc-100.npz).
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dnntrain.errors import InputError
from dnntrain.metrics import HELD_OUT, METRICS, TargetInfo, split_column
from dnntrain.store.records import RunRecord
from dnntrain.utils.files import atomic_file

ARRAY_NAMES = {f"{part}.{what}" for part in HELD_OUT for what in ("outputs", "targets", "info")}
ARRAY_NAMES |= {"train.mean", "train.counts"}
"""The names of all arrays in a predictions.npz. Older files lack those of the training part."""

TOLERANCE = 1e-3
"""How far a recorded metric may be from that of the predictions, relative and absolute: another processor rounds
differently, and an example in a thousand may get another class."""

UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile)
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
    train_counts: np.ndarray | None = None
    """How many training examples each class has, (classes,); None for a regression, and in older files."""

    @property
    def is_complete(self) -> bool:
        """Whether it has all that metrics may ask for; older files lack the class counts or the mean of the targets."""
        info = self.info["test"]
        return self.train_counts is not None if info.n_classes else not math.isnan(info.mean)

    def metric(self, column: str) -> float:
        """A metric of a held-out part, such as test_macro_f1; nan if it is not defined there."""
        part, name = split_column(column)
        return METRICS[name].from_predictions(self.outputs[part], self.targets[part], self.info[part])

    def constant(self, column: str) -> float:
        """The same of a network that ignores its inputs; nan if it is not defined, or not known."""
        part, name = split_column(column)
        if self.train_counts is None and self.info[part].n_classes:
            return math.nan
        train = np.repeat(np.arange(self.info[part].n_classes), [] if self.train_counts is None else self.train_counts)
        return METRICS[name].of_constant(train, self.targets[part], self.info[part])

    def difference(self, record: RunRecord) -> str:
        """The first recorded metric that these predictions do not give, with both values; empty if there is none."""
        for column, theirs in record.results.items():
            part, name = split_column(column)
            if theirs is None or part not in HELD_OUT or name not in METRICS:
                continue
            value = self.metric(column)
            if not np.isclose(value, theirs, TOLERANCE, TOLERANCE):
                return f"{column} is {theirs:.6g} in the record and {value:.6g} by the predictions"
        return ""


def write_predictions(path: Path, predictions: Predictions, targets_folder: Path) -> None:
    """Write predictions.npz, and the files of targets that are not there yet."""
    # first, since a damaged file may seem to lack its last arrays, and without these it looks like an old one
    arrays: dict[str, Any] = {"train.mean": np.array(predictions.info["test"].mean)}
    if predictions.train_counts is not None:
        arrays["train.counts"] = predictions.train_counts
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
        info = predictions.info[part]
        arrays[f"{part}.info"] = np.array([info.n_classes, info.deviation, info.variance], np.float64)
    with path.open("wb") as file:
        np.savez(file, **arrays)


def read_predictions(path: Path, targets_folder: Path) -> Predictions | None:
    """Read a predictions.npz with its targets; None if there is none, InputError that names a damaged file."""
    outputs, targets, info = {}, {}, {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if unknown := {*arrays.files} - ARRAY_NAMES:
                raise ValueError(f"it has '{min(unknown)}'")
            mean, counts = float(arrays.get("train.mean", math.nan)), arrays.get("train.counts")
            for part in HELD_OUT:
                outputs[part] = arrays[f"{part}.outputs"]
                targets[part] = _read_targets(targets_folder / f"{arrays[f'{part}.targets']}.npy")
                n_classes, deviation, variance = arrays[f"{part}.info"].tolist()
                info[part] = TargetInfo(int(n_classes), deviation, variance, mean)
                if outputs[part].shape[:1] != targets[part].shape or outputs[part].ndim != 2:
                    raise ValueError(f"{part} has outputs {outputs[part].shape} and targets {targets[part].shape}")
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        raise InputError(f"{path}: damaged ({error}); `dnntrain runs evaluate` makes it again") from None
    return Predictions(outputs, targets, info, counts)


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
