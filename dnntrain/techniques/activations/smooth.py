"""Smooth relatives of ReLU."""

from __future__ import annotations

from typing import ClassVar

from dnntrain.nn.layer import VJP
from dnntrain.techniques.activations.base import Activation
from dnntrain.utils.lazy import torch


class Softplus(Activation):
    """Smooth ReLU."""

    name = "softplus"
    summary = "A smooth ReLU, always positive."
    paper = "Dugas et al. 2000, Incorporating Second-Order Functional Knowledge"
    formula = "log(1 + exp(z))"
    advice = "Rarely better than ReLU: its output's mean is far from zero."
    init = "he"

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.softplus(z)


class GELU(Activation):
    """Gaussian error linear unit."""

    name = "gelu"
    summary = "Weights its input by the normal distribution function: smooth and not monotonic."
    paper = "Hendrycks & Gimpel 2016, Gaussian Error Linear Units, arXiv:1606.08415"
    formula = "z Φ(z)"
    advice = "A good modern default where run time does not count."
    init = "he"

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.gelu(z)


class SiLU(Activation):
    """Sigmoid linear unit."""

    name = "silu"
    aliases: ClassVar[dict[str, dict[str, object]]] = {"swish": {}}
    summary = "Weights its input by its own sigmoid; also known as Swish."
    paper = "Ramachandran et al. 2017, Searching for Activation Functions, arXiv:1710.05941"
    formula = "z sigmoid(z)"
    advice = "Like GELU, a little cheaper."
    init = "he"

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.silu(z)


class Mish(Activation):
    """z tanh(softplus(z))."""

    name = "mish"
    summary = "A smoother relative of SiLU."
    paper = "Misra 2019, Mish: A Self Regularized Non-Monotonic Activation Function, arXiv:1908.08681"
    formula = "z tanh(log(1 + exp(z)))"
    advice = "Like SiLU, at a higher cost."
    init = "he"

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.mish(z)


class Hardswish(Activation):
    """z min(max(0, z + 3), 6) / 6."""

    name = "hard_swish"
    summary = "SiLU with straight pieces instead of the sigmoid: zero below -3, and the identity above 3."
    paper = "Howard et al. 2019, Searching for MobileNetV3, arXiv:1905.02244"
    formula = "z min(max(0, z + 3), 6) / 6"
    advice = "Where silu helps and its exponential is too slow."
    init = "he"

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.hardswish(z)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        return self(z), lambda g: (torch.ops.aten.hardswish_backward.default(g, z),)
