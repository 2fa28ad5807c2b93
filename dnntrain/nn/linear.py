"""The products of dense layers for P members, and their kernels' gradients, which stay in factors while they can."""

from __future__ import annotations

from dataclasses import dataclass

from dnntrain.utils.lazy import torch


def product(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """a b + bias of each member, (P, n, m), of a (P, n, k), b (P, k, m) and bias (P, 1, m)."""
    if len(a) == 1 and 1 in (*a.shape[1:], *b.shape[1:]):
        # alone, a vector takes a path of its own, which rounds differently: it goes in company
        return product(a.expand(2, -1, -1), b.expand(2, -1, -1), bias)[:1]
    return torch.bmm(a, b) if bias is None else torch.baddbmm(bias, a, b)


@dataclass(frozen=True, slots=True)
class FactoredGradient:
    """A kernel's gradient xᵀ g, (P, in, out), as what its layer was given and the gradient of what it gave.

    With few rows the factors are much smaller than their product. A step that is linear in the gradient takes it from
    the weights in one product, so that a gradient as large as the weights is neither written nor read.
    """

    x: torch.Tensor
    """(P, rows, in)."""
    g: torch.Tensor
    """(P, rows, out)."""

    def whole(self) -> torch.Tensor:
        """The gradient itself, (P, in, out)."""
        return product(self.x.transpose(1, 2), self.g)

    def sgd_update(self, target: torch.Tensor, rate: torch.Tensor) -> None:
        """Subtract rate (P, 1, 1) times the gradient from the target (P, in, out), in place."""
        if 1 in (*target.shape[1:], self.x.shape[1]):  # see `product`
            target.addcmul_(self.whole(), rate, value=-1)
        else:
            target.baddbmm_(self.x.transpose(1, 2), self.g * rate, alpha=-1)


def whole(gradient: torch.Tensor | FactoredGradient) -> torch.Tensor:
    """The gradient as a tensor of its parameter's shape."""
    return gradient.whole() if isinstance(gradient, FactoredGradient) else gradient


def sgd_update(target: torch.Tensor, gradient: torch.Tensor | FactoredGradient, rate: torch.Tensor) -> None:
    """Subtract rate, which broadcasts over the gradient, times the gradient from the target, in place."""
    if isinstance(gradient, FactoredGradient):
        gradient.sgd_update(target, rate)
    else:
        target.addcmul_(gradient, rate, value=-1)
