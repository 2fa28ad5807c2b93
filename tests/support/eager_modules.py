"""Modules whose steps a CUDA graph cannot hold."""

from __future__ import annotations

import torch
from torch import nn


class Counts(nn.Module):
    """Counts its training passes, in a Python number."""

    def __init__(self) -> None:
        super().__init__()
        self.below, self.passes = nn.Linear(784, 10), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += self.training
        outputs: torch.Tensor = self.below(x.flatten(1))
        return outputs


class Draws(nn.Module):
    """Draws from torch's global generator."""

    def __init__(self) -> None:
        super().__init__()
        self.below = nn.Linear(784, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = nn.functional.dropout(self.below(x.flatten(1)), 0.1, self.training)
        return outputs


class Looks(nn.Module):
    """Waits for a number."""

    def __init__(self) -> None:
        super().__init__()
        self.below = nn.Linear(784, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.below(x.flatten(1))
        return outputs / max(1.0, outputs.detach().abs().amax().item())
