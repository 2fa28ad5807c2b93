"""Units that are linear above zero and approach a negative value below it."""

from __future__ import annotations

from dnntrain.nn.layer import VJP
from dnntrain.techniques.activations.base import Activation
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch

ALPHA, LAMBDA = 1.6732632423543772, 1.0507009873554805  # SELU's (Klambauer et al. 2017, appendix A.1)


class ELU(Activation):
    """Exponential linear unit."""

    name = "elu"
    summary = "Smooth, and negative below zero, which keeps the mean activation near zero."
    paper = "Clevert et al. 2016, Fast and Accurate Deep Network Learning by ELUs, arXiv:1511.07289"
    formula = "z where z > 0, else alpha (exp(z) - 1)"
    advice = "Often better than the ReLU family where its slower exponential is affordable."
    init = "he"
    alpha: float = hyperparameter(1.0, "value approached for large negative inputs, negated", gt=0)

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.elu(z, self.alpha)

    def in_place(self, z: torch.Tensor, *trained: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.elu_(z, self.alpha)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = self.in_place(z)
        return h, lambda g: (torch.ops.aten.elu_backward.default(g, self.alpha, 1, 1, True, h),)


class SELU(Activation):
    """Scaled ELU."""

    name = "selu"
    summary = "ELU scaled so that a plain stack of dense layers normalizes itself (mean 0, deviation 1)."
    paper = "Klambauer et al. 2017, Self-Normalizing Neural Networks, arXiv:1706.02515"
    formula = "1.0507 z where z > 0, else 1.0507 · 1.6733 (exp(z) - 1)"
    advice = "Needs LeCun normal weights, standardized inputs (--scale standard), and alpha dropout instead of dropout."
    init = "lecun"

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.selu(z)

    def in_place(self, z: torch.Tensor, *trained: torch.Tensor) -> torch.Tensor:
        return torch.selu_(z)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = self.in_place(z)
        return h, lambda g: (torch.ops.aten.elu_backward.default(g, ALPHA, LAMBDA, 1, True, h),)


class CELU(Activation):
    """Continuously differentiable ELU."""

    name = "celu"
    summary = "ELU whose slope at zero is 1 for every alpha, so that it has no kink."
    paper = "Barron 2017, Continuously Differentiable Exponential Linear Units, arXiv:1704.07483"
    formula = "z where z > 0, else alpha (exp(z / alpha) - 1)"
    advice = "Instead of elu with an alpha other than 1; with 1 they are the same."
    init = "he"
    alpha: float = hyperparameter(1.0, "value approached for large negative inputs, negated", gt=0)

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.celu(z, self.alpha)

    def in_place(self, z: torch.Tensor, *trained: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.celu_(z, self.alpha)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = self.in_place(z)
        return h, lambda g: (torch.ops.aten.elu_backward.default(g, self.alpha, 1, 1 / self.alpha, True, h),)
