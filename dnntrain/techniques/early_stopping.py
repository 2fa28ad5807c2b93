"""When a run ends, and which epoch's weights it keeps: pure functions of its validation figures so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from dnntrain.metrics import higher_is_better, results_of
from dnntrain.techniques.base import RunExtent, Switch
from dnntrain.utils.fields import hyperparameter


class EarlyStopping(Switch):
    """Stops when validation no longer improves."""

    family = "Early stopping"
    in_graph = False
    name = "early_stop"
    primary = "patience"
    summary = "Ends the run when the validation figure has not improved for some epochs, and keeps the best epoch."
    paper = "Prechelt 1998, Early Stopping - But When?; Keras, EarlyStopping"
    formula = "stop after `patience` epochs without improvement of more than min_delta"
    advice = "Nearly free, and always worth having; patience of 5 to 20 epochs."
    patience: int = hyperparameter(5, "epochs without improvement", ge=1, unit="epochs")
    min_delta: float = hyperparameter(0.0, "smallest change that counts as an improvement", ge=0)
    metric: Literal["val_loss", "val_acc", "val_r2", "val_rmse"] = hyperparameter(
        "val_loss", "what is watched: val_loss, val_acc, or for a regression val_r2 or val_rmse"
    )
    restore: bool = hyperparameter(True, "keep the weights of the best epoch, not of the last")

    def fault(self, run: RunExtent) -> str | None:
        watched = [metric for metric in results_of(run.task) if metric.startswith("val_")]
        if self.metric not in watched:
            return f"early_stop_metric {self.metric}: a {run.task} has {', '.join(watched)}"
        if self.patience >= run.epochs:
            return f"early_stop {self.patience}: never stops a run of {run.epochs} epochs; give fewer than that"
        return None

    def improvements(self, values: Sequence[float]) -> list[int]:
        """The epochs (0-based) at which the watched figure improved on all before by more than min_delta."""
        sign = 1.0 if higher_is_better(self.metric) else -1.0
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
