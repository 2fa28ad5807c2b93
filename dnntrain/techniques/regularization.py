"""Weight regularization: penalties on the loss, decay at the step, and a constraint after it. Biases are exempt."""

from __future__ import annotations

from typing import ClassVar

from dnntrain.techniques.base import Switch, per_member
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class WeightRegularizer(Switch):
    """Acts on each layer's weights w (P, in, out) at one or more of three points of a training step."""

    family = "Weight penalties"
    changes_weights: ClassVar[bool] = False
    """Whether it changes the weights themselves, before or after the step, and not only the gradient."""

    def penalize(self, grad: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """The gradient (same shape as w) plus that of a penalty on the loss; called before clipping."""
        return grad

    def before_step(self, w: torch.Tensor, lr: torch.Tensor) -> None:
        """Changes w in place before the optimizer's step; lr (P, 1, 1) are the learning rates."""

    def after_step(self, w: torch.Tensor) -> None:
        """Changes w in place after the optimizer's step."""


class L1(WeightRegularizer):
    """Lasso."""

    name = "l1"
    primary = "strength"
    summary = "Adds the sum of the weights' absolute values to the loss, which drives many of them to zero."
    paper = "Tibshirani 1996, Regression Shrinkage and Selection via the Lasso"
    formula = "loss + λ Σ|w|;  gradient λ sign(w)"
    advice = "For sparse models; start from 1e-5."
    strength: float = hyperparameter(1e-5, "λ", ge=0, per_member=True)

    def penalize(self, grad: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return grad.addcmul(torch.sign(w), per_member(self.strength, w))


class L2(WeightRegularizer):
    """Ridge."""

    name = "l2"
    primary = "strength"
    summary = "Adds the sum of the squared weights to the loss."
    paper = "Krogh & Hertz 1991, A Simple Weight Decay Can Improve Generalization; Keras, regularizers.l2"
    formula = "loss + λ Σw²;  gradient 2λ w"
    advice = "Use with SGD; with Adam and its variants use decoupled --weight-decay instead. Start from 1e-4."
    strength: float = hyperparameter(1e-4, "λ", ge=0, per_member=True)

    def penalize(self, grad: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return grad.addcmul(w, 2 * per_member(self.strength, w))


class WeightDecay(WeightRegularizer):
    """Decoupled weight decay."""

    name = "weight_decay"
    changes_weights = True
    primary = "strength"
    summary = "Shrinks the weights by a small factor at every step, independently of the gradient."
    paper = "Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization, arXiv:1711.05101"
    formula = "w ← (1 - η λ) w before the step"
    advice = (
        "Works with any optimizer but the schedule-free ones; 1e-2 is usual with Adam. Leaves biases and norms alone."
    )
    strength: float = hyperparameter(1e-2, "λ", ge=0, per_member=True)

    def before_step(self, w: torch.Tensor, lr: torch.Tensor) -> None:
        w.mul_(1 - lr * per_member(self.strength, w))


class MaxNorm(WeightRegularizer):
    """Max-norm regularization."""

    name = "max_norm"
    changes_weights = True
    primary = "radius"
    summary = "Rescales each unit's incoming weights to a norm of at most r after every step."
    paper = "Srivastava et al. 2014, Dropout: A Simple Way to Prevent Neural Networks from Overfitting"
    formula = "w ← w · r / max(‖w‖, r) for each unit"
    advice = "Combines well with dropout; r of 1 to 4. A smaller r regularizes more."
    radius: float = hyperparameter(1.0, "largest norm r of a unit's incoming weights", gt=0, per_member=True)

    def after_step(self, w: torch.Tensor) -> None:
        norm = w.square().sum(dim=1, keepdim=True).sqrt()
        radius = per_member(self.radius, w)
        w.mul_(radius / torch.maximum(norm, radius))
