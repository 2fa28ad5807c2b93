"""Losses of a classification to train on: cross-entropy with smoothed labels or weighted classes, and focal loss."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from typing import Annotated, Self

import numpy as np
from pydantic import BeforeValidator

from dnntrain.nn.layer import VJP, real_rows
from dnntrain.techniques.base import RunExtent
from dnntrain.techniques.losses.plain import ClassLoss, Loss, PlainLoss
from dnntrain.techniques.losses.training import TrainingLoss
from dnntrain.utils.fields import format_value, hyperparameter
from dnntrain.utils.lazy import torch


def read_class_weights(value: object) -> str:
    """`none`, `balanced`, or positive numbers joined by slashes, in canonical form."""
    text = str(value).strip().lower()
    if text in ("none", "balanced"):
        return text
    parts = [part.strip() for part in text.split("/")]
    if not all(re.fullmatch(r"\d*\.?\d+(e[+-]?\d+)?", part) and 1e-6 <= float(part) <= 1e6 for part in parts):
        raise ValueError("must be none, balanced, or a positive number for each class, joined by slashes: 1/2/0.5")
    return "/".join(format_value(float(part)) for part in parts)


ClassWeights = Annotated[str, BeforeValidator(read_class_weights)]


class ClassTrainingLoss(TrainingLoss):
    """A sum over classes: Σ_c t_c f(log p_c), with the target t and the class's probability p."""

    task = "classification"

    class_weights: ClassWeights = hyperparameter(
        "none", "weight of each class: none, balanced (inverse to its frequency), or a number each, such as 1/2/0.5"
    )

    def fault(self, run: RunExtent) -> str | None:
        weights = self.class_weights
        if weights not in ("none", "balanced") and run.n_classes not in (0, len(weights.split("/"))):
            return f"loss {self.name}: class_weights {weights}: must be {run.n_classes} weights, one for each class"
        return super().fault(run)

    def idle(self, run: RunExtent) -> str | None:
        weights = self.class_weights
        if "/" in weights and len(set(weights.split("/"))) == 1:
            return f"loss {self.name}: class_weights {weights}: all classes have the same weight"
        if weights != "none" and not self.smoothing and run.steps_per_epoch == run.n_train:
            return f"loss {self.name}: class_weights {weights}: no effect on steps of one example, whose weight is 1"
        return None

    @property
    def smoothing(self) -> float:
        """The share of the target that is spread evenly over all classes."""
        return 0.0

    def value_and_slope(self, log_p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """f(log p) and its derivative, each shaped like log_p (P, classes, rows)."""
        raise NotImplementedError

    def weights(self, class_counts: np.ndarray) -> np.ndarray | None:
        """The weights (P, classes) from the counts (P, classes), scaled to a mean of 1 over the training examples."""
        if self.class_weights == "none":
            return None
        if self.class_weights == "balanced":  # as scikit-learn's compute_class_weight; a class without examples has 0
            weights = np.divide(1.0, class_counts, out=np.zeros(class_counts.shape), where=class_counts > 0)
        else:
            weights = np.broadcast_to([float(part) for part in self.class_weights.split("/")], class_counts.shape)
        totals = (weights * class_counts).sum(axis=1, keepdims=True)
        scaled: np.ndarray = weights * class_counts.sum(axis=1, keepdims=True) / totals
        return scaled

    def objective(self, plain: PlainLoss, class_counts: np.ndarray, device: torch.device) -> Loss:
        assert isinstance(plain, ClassLoss)
        weights = self.weights(class_counts)
        on_device = None if weights is None else torch.from_numpy(weights.astype(np.float32)).to(device)
        return ClassObjective(self, plain, on_device)


class ClassObjective(Loss):
    """A `ClassTrainingLoss` of P members."""

    def __init__(self, technique: ClassTrainingLoss, plain: ClassLoss, weights: torch.Tensor | None) -> None:
        """Make the loss; `weights` are those of the classes, float32 (P, classes)."""
        self.technique, self.plain, self.weights = technique, plain, weights

    def losses(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        log_p = self.plain.log_probabilities(outputs)
        return (self.targets(log_p, y) * self.technique.value_and_slope(log_p)[0]).sum(dim=1)

    def value_and_vjp(self, outputs: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        log_p = self.plain.log_probabilities(outputs)
        targets = self.targets(log_p, y)
        values, slopes = self.technique.value_and_slope(log_p)

        def backward(grad: torch.Tensor) -> tuple[torch.Tensor]:
            slope = slopes * targets * grad.unsqueeze(1)
            # the derivative of log p_c by the logit z_k is [c = k] - p_k
            return (self.plain.to_outputs(slope - log_p.exp() * slope.sum(dim=1, keepdim=True)),)

        return (targets * values).sum(dim=1), backward

    def targets(self, log_p: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The weighted targets, shaped like log_p (P, classes, rows), of labels y (P, rows)."""
        spread = self.technique.smoothing
        label = y.expand(len(log_p), -1).unsqueeze(1)
        one = torch.ones_like(label, dtype=log_p.dtype).mul_(1 - spread)
        targets = torch.full_like(log_p, spread / log_p.shape[1]).scatter_add_(1, label, one)
        return targets if self.weights is None else targets.mul_(self.weights.unsqueeze(2))

    def total_weight(self, y: torch.Tensor, real: int) -> float | torch.Tensor:
        if self.weights is None:
            return real
        weights = self.weights.gather(1, real_rows(y, real))
        return weights.sum(dim=1, keepdim=True, dtype=torch.float64).to(weights.dtype)

    def select(self, members: Sequence[int]) -> Self:
        some = copy(self)
        some.weights = None if self.weights is None else self.weights[members]
        return some


class CrossEntropy(ClassTrainingLoss):
    """Cross-entropy with smoothed targets and weighted classes."""

    name = "cross_entropy"
    example = "cross_entropy:label_smoothing=0.1,class_weights=balanced"
    summary = "The plain loss of a classification, with smoothed labels or weighted classes."
    paper = "Szegedy et al. 2016, Rethinking the Inception Architecture, arXiv:1512.00567 (label smoothing)"
    formula = (
        "-Σ_c w_c t_c log p_c with t_c = (1 - ε) [c = label] + ε / classes; the mean over a batch is divided by the "
        "sum of the labels' weights, as in torch"
    )
    advice = (
        "Smoothing of 0.1 makes probabilities less extreme and often helps large networks; the validation loss, which "
        "is not smoothed, may rise while accuracy does. Balanced weights trade accuracy for rare classes."
    )
    label_smoothing: float = hyperparameter(0.0, "share ε of the target spread over all classes", ge=0, lt=1)

    @property
    def smoothing(self) -> float:
        return self.label_smoothing

    def value_and_slope(self, log_p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return -log_p, torch.full_like(log_p, -1)

    def objective(self, plain: PlainLoss, class_counts: np.ndarray, device: torch.device) -> Loss:
        return plain if self == CrossEntropy() else super().objective(plain, class_counts, device)


class Focal(ClassTrainingLoss):
    """Cross-entropy that counts confident predictions less."""

    name = "focal"
    example = "focal:gamma=2"
    summary = "Counts examples less that are classified well already, so that hard and rare ones count more."
    paper = "Lin et al. 2017, Focal Loss for Dense Object Detection, arXiv:1708.02002"
    formula = (
        "-w (1 - p)^γ log p with the label's probability p and weight w; the mean over a batch is divided by the sum "
        "of the weights"
    )
    advice = "For classes of very different frequency, with γ from 0.5 to 5; class_weights is the paper's α."
    gamma: float = hyperparameter(2.0, "how much confident predictions are played down, γ", ge=0, le=100)

    def idle(self, run: RunExtent) -> str | None:
        return super().idle(run) if self.gamma else "loss focal: with gamma 0 it is cross_entropy"

    def value_and_slope(self, log_p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rest = torch.expm1(log_p).neg_().clamp_min_(torch.finfo(log_p.dtype).tiny)  # 1 - p, without cancellation
        factor = rest.pow(self.gamma)
        return -factor * log_p, self.gamma * factor / rest * log_p.exp() * log_p - factor
