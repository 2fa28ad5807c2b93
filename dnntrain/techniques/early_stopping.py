"""When a run ends, and which epoch's weights it keeps: pure functions of a validation metric's history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from dnntrain.errors import did_you_mean
from dnntrain.metrics import VAL_LOSS, metric_columns, metric_of
from dnntrain.techniques.base import RunExtent, Switch
from dnntrain.utils.fields import hyperparameter


def validation_columns(task: str | None = None) -> list[str]:
    """The metrics that are known after every epoch and are not of the training part: val_loss, val_acc, …"""
    return [column for column in metric_columns(task) if column.startswith("val_")]


def check_watched(metric: str) -> str:
    """A metric on the validation part; ValueError otherwise."""
    if metric not in validation_columns():
        raise ValueError(
            f"must be a validation metric{did_you_mean(metric, validation_columns(), 'dnntrain docs metrics')}"
        )
    return metric


def metric_fault(setting: str, metric: str, task: str) -> str | None:
    """Why the validation metric in a setting, such as `select best:val_acc`, does not fit the task; None if it does."""
    known = validation_columns(task)
    return None if metric in known else f"{setting}: a {task} has {', '.join(known)}"


BEST = "best:"
"""What a `select` of the best epoch starts with; the metric follows."""


def read_select(value: object) -> str:
    """`auto`, `last`, or `best:` and a validation metric; ValueError for anything else."""
    text = str(value).strip()
    if text.startswith(BEST):
        check_watched(text.removeprefix(BEST))
    elif text not in ("auto", "last"):
        raise ValueError("must be auto, last, or best:METRIC, such as best:val_acc")
    return text


@dataclass(frozen=True)
class BestEpoch:
    """Finds the best epoch of a run by a validation metric."""

    metric: str
    min_delta: float = 0.0
    """The smallest change that counts as an improvement."""

    def improvements(self, values: Sequence[float]) -> list[int]:
        """The epochs (0-based) whose value of the metric is better than all before by more than min_delta.

        The last of them is the best epoch so far.
        """
        sign = 1.0 if metric_of(self.metric).higher_is_better else -1.0
        best, epochs = -float("inf"), []
        for epoch, value in enumerate(values):
            if sign * value - self.min_delta > best:
                best = sign * value
                epochs.append(epoch)
        return epochs


class EarlyStopping(Switch):
    """Stops when validation no longer improves."""

    family = "Early stopping"
    in_graph = False
    name = "early_stop"
    essential = True
    primary = "patience"
    summary = "Ends the run when the validation metric has not improved for some epochs, and keeps the best epoch."
    paper = "Prechelt 1998, Early Stopping - But When?; Keras, EarlyStopping"
    formula = "stop after `patience` epochs without improvement of more than min_delta"
    advice = "Nearly free, and always worth having; patience of 5 to 20 epochs."
    patience: int = hyperparameter(5, "epochs without improvement", ge=1, unit="epochs")
    min_delta: float = hyperparameter(0.0, "smallest change that counts as an improvement", ge=0)
    metric: Annotated[str, AfterValidator(check_watched)] = hyperparameter(
        VAL_LOSS, f"the metric to watch, one that the data's task has: {', '.join(validation_columns())}"
    )
    restore: bool = hyperparameter(True, "keep the weights of the best epoch, not of the last, where select is auto")

    def fault(self, run: RunExtent) -> str | None:
        if fault := metric_fault(f"early_stop_metric {self.metric}", self.metric, run.task):
            return fault
        if self.patience >= run.epochs:
            return f"early_stop {self.patience}: never stops a run of {run.epochs} epochs; give fewer than that"
        return None

    @property
    def best_epoch(self) -> BestEpoch:
        """What counts as an improvement."""
        return BestEpoch(self.metric, self.min_delta)

    def should_stop(self, values: Sequence[float]) -> bool:
        """Whether `patience` epochs have passed since the last improvement."""
        improved = self.best_epoch.improvements(values)
        return len(values) - 1 - (improved[-1] if improved else -1) >= self.patience
