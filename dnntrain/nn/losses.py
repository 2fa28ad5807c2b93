"""What a network learns to do: its loss, and the figures that are made of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch

from dnntrain.nn.layer import VJP, autograd_vjp


class Task(ABC):
    """Turns outputs (P, rows, units) and targets (P or 1, rows) into losses and figures."""

    @abstractmethod
    def losses(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The loss of each row, (P, rows), differentiable."""

    def value_and_vjp(self, outputs: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        """The losses, and the way back from their gradient, the rows' shares (P, rows), to the outputs."""
        return autograd_vjp(self.losses, outputs, args=[y])

    @abstractmethod
    def scores(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """What the score is the mean of, (P, rows)."""

    @abstractmethod
    def figures(self, part: str, loss: np.ndarray, score: np.ndarray) -> dict[str, np.ndarray]:
        """The part's figures by name, each (P,), from the mean loss and score over its rows, each (P,)."""

    @abstractmethod
    def average(self, passes: Iterable[torch.Tensor], count: int) -> torch.Tensor:
        """The outputs that the mean of `count` noisy passes predicts: Monte Carlo dropout."""


class Classification(Task):
    """Cross-entropy over classes; accuracy."""

    def losses(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return cross_entropy(outputs, y)

    def value_and_vjp(self, outputs: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        log_p, label = log_probabilities(outputs), y.unsqueeze(1)
        less = torch.full_like(label, -1, dtype=log_p.dtype)

        def back(shares: torch.Tensor) -> tuple[torch.Tensor]:
            # softmax less one at the label
            gradient = log_p.exp_().scatter_add_(1, label, less).mul_(shares.unsqueeze(1))
            return (gradient.transpose(1, 2).contiguous(),)

        return log_p.gather(1, label).squeeze(1).neg_(), back

    def scores(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (outputs.argmax(dim=2) == y).float()

    def figures(self, part: str, loss: np.ndarray, score: np.ndarray) -> dict[str, np.ndarray]:
        return {f"{part}_loss": loss, f"{part}_acc": score}

    def average(self, passes: Iterable[torch.Tensor], count: int) -> torch.Tensor:
        # in logarithms: a probability may be too small for a float in every pass
        return reduce(torch.logaddexp, map(log_probabilities, passes)).transpose(1, 2) - math.log(count)


class Binary(Classification):
    """Two classes told apart by one unit: binary cross-entropy of a sigmoid."""

    def losses(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        # -log sigmoid(±z), the sign by the class
        return torch.nn.functional.softplus(outputs.squeeze(2) * (1 - 2 * y))

    def value_and_vjp(self, outputs: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        sign = 1 - 2 * y
        slope = torch.sigmoid(outputs.squeeze(2) * sign) * sign
        return self.losses(outputs, y), lambda shares: ((slope * shares).unsqueeze(2),)

    def scores(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return ((outputs.squeeze(2) > 0) == (y == 1)).float()

    def average(self, passes: Iterable[torch.Tensor], count: int) -> torch.Tensor:
        return torch.logit(reduce(torch.add, (torch.sigmoid(p) for p in passes)) / count)


@dataclass(frozen=True)
class Regression(Task):
    """Squared error of a target in standard deviations of its training part; R² and root mean squared error."""

    deviation: float
    """Of the targets of the training part, in their own unit."""
    variances: dict[str, float]
    """Of the standardised targets of each part (train, val, test): what R² compares the error with."""

    def losses(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (outputs.squeeze(2) - y).square()

    def scores(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.losses(outputs, y)

    def figures(self, part: str, loss: np.ndarray, score: np.ndarray) -> dict[str, np.ndarray]:
        variance = self.variances[part.removeprefix("mc_")]
        r2 = 1 - loss / variance if variance > 0 else np.full_like(loss, np.nan)
        return {f"{part}_loss": loss, f"{part}_r2": r2, f"{part}_rmse": np.sqrt(loss) * self.deviation}

    def average(self, passes: Iterable[torch.Tensor], count: int) -> torch.Tensor:
        return reduce(torch.add, passes) / count


def log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """log softmax of logits (P, rows, classes) → (P, classes, rows): across rows a CPU takes many of them at a time."""
    return torch.log_softmax(logits.transpose(1, 2), dim=1)


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """-log p(label) of each row: logits (P, rows, classes), labels (P or 1, rows) → (P, rows)."""
    label = labels.expand(logits.shape[:2]).unsqueeze(1)
    return log_probabilities(logits).gather(1, label).squeeze(1).neg_()
