"""Batch normalization, the lecture's equations 15 to 20."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dnntrain.nn.layer import real_rows
from dnntrain.techniques.base import RunExtent, Switch
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class BatchNorm(Switch):
    """Normalises each unit over the mini-batch, then scales and shifts it by what it learns."""

    family = "Batch normalization"
    name = "bn"
    summary = "Zero-centres and normalises each layer's units over the mini-batch, then scales and shifts them."
    paper = "Ioffe & Szegedy 2015, Batch Normalization, arXiv:1502.03167"
    formula = "x̂ = (x - μ_B) / √(σ²_B + ε);  z = γ x̂ + β;  testing uses moving averages of μ and σ²"
    advice = "Allows larger rates and poor initialization; before or after the activation is a matter of trial."
    place: Literal["before", "after"] = hyperparameter("before", "before or after each activation")
    input: bool = hyperparameter(False, "normalise the network's inputs too")
    eps: float = hyperparameter(1e-5, "smoothing term ε", gt=0)
    alpha: float = hyperparameter(0.1, "share of the newest mini-batch in the moving averages", gt=0, le=1)

    def fault(self, run: RunExtent) -> str | None:
        if not run.hidden and not self.input:
            return "bn: there are no hidden layers; bn_input normalizes the inputs"
        return "bn: needs at least 2 training examples" if run.n_train < 2 else None

    def centered(self, x: torch.Tensor, real: int | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """x (P, rows, units) less its mean over the real rows, that mean, and the biased variance, both (P, 1, units).

        Equations 15 and 16. What the rows of padding behind the `real` ones hold has no part in it.
        """
        count = real or x.shape[1]
        mean = real_rows(x, real).sum(dim=1, keepdim=True) / count
        rest = x - mean
        return rest, mean, real_rows(rest, real).square().sum(dim=1, keepdim=True) / count

    def update(self, running: torch.Tensor, batch: torch.Tensor, first: bool) -> None:
        """Move a running statistic towards the mini-batch's, in place; the first one sets it: eqs. 19 and 20."""
        running.copy_(batch) if first else running.lerp_(batch, self.alpha)

    def normalize(
        self, x: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor
    ) -> torch.Tensor:
        """Normalise x (P, rows, units), then scale and shift it (all others (P, 1, units)): eqs. 17 and 18."""
        return torch.addcmul(shift, x - mean, scale * torch.rsqrt(variance + self.eps))

    def by_batch(self, x: torch.Tensor, real: int | None) -> BatchStatistics:
        """x normalized by the statistics of its own real rows, before scale and shift: eq. 17."""
        rest, mean, variance = self.centered(x, real)
        inverse = torch.rsqrt(variance + self.eps)
        return BatchStatistics(rest.mul_(inverse), mean, variance, inverse, real or x.shape[1])


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """A mini-batch, normalised by its own statistics; and the way back (Ioffe & Szegedy 2015, section 3)."""

    normalized: torch.Tensor
    """x̂ (P, rows, units)."""
    mean: torch.Tensor
    """Of the mini-batch, as all that follows (P, 1, units)."""
    variance: torch.Tensor
    inverse: torch.Tensor
    """1 / √(σ² + ε)."""
    real: int
    """How many rows count; those behind them are padding."""

    def sums(self, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradients of scale and shift, from g, that of what came out."""
        g_scaled, g = real_rows(g * self.normalized, self.real), real_rows(g, self.real)
        return g_scaled.sum(dim=1, keepdim=True), g.sum(dim=1, keepdim=True)

    def back(
        self, g: torch.Tensor, scale: torch.Tensor, scale_gradient: torch.Tensor, shift_gradient: torch.Tensor
    ) -> torch.Tensor:
        """The gradient of x, whose rows bear on each other through mean and variance."""
        by_row = torch.addcmul(shift_gradient / self.real, self.normalized, scale_gradient / self.real)
        return torch.sub(g, by_row, out=by_row).mul_(scale * self.inverse)
