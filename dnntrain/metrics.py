"""Metrics: how good predictions are. Each metric is one class, and everything that shows or compares it asks the class.

A metric is measured on several parts of the data. A column of results.csv, and what `--metric` takes, is the part with
the metric's name: `val_acc`, `test_rmse`, `mc_test_loss`.

Declaring a subclass of `Metric` with a `name` registers it. From then on it is recorded for every run of its tasks, and
`--metric`, early stopping, tables, figures and requirements know it. Each process that trains must have imported it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dnntrain.errors import InputError, did_you_mean
from dnntrain.utils.lazy import torch

PARTS = ("train", "val", "test", "mc_test")
"""What a metric is measured on; mc_test is the test part with Monte Carlo dropout."""

TRAIN_LOSS, VAL_LOSS = "train_loss", "val_loss"
"""The loss is the one metric that every run has, whatever its task: divergence, the `performance` schedule, and the
choice among several pretrained runs depend on it."""

DEFAULT_METRIC = "test_acc"
"""What a study of a classification is judged by, unless it names another metric."""

PERCENT = "%"
"""The unit of a share: shown in percent, differences in percentage points."""

METRICS: dict[str, Metric] = {}
"""Every metric by its name, in the order of declaration, which is the order of the columns."""


@dataclass(frozen=True)
class TargetInfo:
    """What a metric may need to know about a part's targets beyond the targets themselves."""

    n_classes: int = 0
    """0 for a regression."""
    deviation: float = 1.0
    """Standard deviation of the training part's targets, in their own unit: targets and outputs are in multiples."""
    variance: float = 1.0
    """Variance of this part's targets, standardized."""


class Metric:
    """A number that says how good a run's predictions are.

    During training, `update` reduces a batch to a few sums per member, which add up over batches, and `compute` turns
    the totals into the metric. `from_predictions` computes the same from stored outputs, without torch.
    """

    name: str
    tasks: tuple[str, ...]
    """classification, regression, or both."""
    label: str
    """The name in sentences and figures."""
    higher_is_better: bool
    unit: ClassVar[str] = ""
    """`PERCENT` for a share; else what follows the number on an axis. Empty for a pure number."""
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    """The lowest and the highest possible value."""
    decimals: ClassVar[int | None] = None
    """Decimals shown, of percent for a share; None for as many as the standard deviation supports."""
    delta: ClassVar[str] = "1%"
    """The smallest difference that matters by default, as `analysis.margins` reads it: a share of the baseline's mean
    ('1%'), points of a share ('0.3pp'), or a number in the metric's own unit."""
    judges: ClassVar[tuple[str, ...]] = ()
    """The tasks whose studies are judged by this metric unless they name another: on the test part."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" in cls.__dict__:
            if cls.name in METRICS:
                raise TypeError(f"two metrics are named {cls.name!r}")
            METRICS[cls.name] = cls()

    @property
    def is_share(self) -> bool:
        """Whether it is shown in percent."""
        return self.unit == PERCENT

    @property
    def scale(self) -> float:
        """The factor from the value to the number shown: 100 for shares."""
        return 100.0 if self.is_share else 1.0

    def unit_of(self, task: str) -> str:
        """The unit in a task, for a metric whose unit depends on it; empty for a pure number."""
        return self.unit

    def update(self, outputs: torch.Tensor, targets: torch.Tensor, losses: torch.Tensor) -> torch.Tensor:
        """Reduce some rows to sums.

        Args:
            outputs: The network's outputs (P, rows, units): logits, log-probabilities or standardized numbers.
            targets: (P or 1, rows); class numbers, or standardized numbers.
            losses: The loss of each row, (P, rows).

        Returns:
            float64 (k, P): k sums per member, the same k for every batch.
        """
        raise NotImplementedError

    def compute(self, totals: np.ndarray, info: TargetInfo) -> np.ndarray:
        """The metric of each member, float64 (P,), from its totals (k, P) over all batches."""
        raise NotImplementedError

    def from_predictions(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> float:
        """The metric of one run's outputs (rows, units) and targets (rows,), which are as in `update`."""
        raise NotImplementedError

    def per_example(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> np.ndarray | None:
        """The value of each example, float64 (rows,), if the metric is their mean; None for any other metric.

        Args: as in `from_predictions`.
        """
        return None

    def of_constant(self, train_targets: np.ndarray, targets: np.ndarray, info: TargetInfo) -> float:
        """The metric of a network that ignores its inputs.

        It predicts the training part's class shares, or the training mean, which standardized targets have at 0.
        """
        if info.n_classes:
            shares = np.bincount(train_targets, minlength=info.n_classes) / len(train_targets)
            output = np.log(np.maximum(shares, np.finfo(float).tiny))
        else:
            output = np.zeros(1)
        return self.from_predictions(np.tile(output, (len(targets), 1)), targets, info)

    def impossible(self, value: float) -> str | None:
        """What is wrong with a value that the metric cannot have, with a hint at percent; None for any other."""
        low, high = self.bounds
        if low <= value <= high:
            return None
        both = math.isfinite(low) and math.isfinite(high)
        bounds = f"from {low:g} to {high:g}" if both else f"at most {high:g}" if value > high else f"{low:g} or more"
        percent = f"; did you mean {value / 100:.6g} ({value:.6g} %)?" if high < value <= 100 else ""
        return f"must be {bounds}, not {value:.6g}{percent}"


class RowMean(Metric):
    """A metric that follows from the mean of one number per row."""

    def rows(self, outputs: Any, targets: Any, losses: Any) -> Any:
        """The number of each row, (P, rows); torch tensors or NumPy arrays."""
        raise NotImplementedError

    def from_mean(self, mean: np.ndarray, info: TargetInfo) -> np.ndarray:
        """The metric from the mean over all rows."""
        return mean

    def update(self, outputs: torch.Tensor, targets: torch.Tensor, losses: torch.Tensor) -> torch.Tensor:
        values = self.rows(outputs, targets, losses)
        total = values.sum(dim=1, dtype=torch.float64)
        return torch.stack([total, torch.full_like(total, values.shape[1])])

    def compute(self, totals: np.ndarray, info: TargetInfo) -> np.ndarray:
        return self.from_mean(totals[0] / totals[1], info)

    def from_predictions(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> float:
        return float(self.from_mean(self.rows(outputs.astype(float), targets, None).mean(), info))


class MeanLoss(RowMean):
    """The mean loss: cross-entropy, or the squared error of the standardized target.

    On the training part during training, it is the loss that the run trains on, if its `loss` names another one.
    """

    name, tasks, label = "loss", ("classification", "regression"), "loss"
    higher_is_better, bounds, unit = False, (0.0, math.inf), "nats"

    def unit_of(self, task: str) -> str:
        return self.unit if task == "classification" else ""  # a standardized target has no unit

    def rows(self, outputs: Any, targets: Any, losses: Any) -> Any:
        return losses

    def per_example(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> np.ndarray:
        outputs = outputs.astype(float)
        if not info.n_classes:
            losses: np.ndarray = squared_errors(outputs, targets)
        elif outputs.shape[1] == 1:
            losses = np.logaddexp(0, outputs[:, 0] * (1 - 2 * targets))  # -log sigmoid(±z)
        else:
            chosen = np.take_along_axis(outputs, targets[:, None], axis=1)[:, 0]
            losses = np.logaddexp.reduce(outputs, axis=1) - chosen
        return losses

    def from_predictions(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> float:
        return float(self.per_example(outputs, targets, info).mean())


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


class R2(RowMean):
    """The share of the target's variance that is explained, 1 - MSE / variance; nan where the targets are all equal."""

    name, tasks, label = "r2", ("regression",), "R²"
    higher_is_better, bounds, delta = True, (-math.inf, 1.0), "0.01"

    def rows(self, outputs: Any, targets: Any, losses: Any) -> Any:
        return squared_errors(outputs, targets)

    def from_mean(self, mean: np.ndarray, info: TargetInfo) -> np.ndarray:
        r2: np.ndarray = 1 - mean / (info.variance or np.nan)
        return r2


class RootMeanSquaredError(RowMean):
    """The root of the mean squared error, in the target's own unit."""

    name, tasks, label = "rmse", ("regression",), "RMSE"
    higher_is_better, bounds, unit = False, (0.0, math.inf), "units of the target"
    judges = ("regression",)

    def rows(self, outputs: Any, targets: Any, losses: Any) -> Any:
        return squared_errors(outputs, targets)

    def from_mean(self, mean: np.ndarray, info: TargetInfo) -> np.ndarray:
        rmse: np.ndarray = np.sqrt(mean) * info.deviation
        return rmse


def predicted_classes(outputs: Any) -> Any:
    """The most likely class of outputs (…, units): the largest logit, or class 1 where a single unit is positive."""
    return outputs.argmax(-1) if outputs.shape[-1] > 1 else outputs[..., 0] > 0


def squared_errors(outputs: Any, targets: Any) -> Any:
    """(output - target)² of outputs (…, 1) and targets (…)."""
    error = outputs[..., 0] - targets
    return error * error


def metrics_of(task: str) -> list[Metric]:
    """The metrics of a task, in the order of their columns."""
    return [metric for metric in METRICS.values() if task in metric.tasks]


def metric_columns(task: str | None = None) -> list[str]:
    """A task's columns in their order, train_loss, train_acc, val_loss, …; every metric's without a task."""
    metrics = METRICS.values() if task is None else metrics_of(task)
    return [f"{part}_{metric.name}" for part in PARTS for metric in metrics]


def split_column(column: str) -> tuple[str, str]:
    """Part and metric: 'val_acc' → ('val', 'acc'). A column of a table that dnntrain did not write has no part."""
    if isinstance(column, TableColumn):
        return "", column
    part = next((part for part in PARTS if column.startswith(f"{part}_")), "")
    return part, column.removeprefix(f"{part}_")


class ColumnMetric(Metric):
    """What is known of the numbers in a column of a table that dnntrain did not write: which direction is better."""

    tasks = ()

    def __init__(self, name: str, higher_is_better: bool) -> None:
        self.name = self.label = name
        self.higher_is_better = higher_is_better


class TableColumn(str):
    """The name of a column in a table that dnntrain did not write, which knows how to read its numbers."""

    metric: Metric

    def __new__(cls, name: str, metric: Metric) -> TableColumn:
        """Make the name; `metric` says its direction, unit and bounds."""
        column = super().__new__(cls, name)
        column.metric = metric
        return column


def metric_of(column: str) -> Metric:
    """The metric of a column such as val_acc; InputError with the nearest column where there is none."""
    if isinstance(column, TableColumn):
        return column.metric
    part, name = split_column(column)
    if not part or name not in METRICS:
        raise InputError(f"unknown metric '{column}'{did_you_mean(column, metric_columns())}")
    return METRICS[name]


def score_of(task: str) -> Metric:
    """What people judge a run of the task by: its first metric that is better the higher (accuracy, or R²)."""
    return next(metric for metric in metrics_of(task) if metric.higher_is_better)


def default_metric(task: str) -> str:
    """What studies of a task are judged by unless they name another metric: one on the test part."""
    return next(f"test_{metric.name}" for metric in METRICS.values() if task in metric.judges)


def validation_column(column: str) -> str:
    """The validation counterpart of a column: 'test_acc' → 'val_acc'; itself for a table that is not dnntrain's."""
    return column if isinstance(column, TableColumn) else f"val_{metric_of(column).name}"


def task_of(column: str, columns: Collection[str]) -> str:
    """The task of a study that is judged by a metric.

    Args:
        column: The metric with its part, such as val_loss.
        columns: All columns of the study. If the metric has several tasks, the one whose score is among them counts.

    Returns:
        The task; empty for a column of a table that dnntrain did not write.
    """
    tasks = metric_of(column).tasks
    return next((task for task in tasks if f"val_{score_of(task).name}" in columns), tasks[0] if tasks else "")


def study_score(column: str, columns: Collection[str]) -> Metric:
    """The score of a study's task, which is shown along with the study's metric; without a task, the metric itself.

    See `task_of` for the arguments.
    """
    task = task_of(column, columns)
    return score_of(task) if task else metric_of(column)
