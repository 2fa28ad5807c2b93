"""Predictions of one or several recorded runs for new data, as a table with a row for each example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dnntrain.data import DataLocation
from dnntrain.data.dataset import class_number, escape_unprintable, join_names
from dnntrain.data.preprocessing import NewData, class_name, is_missing
from dnntrain.data.source import FileSource
from dnntrain.errors import InputError
from dnntrain.inference.recorded import RecordedModel
from dnntrain.metrics import TargetInfo, recorded_metrics
from dnntrain.utils.lazy import pandas as pd


@dataclass(frozen=True, eq=False)
class Predicted:
    """What runs predict for new data."""

    frame: pd.DataFrame
    """A row for each example. Columns: `row` (from 1) or `file`; `prediction`; `confidence`, the probability of the
    predicted class; `spread`, in an ensemble the standard deviation over its members; `p_CLASS` for each class."""
    notes: Sequence[str]
    """On how the data were read, one line each."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """By name, where the data have the target."""
    n_labeled: int = 0
    """How many examples have a target; the metrics are over these."""


def predict_examples(
    models: Sequence[RecordedModel], data: object, proba: bool = False, progress: bool = False
) -> Predicted:
    """Predict new data by the mean over some runs.

    The mean is that of the probabilities, or of the numbers in a regression.

    Args:
        models: One run, or the members of an ensemble.
        data: As in `Preprocessing.read`.
        proba: Whether to add a column for each class.
        progress: Whether to show progress on stderr if this takes long.

    Raises:
        InputError: The data do not fit what the runs were trained on.
    """
    first = models[0]
    if proba and not first.classes:
        raise InputError("--proba: the run predicts a number, so there are no probabilities")
    read = {preprocessing: preprocessing.read(data) for preprocessing in {m.preprocessing: None for m in models}}
    outputs = [model.outputs(read[model.preprocessing].inputs, progress) for model in models]
    columns, mean = (class_columns if first.classes else number_columns)(models, outputs)
    new = read[first.preprocessing]
    identity = {"file": new.files} if new.files else {"row": range(1, len(new.inputs) + 1)}
    frame = pd.DataFrame(identity | columns)
    if proba:
        frame = frame.assign(**{f"p_{name}": p for name, p in zip(first.classes, np.exp(mean).T, strict=True)})
    metrics, n_labeled, label_notes = judged(first, new, mean)
    notes = [note for each in read.values() for note in each.notes] + label_notes + own_data_notes(first, data)
    return Predicted(frame, list(dict.fromkeys(map(escape_unprintable, notes))), metrics, n_labeled)


def own_data_notes(model: RecordedModel, data: object) -> list[str]:
    """A note where the data are the very file or folder that the run was trained on, so that it has seen most of it."""
    source, recorded = model.spec.source, model.record.data
    if not (isinstance(source, FileSource) and isinstance(data, str | Path) and type(source).reads(str(data))):
        return []
    try:
        same = source.model_copy(update={"path": Path(data)}).fingerprint(DataLocation()) == recorded.fingerprint
    except InputError:
        return []  # such as a folder without the run's classes
    n_all = recorded.train_examples + recorded.test_examples
    seen = f"{recorded.train_examples:,} of its {n_all:,} examples are the run's training data, validation included"
    return [f"{data}: the run was trained on this; {seen}, so a score on all of them is too good"] if same else []


def class_columns(
    models: Sequence[RecordedModel], outputs: Sequence[np.ndarray]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The columns of a classification, and the logarithms of the mean probabilities, (N, classes)."""
    logs = np.stack([model.log_probabilities(each) for model, each in zip(models, outputs, strict=True)])
    mean: np.ndarray = np.logaddexp.reduce(logs) - np.log(len(models))
    chosen, every = mean.argmax(axis=1), np.arange(mean.shape[0])
    names = np.array(models[0].classes, object)
    columns: dict[str, np.ndarray] = {"prediction": names[chosen], "confidence": np.exp(mean[every, chosen])}
    if len(models) > 1:
        columns["spread"] = np.exp(logs[:, every, chosen]).std(axis=0, ddof=1)
    return columns, mean


def number_columns(
    models: Sequence[RecordedModel], outputs: Sequence[np.ndarray]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The columns of a regression, and the mean predictions, (N,)."""
    numbers = np.stack([model.to_numbers(each) for model, each in zip(models, outputs, strict=True)])
    mean: np.ndarray = numbers.mean(axis=0)
    columns: dict[str, np.ndarray] = {"prediction": mean}
    if len(models) > 1:
        columns["spread"] = numbers.std(axis=0, ddof=1)
    return columns, mean


def judged(model: RecordedModel, new: NewData, predictions: np.ndarray) -> tuple[dict[str, float], int, list[str]]:
    """The metrics of predictions for the examples that have a target.

    Args:
        model: A run, for its task and classes.
        new: The data.
        predictions: Log-probabilities (N, classes), or numbers in the target's unit (N,).

    Returns:
        The metrics by name, the number of examples that they are over, and notes on labels.
    """
    if new.labels is None:
        return {}, 0, []
    notes: list[str] = []
    if model.classes:
        targets, unknown = class_targets(new.labels, model.classes)
        if unknown and not (new.files and (targets < 0).all()):  # folders need not be named after classes
            notes.append(f"{new.where}: labels that are no class of the run do not count: {join_names(unknown)}")
        known, info = targets >= 0, TargetInfo(len(model.classes))
        outputs, truth = predictions[known], targets[known]
    else:
        numbers = number_targets(new.labels)
        assert model.target is not None  # `to_numbers` has needed it
        mean, deviation = model.target.mean, model.target.deviation
        known = np.isfinite(numbers)
        outputs, truth = (predictions[known, np.newaxis] - mean) / deviation, (numbers[known] - mean) / deviation
        info = TargetInfo(0, deviation, float(truth.var()) if known.any() else 0.0, mean)
    if not known.any():
        return {}, 0, notes
    found = {metric.name: metric.from_predictions(outputs, truth, info) for metric in recorded_metrics(model.info.task)}
    return {name: value for name, value in found.items() if np.isfinite(value)}, int(known.sum()), notes


def class_targets(labels: np.ndarray, classes: tuple[str, ...]) -> tuple[np.ndarray, list[str]]:
    """Class numbers, (N,), -1 where a label is missing or no class; and the labels that are no class."""
    numbers, unknown = {}, []
    for name in dict.fromkeys(class_name(v) for v in labels[~is_missing(labels)].tolist()):
        try:
            numbers[name] = class_number(name, classes)
        except InputError:
            unknown.append(name)
    names = [class_name(value) for value in labels.tolist()]
    return np.array([numbers.get(name, -1) for name in names]), unknown


def number_targets(labels: np.ndarray) -> np.ndarray:
    """Targets as numbers, (N,); nan where one is missing or is no number."""
    return np.array(pd.to_numeric(pd.Series(labels), errors="coerce"), np.float64)
