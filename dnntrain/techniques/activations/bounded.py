"""Activations that saturate on both sides."""

from __future__ import annotations

from dnntrain.nn.layer import VJP
from dnntrain.techniques.activations.base import Activation
from dnntrain.utils.lazy import torch


class Tanh(Activation):
    """Hyperbolic tangent."""

    name = "tanh"
    summary = "Squashes to (-1, 1) around zero; its gradient vanishes where it saturates."
    paper = "LeCun et al. 1998, Efficient BackProp"
    formula = "(exp(z) - exp(-z)) / (exp(z) + exp(-z))"
    advice = "Better than the sigmoid in hidden layers, since its mean is zero; saturates in deep networks."
    asymptotes = (-1.0, 1.0)

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.tanh(z)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = self(z)
        return h, lambda g: (torch.ops.aten.tanh_backward.default(g, h),)


class Sigmoid(Activation):
    """Logistic function."""

    name = "sigmoid"
    summary = "Squashes to (0, 1); its gradient is at most 1/4, so it vanishes with depth."
    paper = "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks"
    formula = "1 / (1 + exp(-z))"
    advice = "The baseline that shows vanishing gradients; not for hidden layers of a deep network."
    asymptotes = (0.0, 1.0)

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.sigmoid(z)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = self(z)
        return h, lambda g: (torch.ops.aten.sigmoid_backward.default(g, h),)


class Softsign(Activation):
    """z / (1 + |z|)."""

    name = "softsign"
    summary = "Like tanh, with polynomial instead of exponential tails, so that it saturates later."
    paper = "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks"
    formula = "z / (1 + |z|)"
    advice = "Instead of tanh where a bounded activation is wanted."
    asymptotes = (-1.0, 1.0)

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.softsign(z)
