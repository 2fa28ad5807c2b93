"""Batch normalization, the lecture's equations 15 to 20."""

from __future__ import annotations

from typing import Literal

from dnntrain.lazy import torch
from dnntrain.techniques.base import Switch, parameter


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

    def statistics(self, x: torch.Tensor, rows: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and biased variance over the rows of x (P, rows, units), each (P, 1, units): eqs. 15 and 16.

        `rows` (rows, 1) weighs them 1 or 0 where the batch is padded.
        """
        if rows is None:
            mean = x.mean(dim=1, keepdim=True)
            return mean, (x - mean).square().mean(dim=1, keepdim=True)
        count = rows.sum()
        mean = (x * rows).sum(dim=1, keepdim=True) / count
        return mean, ((x - mean).square() * rows).sum(dim=1, keepdim=True) / count

    def update(self, running: torch.Tensor, batch: torch.Tensor, first: bool) -> None:
        """Move a running statistic towards the mini-batch's, in place; the first one sets it: eqs. 19 and 20."""
        running.copy_(batch) if first else running.lerp_(batch, self.alpha)

    def normalize(
        self, x: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor
    ) -> torch.Tensor:
        """Normalise x (P, rows, units), then scale and shift it (all others (P, 1, units)): eqs. 17 and 18."""
        return torch.addcmul(shift, x - mean, scale * torch.rsqrt(variance + self.eps))
