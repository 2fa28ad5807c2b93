"""When a run ends, and which epoch's weights it keeps: pure functions of a validation metric's history."""

from __future__ import annotations

from collections.abc import Sequence
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
        raise ValueError(f"must be a validation metric{did_you_mean(metric, validation_columns())}")
    return metric


class EarlyStopping(Switch):
    """Stops when validation no longer improves."""

    family = "Early stopping"
    in_graph = False
    name = "early_stop"
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
    restore: bool = hyperparameter(True, "keep the weights of the best epoch, not of the last")

    def fault(self, run: RunExtent) -> str | None:
        watchable = validation_columns(run.task)
        if self.metric not in watchable:
            return f"early_stop_metric {self.metric}: a {run.task} has {', '.join(watchable)}"
        if self.patience >= run.epochs:
            return f"early_stop {self.patience}: never stops a run of {run.epochs} epochs; give fewer than that"
        return None

    def improvements(self, values: Sequence[float]) -> list[int]:
        """The epochs (0-based) whose value of the metric is better than all before by more than min_delta."""
        sign = 1.0 if metric_of(self.metric).higher_is_better else -1.0
        best, epochs = -float("inf"), []
        for epoch, value in enumerate(values):
            if sign * value - self.min_delta > best:
                best = sign * value
                epochs.append(epoch)
        return epochs

    def should_stop(self, values: Sequence[float]) -> bool:
        """Whether `patience` epochs have passed since the last improvement."""
        improved = self.improvements(values)
        return len(values) - 1 - (improved[-1] if improved else -1) >= self.patience
