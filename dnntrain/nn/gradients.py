"""Gradients of P members' parameters; those of dense kernels stay factored while they can."""

from __future__ import annotations

from dataclasses import dataclass

from dnntrain.utils.lazy import torch


def batched_matmul(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """The product a b + bias of each member.

    Args:
        a: (P, n, k).
        b: (P, k, m).
        bias: (P, 1, m), or None for 0.

    Returns:
        (P, n, m).
    """
    if len(a) == 1 and 1 in (*a.shape[1:], *b.shape[1:]):
        # a single vector would take a matrix-vector kernel, which rounds differently: two of them do not
        return batched_matmul(a.expand(2, -1, -1), b.expand(2, -1, -1), bias)[:1]
    product = torch.bmm(a, b) if bias is None else torch.baddbmm(bias, a, b)
    return product.to(a.dtype)  # see `products_in`


@dataclass(frozen=True, slots=True)
class FactoredGradient:
    """A dense kernel's gradient xᵀ g, (P, in, out), kept as its two factors.

    With few rows the factors are much smaller than their product. An optimizer whose step is linear in the gradient
    subtracts the product from the weights in one call, so that a gradient as large as the weights is neither written
    nor read.
    """

    x: torch.Tensor
    """The layer's input, (P, rows, in)."""
    g: torch.Tensor
    """The gradient of the layer's output, (P, rows, out)."""

    def densify(self) -> torch.Tensor:
        """The gradient as one tensor, (P, in, out)."""
        return batched_matmul(self.x.transpose(1, 2), self.g)

    def sgd_update(self, target: torch.Tensor, rate: torch.Tensor) -> None:
        """Subtract rate (P, 1, 1) times the gradient from the target (P, in, out), in place."""
        if 1 in (*target.shape[1:], self.x.shape[1]):  # see `batched_matmul`
            target.addcmul_(self.densify(), rate, value=-1)
        else:
            target.baddbmm_(self.x.transpose(1, 2), self.g * rate, alpha=-1)


Gradients = dict[str, "torch.Tensor | FactoredGradient"]
"""The gradient of each parameter, by the parameter's full name."""


def densify(gradient: torch.Tensor | FactoredGradient) -> torch.Tensor:
    """The gradient as a tensor of its parameter's shape."""
    return gradient.densify() if isinstance(gradient, FactoredGradient) else gradient


def sgd_update(target: torch.Tensor, gradient: torch.Tensor | FactoredGradient, rate: torch.Tensor) -> None:
    """Subtract rate times the gradient from the target, in place; rate broadcasts over the gradient."""
    if isinstance(gradient, FactoredGradient):
        gradient.sgd_update(target, rate)
    else:
        target.addcmul_(gradient, rate, value=-1)
