"""The loss by which each task is measured, and on which a run trains unless its `loss` names another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import ClassVar, Self

from dnntrain.nn.layer import VJP, autograd_vjp
from dnntrain.nn.losses import cross_entropy, log_probabilities
from dnntrain.utils.lazy import torch


class Loss:
    """The loss of each row, from outputs (P, rows, units) and targets (P or 1, rows)."""

    def losses(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The loss of each row, (P, rows), differentiable."""
        raise NotImplementedError

    def value_and_vjp(self, outputs: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        """The losses (P, rows), and the map from their gradient (P, rows) to that of the outputs (P, rows, units).

        By autograd, unless a loss has a formula of its own.
        """
        return autograd_vjp(self.losses, outputs, args=[y])

    def total_weight(self, y: torch.Tensor, real: int) -> float | torch.Tensor:
        """The divisor that turns the sum of a batch's losses into their mean.

        Args:
            y: The targets, (P, rows).
            real: The number of real rows.

        Returns:
            The number of real rows; where examples have weights, their sum over the real rows, (P, 1).
        """
        return real

    def select(self, members: Sequence[int]) -> Self:
        """The loss of some members, by their indices."""
        return self


class PlainLoss(Loss):
    """The loss by which a task is measured."""

    task: ClassVar[str]
    """classification or regression."""
    output: ClassVar[str]
    """The run's `output` that it belongs to."""

    def average(self, passes: Iterable[torch.Tensor], count: int) -> torch.Tensor:
        """The outputs (P, rows, units) that stand for the mean prediction of `count` passes with dropout on."""
        raise NotImplementedError


class ClassLoss(PlainLoss):
    """The cross-entropy of one kind of output."""

    task = "classification"

    def log_probabilities(self, outputs: torch.Tensor) -> torch.Tensor:
        """The logarithm of each class's probability, (P, classes, rows), from outputs (P, rows, units)."""
        raise NotImplementedError

    def to_outputs(self, grad: torch.Tensor) -> torch.Tensor:
        """The gradient of the outputs, (P, rows, units), from that of one logit per class, (P, classes, rows)."""
        raise NotImplementedError


class CategoricalCrossEntropy(ClassLoss):
    """-log softmax(outputs) at the label, one output per class."""

    output = "softmax"

    def losses(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return cross_entropy(outputs, y)

    def value_and_vjp(self, outputs: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        log_p, label = log_probabilities(outputs), y.unsqueeze(1)
        minus_one = torch.full_like(label, -1, dtype=log_p.dtype)

        def backward(grad: torch.Tensor) -> tuple[torch.Tensor]:
            # softmax(outputs), less one at the label
            slope = log_p.exp_().scatter_add_(1, label, minus_one).mul_(grad.unsqueeze(1))
            return (slope.transpose(1, 2).contiguous(),)

        return log_p.gather(1, label).squeeze(1).neg_(), backward

    def average(self, passes: Iterable[torch.Tensor], count: int) -> torch.Tensor:
        # in logarithms, because a probability may be too small for a float in every pass
        return reduce(torch.logaddexp, map(log_probabilities, passes)).transpose(1, 2) - math.log(count)

    def log_probabilities(self, outputs: torch.Tensor) -> torch.Tensor:
        return log_probabilities(outputs)

    def to_outputs(self, grad: torch.Tensor) -> torch.Tensor:
        return grad.transpose(1, 2).contiguous()


class BinaryCrossEntropy(ClassLoss):
    """-log sigmoid(±output), positive for class 1: two classes, one output."""

    output = "sigmoid"

    def losses(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.softplus(outputs.squeeze(2) * (1 - 2 * y))

    def value_and_vjp(self, outputs: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        sign = 1 - 2 * y
        slope = torch.sigmoid(outputs.squeeze(2) * sign) * sign
        return self.losses(outputs, y), lambda grad: ((slope * grad).unsqueeze(2),)

    def average(self, passes: Iterable[torch.Tensor], count: int) -> torch.Tensor:
        return torch.logit(reduce(torch.add, (torch.sigmoid(p) for p in passes)) / count)

    def log_probabilities(self, outputs: torch.Tensor) -> torch.Tensor:
        logit = outputs.transpose(1, 2)
        return -torch.nn.functional.softplus(torch.cat([logit, -logit], dim=1))

    def to_outputs(self, grad: torch.Tensor) -> torch.Tensor:
        return grad[:, 1].unsqueeze(2)


class SquaredError(PlainLoss):
    """(output - target)², the target in standard deviations of the training part from its mean."""

    task, output = "regression", "softmax"  # the default, which a regression leaves as it is

    def losses(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (outputs.squeeze(2) - y).square()

    def average(self, passes: Iterable[torch.Tensor], count: int) -> torch.Tensor:
        return reduce(torch.add, passes) / count


def choose_loss(task: str, output: str) -> PlainLoss:
    """The plain loss of a task and of the run's `output` setting."""
    losses: tuple[type[PlainLoss], ...] = (CategoricalCrossEntropy, BinaryCrossEntropy, SquaredError)
    return next(loss() for loss in losses if (loss.task, loss.output) == (task, output))
