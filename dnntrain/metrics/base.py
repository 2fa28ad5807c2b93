"""What a metric is, the registry of all metrics, and the metric that every task has: the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dnntrain.utils.lazy import torch
from dnntrain.utils.plugins import declared_by

TRAIN_LOSS, VAL_LOSS = "train_loss", "val_loss"
"""The loss is the one metric that every run has, whatever its task: divergence, the `performance` schedule, and the
choice among several pretrained runs depend on it."""

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
    mean: float = 0.0
    """Mean of the training part's targets, in their own unit; nan if it is not known."""


class Metric:
    """A number that says how good a run's predictions are.

    `from_predictions` computes it exactly from stored outputs, without torch. That is all a metric needs: a report
    computes it from the recorded predictions of any study, and early stopping and `select` from the validation outputs
    of each epoch.

    A metric that is `recorded` is measured after every epoch of every run of its tasks, on the training part too. It
    also needs `update`, which reduces a batch to a few sums per member that add up over batches, and `compute`, which
    turns the totals into the metric.
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
    needs: ClassVar[str] = ""
    """What must be true of the targets that define it, in words; empty if all do."""
    fewest_classes: ClassVar[int] = 0
    """The fewest classes for which it says anything."""
    recorded: ClassVar[bool] = False
    """Whether every run records it: after each epoch, and in results.csv."""
    weighs_classes_equally: ClassVar[bool] = False
    """Whether a rare class counts as much as a frequent one, so that ignoring it shows."""
    constant_is_good: ClassVar[bool] = False
    """Whether a network that ignores its inputs can be good by it. `of_constant` then gives the worst value instead, so
    that an arm cannot gain by losing runs."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" in cls.__dict__:
            known = type(METRICS.get(cls.name))
            # a notebook cell that runs again defines the same class once more
            if cls.name in METRICS and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
                raise TypeError(f"two metrics are named {cls.name!r}; the other one is in {declared_by(known)}")
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
        """The metric of one run's outputs (rows, units) and targets (rows,), which are as in `update`.

        nan where these targets do not define it.
        """
        raise NotImplementedError

    def per_example(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> np.ndarray | None:
        """The value of each example, float64 (rows,), if the metric is their mean; None for any other metric.

        Args: as in `from_predictions`.
        """
        return None

    def of_constant(self, train_targets: np.ndarray, targets: np.ndarray, info: TargetInfo) -> float:
        """The metric of a network that ignores its inputs.

        It predicts the training part's class shares, or the training mean, which standardized targets have at 0.
        A lost run counts as that.
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
    """A metric that follows from the mean of one number per row, in torch and in NumPy alike. Runs record it."""

    recorded = True

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


class ExampleMean(Metric):
    """A metric that is the mean of one number per example, computed from predictions."""

    def per_example(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> np.ndarray:
        raise NotImplementedError

    def from_predictions(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> float:
        return float(self.per_example(outputs, targets, info).mean())


class MeanLoss(RowMean):
    """The mean of the plain loss: cross-entropy (log loss), or the squared error of the standardized target.

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


def squared_errors(outputs: Any, targets: Any) -> Any:
    """(output - target)² of outputs (…, 1) and targets (…)."""
    error = outputs[..., 0] - targets
    return error * error
