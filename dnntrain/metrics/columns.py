"""The columns that metrics have in tables of runs: the part of the data with the metric's name, such as test_acc."""

from __future__ import annotations

from collections.abc import Collection

from dnntrain.errors import InputError, did_you_mean
from dnntrain.metrics.base import METRICS, Metric

HELD_OUT = ("val", "test")
"""The parts that are not trained on, whose predictions are kept."""

PARTS = ("train", *HELD_OUT, "mc_test")
"""What a metric is measured on; mc_test is the test part with Monte Carlo dropout."""

DEFAULT_METRIC = "test_acc"
"""What a study of a classification is judged by, unless it names another metric."""

ALIASES = {"log_loss": "loss"}
"""Other names of metrics: the loss of a classification is the log loss."""


def metrics_of(task: str) -> list[Metric]:
    """The metrics of a task, in the order of their columns."""
    return [metric for metric in METRICS.values() if task in metric.tasks]


def recorded_metrics(task: str) -> list[Metric]:
    """The metrics that every run of a task records, in the order of their columns."""
    return [metric for metric in metrics_of(task) if metric.recorded]


def recorded_columns(task: str | None = None) -> list[str]:
    """The columns that every run of a task records: train_loss, train_acc, val_loss, …; of any task without one."""
    metrics = METRICS.values() if task is None else metrics_of(task)
    return [f"{part}_{metric.name}" for part in PARTS for metric in metrics if metric.recorded]


def metric_columns(task: str | None = None) -> list[str]:
    """A task's columns: those that runs record, then those that are computed from predictions on held-out parts.

    Every metric's without a task.
    """
    metrics = METRICS.values() if task is None else metrics_of(task)
    computed = [f"{part}_{metric.name}" for part in HELD_OUT for metric in metrics if not metric.recorded]
    return recorded_columns(task) + computed


def column_named(text: str) -> str:
    """The column that a user means: 'macro_f1' is on the test part, 'val_log_loss' is val_loss; other text as it is.

    Raises:
        InputError: If it is no text.
    """
    if isinstance(text, TableColumn):
        return text
    if not isinstance(text, str):
        raise InputError(f"metric {text!r}: must be a name, such as val_acc or macro_f1")
    part, name = split_column(text)
    name = ALIASES.get(name, name)
    return f"{part or 'test'}_{name}" if name in METRICS else text


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
        raise InputError(f"unknown metric '{column}'{did_you_mean(column, metric_columns(), 'dnntrain docs metrics')}")
    if part not in HELD_OUT and not METRICS[name].recorded:
        raise InputError(f"metric {column}: {name} is computed from predictions, of the parts {' and '.join(HELD_OUT)}")
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
