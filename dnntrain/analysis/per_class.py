"""How well each arm finds each class: confusion matrices, precision, recall and F1, from the runs' predictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dnntrain.analysis.predicted_metrics import predictions_of, remedy
from dnntrain.errors import InputError
from dnntrain.metrics import HELD_OUT, confusion_matrix, f1_scores, precision_and_recall, split_column
from dnntrain.store.provenance import datasets_of
from dnntrain.store.study_files import Results
from dnntrain.store.study_record import StudyRecord


@dataclass(frozen=True)
class ArmClasses:
    """The confusion matrices of an arm's finished runs on one part of the data."""

    arm: str
    part: str
    """val or test."""
    classes: tuple[str, ...]
    matrices: np.ndarray
    """int64 (runs, classes, classes): how often each class (rows) is predicted as each (columns)."""
    missing: int
    """Finished runs without predictions."""

    @cached_property
    def confusion(self) -> np.ndarray:
        """The mean matrix over the runs, float64 (classes, classes)."""
        mean: np.ndarray = self.matrices.mean(axis=0)
        return mean

    @cached_property
    def support(self) -> np.ndarray:
        """Examples of each class, float64 (classes,); the mean over the runs, if seeds split the data differently."""
        support: np.ndarray = self.matrices.sum(axis=2).mean(axis=0)
        return support

    @cached_property
    def figures(self) -> dict[str, np.ndarray]:
        """precision, recall and f1, each float64 (runs, classes); nan where a run does not define it."""
        pairs = [precision_and_recall(matrix) for matrix in self.matrices]
        f1 = [f1_scores(matrix) for matrix in self.matrices]
        precision, recall = (np.array(column) for column in zip(*pairs, strict=True))
        return {"precision": precision, "recall": recall, "f1": np.array(f1)}

    def values(self, figure: str, label: int) -> list[float]:
        """A figure of one class in each run that defines it, for its mean and deviation."""
        return [float(value) for value in self.figures[figure][:, label] if not np.isnan(value)]


def classes_by_arm(results: Results, metric: str, *, must_exist: bool = True) -> list[ArmClasses]:
    """Each arm's confusion matrices, in the study's order, without arms that have no predictions.

    Args:
        results: The study.
        metric: A metric with its part, such as val_acc. Where it is of neither held-out part, the test part is taken.
        must_exist: Whether there being none is an error. If not, the list is empty.

    Raises:
        InputError: If it is a table, or a regression, or no run has predictions, or a file is damaged.
    """
    without = ""
    if results.is_table:
        without = "needs each run's predictions, which a table does not have"
    elif any(data.task != "classification" for data in datasets_of(results.record)):
        without = f"{results.folder} is a regression, which has no classes"
    if without and must_exist:
        raise InputError(f"--per-class: {without}")
    if without:
        return []
    part = split_column(metric)[0]
    part = part if part in HELD_OUT else "test"
    matrices: dict[str, list[np.ndarray]] = {}
    missing: dict[str, int] = {}
    for arm, status, found in zip(results.runs["arm"], results.runs["status"], predictions_of(results), strict=True):
        if found is not None:
            matrix = confusion_matrix(found.outputs[part], found.targets[part], found.info[part].n_classes)
            matrices.setdefault(arm, []).append(matrix)
        elif status == "finished":
            missing[arm] = missing.get(arm, 0) + 1
    if not matrices and must_exist:
        raise InputError(f"--per-class: no run of {results.folder} has predictions; {remedy(results)}")
    return [
        ArmClasses(name, part, _classes_of(results.record, name, len(own[0])), np.array(own), missing.get(name, 0))
        for name in (arm.name for arm in results.record.arms)
        if (own := matrices.get(name))
    ]


def _classes_of(study: StudyRecord, arm: str, n_classes: int) -> tuple[str, ...]:
    """The names of an arm's classes; their numbers if the record does not name them."""
    named = next((data.classes for data in datasets_of(study) if arm in data.arms or not data.arms), [])
    return tuple(named) if len(named) == n_classes else tuple(map(str, range(n_classes)))
