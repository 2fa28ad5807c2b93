"""Batch normalization, the lecture's equations 15 to 20."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Literal

from dnntrain.lazy import torch
from dnntrain.parameters import parameter
from dnntrain.techniques.base import Switch


class BatchNorm(Switch):
    """Normalises each unit over the mini-batch, then scales and shifts it by what it learns."""

    family = "Batch normalization"
    name = "bn"
    summary = "Zero-centres and normalises each layer's units over the mini-batch, then scales and shifts them."
    paper = "Ioffe & Szegedy 2015, Batch Normalization, arXiv:1502.03167"
    formula = "x̂ = (x - μ_B) / √(σ²_B + ε);  z = γ x̂ + β;  testing uses moving averages of μ and σ²"
    advice = "Allows larger rates and poor initialization; before or after the activation is a matter of trial."
    place: Literal["before", "after"] = parameter("before", "before or after each activation")
    input: bool = parameter(False, "normalise the network's inputs too")
    eps: float = parameter(1e-5, "smoothing term ε", gt=0)
    alpha: float = parameter(0.1, "share of the newest mini-batch in the moving averages", gt=0, le=1)

    def centred(self, x: torch.Tensor, rows: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """x (P, rows, units) less its mean over the rows, that mean, and the biased variance, both (P, 1, units).

        Equations 15 and 16. `rows` (rows, 1) weighs the rows 1 or 0 where the batch is padded.
        """
        count = x.shape[1] if rows is None else rows.sum()
        mean = (x if rows is None else x * rows).sum(dim=1, keepdim=True) / count
        rest = x - mean
        squares = rest.square() if rows is None else rest.square().mul_(rows)
        return rest, mean, squares.sum(dim=1, keepdim=True) / count

    def update(self, running: torch.Tensor, batch: torch.Tensor, first: bool) -> None:
        """Move a running statistic towards the mini-batch's, in place; the first one sets it: eqs. 19 and 20."""
        running.copy_(batch) if first else running.lerp_(batch, self.alpha)

    def normalize(
        self, x: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor
    ) -> torch.Tensor:
        """Normalise x (P, rows, units), then scale and shift it (all others (P, 1, units)): eqs. 17 and 18."""
        return torch.addcmul(shift, x - mean, scale * torch.rsqrt(variance + self.eps))

    def by_batch(
        self, x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, rows: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """`normalize` by the statistics of x itself, which are returned too; one node of the gradient's graph."""
        z, mean, variance = normalize_by_batch()(x, scale, shift, rows, self)
        return z, mean, variance


@cache
def normalize_by_batch() -> Callable[..., Any]:
    """Batch normalization with its gradient written out: half the time of letting autograd find it."""

    class NormalizeByBatch(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, scale: Any, shift: Any, rows: Any, bn: BatchNorm) -> Any:
            rest, mean, variance = bn.centred(x, rows)
            inverse = torch.rsqrt(variance + bn.eps)
            normalized = rest.mul_(inverse)
            ctx.save_for_backward(normalized, inverse, scale, rows)
            ctx.mark_non_differentiable(mean, variance)
            return torch.addcmul(shift, normalized, scale), mean, variance

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            # Ioffe & Szegedy 2015, section 3, with the terms gathered; padded rows (weight 0) take no part
            g, (normalized, inverse, scale, rows) = grads[0], ctx.saved_tensors
            shift_grad = g.sum(dim=1, keepdim=True)
            scale_grad = (g * normalized).sum(dim=1, keepdim=True)
            if not ctx.needs_input_grad[0]:  # below the network's inputs there is nothing to train
                return None, scale_grad, shift_grad, None, None
            count = normalized.shape[1] if rows is None else rows.sum()
            through_statistics = torch.addcmul(shift_grad / count, normalized, scale_grad / count)
            if rows is not None:
                through_statistics *= rows
            return (
                torch.sub(g, through_statistics, out=through_statistics).mul_(scale * inverse),
                scale_grad,
                shift_grad,
                None,
                None,
            )

    apply: Callable[..., Any] = NormalizeByBatch.apply
    return apply
