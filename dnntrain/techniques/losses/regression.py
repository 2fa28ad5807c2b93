"""Losses of a regression to train on: squared, absolute and Huber's, all of the standardized target."""

from __future__ import annotations

import numpy as np

from dnntrain.nn.layer import VJP
from dnntrain.techniques.losses.plain import Loss, PlainLoss
from dnntrain.techniques.losses.training import TrainingLoss
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class RegressionTrainingLoss(TrainingLoss):
    """A function of the error: the output minus the target, in standard deviations of the training targets."""

    task = "regression"

    def value_and_slope(self, error: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of each error (P, rows), and its derivative."""
        raise NotImplementedError

    def objective(self, plain: PlainLoss, class_counts: np.ndarray, device: torch.device) -> Loss:
        return RegressionObjective(self)


class RegressionObjective(Loss):
    """A `RegressionTrainingLoss` of P members."""

    def __init__(self, technique: RegressionTrainingLoss) -> None:
        self.technique = technique

    def losses(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.technique.value_and_slope(outputs.squeeze(2) - y)[0]

    def value_and_vjp(self, outputs: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        losses, slope = self.technique.value_and_slope(outputs.squeeze(2) - y)
        return losses, lambda grad: ((slope * grad).unsqueeze(2),)


class Squared(RegressionTrainingLoss):
    """The plain loss of a regression."""

    name = "squared"
    summary = "The squared error: the plain loss of a regression."
    paper = "Gauss 1809, Theoria motus corporum coelestium"
    formula = "e², e = (output - target) in standard deviations of the training targets"
    advice = "Predicts the mean. A few outliers can dominate it: huber or absolute resist them."

    def objective(self, plain: PlainLoss, class_counts: np.ndarray, device: torch.device) -> Loss:
        return plain


class Absolute(RegressionTrainingLoss):
    """The absolute error."""

    name = "absolute"
    summary = "The absolute error, for which outliers count no more than their distance."
    paper = "Laplace 1774, Mémoire sur la probabilité des causes par les événements"
    formula = "|e|, e = (output - target) in standard deviations of the training targets"
    advice = "Predicts the median. Its gradient does not shrink near the target, so decay the learning rate."

    def value_and_slope(self, error: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return error.abs(), error.sign()


class Huber(RegressionTrainingLoss):
    """Squared near the target, absolute far from it."""

    name = "huber"
    summary = "Squared for small errors and absolute for large ones."
    paper = "Huber 1964, Robust Estimation of a Location Parameter"
    formula = "½ e² if |e| ≤ δ, else δ (|e| - ½ δ), e in standard deviations of the training targets"
    advice = "For targets with outliers. Its small errors have half the gradient of squared."
    delta: float = hyperparameter(
        1.0, "error at which it becomes linear, δ", unit="standard deviations of the training targets", gt=0, le=1e6
    )

    def value_and_slope(self, error: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        slope = error.clamp(-self.delta, self.delta)
        return slope * (error - 0.5 * slope), slope
