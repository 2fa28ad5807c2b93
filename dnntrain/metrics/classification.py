"""Metrics of predicted classes: accuracy, and those that say how well each class is found."""

from __future__ import annotations

from typing import Any

import numpy as np

from dnntrain.metrics.base import PERCENT, ExampleMean, Metric, RowMean, TargetInfo

TOP = 5
"""How many classes the top-5 accuracy looks at."""


class Accuracy(RowMean):
    """The share of examples whose class is predicted right."""

    name, tasks, label = "acc", ("classification",), "accuracy"
    higher_is_better, bounds, unit, decimals = True, (0.0, 1.0), PERCENT, 2
    delta, judges = "0.3pp", ("classification",)

    def rows(self, outputs: Any, targets: Any, losses: Any) -> Any:
        return predicted_classes(outputs) == targets

    def per_example(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> np.ndarray:
        is_right: np.ndarray = self.rows(outputs, targets, None).astype(float)
        return is_right


class TopFiveAccuracy(ExampleMean):
    """The share of examples whose class is among the five most likely; nan with five classes or fewer."""

    name, tasks, label = "top5", ("classification",), "top-5 accuracy"
    higher_is_better, bounds, unit, decimals, delta = True, (0.0, 1.0), PERCENT, 2, "0.3pp"
    needs, fewest_classes = f"more than {TOP} classes", TOP + 1

    def per_example(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> np.ndarray:
        if info.n_classes <= TOP:
            return np.full(len(targets), np.nan)
        # stable, so that equal outputs do not all count as hits
        best = np.argsort(-outputs, axis=1, kind="stable")[:, :TOP]
        is_hit: np.ndarray = (best == targets[:, None]).any(axis=1).astype(float)
        return is_hit


class BalancedAccuracy(Metric):
    """The mean over classes of the share of a class's examples that are found (recall), of the classes that occur."""

    name, tasks, label = "balanced_acc", ("classification",), "balanced accuracy"
    higher_is_better, bounds, unit, decimals, delta = True, (0.0, 1.0), PERCENT, 2, "0.3pp"
    weighs_classes_equally = True

    def from_predictions(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> float:
        matrix = confusion_matrix(outputs, targets, info.n_classes)
        support = matrix.sum(axis=1)
        return float((np.diag(matrix)[support > 0] / support[support > 0]).mean())


class MacroF1(Metric):
    """The mean over classes of F1, of the classes that occur among targets or predictions."""

    name, tasks, label = "macro_f1", ("classification",), "macro F1"
    higher_is_better, bounds, unit, decimals, delta = True, (0.0, 1.0), PERCENT, 2, "0.3pp"
    weighs_classes_equally = True

    def from_predictions(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> float:
        matrix = confusion_matrix(outputs, targets, info.n_classes)
        occurs = matrix.sum(axis=0) + matrix.sum(axis=1) > 0
        return float(f1_scores(matrix)[occurs].mean())


class WeightedF1(Metric):
    """The mean of F1 over classes, weighted by their numbers of examples."""

    name, tasks, label = "weighted_f1", ("classification",), "weighted F1"
    higher_is_better, bounds, unit, decimals, delta = True, (0.0, 1.0), PERCENT, 2, "0.3pp"

    def from_predictions(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> float:
        matrix = confusion_matrix(outputs, targets, info.n_classes)
        return float(np.average(f1_scores(matrix), weights=matrix.sum(axis=1)))


def predicted_classes(outputs: Any) -> Any:
    """The most likely class of outputs (…, units): the largest logit, or class 1 where a single unit is positive."""
    return outputs.argmax(-1) if outputs.shape[-1] > 1 else outputs[..., 0] > 0


def confusion_matrix(outputs: np.ndarray, targets: np.ndarray, n_classes: int) -> np.ndarray:
    """How often each class is predicted as each, int64 (n_classes, n_classes): targets in rows, predictions in columns.

    Args:
        outputs: One run's outputs (rows, units).
        targets: The classes (rows,).
        n_classes: How many there are.
    """
    cells = targets.astype(np.int64) * n_classes + predicted_classes(outputs)
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


def precision_and_recall(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of each class, float64 (n_classes,), from a confusion matrix.

    The precision of a class that is never predicted is nan, and so is the recall of one without examples.
    """
    hits, predicted, actual = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    nothing = np.full(len(matrix), np.nan)
    precision: np.ndarray = np.divide(hits, predicted, out=nothing.copy(), where=predicted > 0)
    recall: np.ndarray = np.divide(hits, actual, out=nothing, where=actual > 0)
    return precision, recall


def f1_scores(matrix: np.ndarray) -> np.ndarray:
    """F1 of each class, float64 (n_classes,), from a confusion matrix: the harmonic mean of precision and recall.

    0 for a class that is never found, even where it is never predicted or has no examples.
    """
    total = matrix.sum(axis=0) + matrix.sum(axis=1)
    scores: np.ndarray = 2 * np.diag(matrix) / np.maximum(total, 1)
    return scores
