"""Modules that take the place of some in a user's module. Importing this loads torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import torch
from torch.nn.modules.dropout import _DropoutNd

from dnntrain.nn import random

ALPHA_PRIME = 1.7580993408473766
"""Minus the value at which alpha dropout holds a dropped unit, with torch's digits."""


@dataclass
class Draws:
    """What the dropout modules of one user's module draw from in a pass of one member."""

    key: torch.Tensor | None = None
    """The member's key, int32 (); None switches dropout off."""
    rates: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    """The rate of each dropout module, float32 (D,)."""
    thresholds: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    """The draw below which each one drops a unit, int32 (D,)."""


class MemberDropout(torch.nn.Module):
    """Takes the place of one of torch's dropout modules.

    Each mask follows from the member's key, the dropout's number in the module, and how often it was called before in
    this pass. So a member drops the same units alone and in a population, one after the other and under vmap, and on
    every device.
    """

    def __init__(self, original: _DropoutNd, number: int, draws: Draws) -> None:
        """Stand in for `original`, the number-th dropout of its module."""
        super().__init__()
        self.p, self.inplace, self.number, self.draws = original.p, original.inplace, number, draws
        self.kind = type(original).__name__
        self.is_alpha = isinstance(original, torch.nn.AlphaDropout | torch.nn.FeatureAlphaDropout)
        channels = torch.nn.Dropout1d | torch.nn.Dropout2d | torch.nn.Dropout3d | torch.nn.FeatureAlphaDropout
        self.drops_channels = isinstance(original, channels)
        self.calls = 0
        """How often it was called in this pass."""

    def extra_repr(self) -> str:
        return f"{self.kind}, p={self.p}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.draws.key is None:
            return x
        mask, rate = self._mask(x), self.draws.rates[self.number]
        if not self.is_alpha:
            mask = mask / (1 - rate)
            return x.mul_(mask) if self.inplace else x * mask
        # keeps mean 0 and deviation 1 (Klambauer et al. 2017, arXiv:1706.02515, section 2)
        a = torch.rsqrt((1 - rate) * (1 + rate * ALPHA_PRIME**2))
        shift = a * ALPHA_PRIME * (mask - 1 + rate)
        return x.mul_(mask * a).add_(shift) if self.inplace else x * (mask * a) + shift

    def _mask(self, x: torch.Tensor) -> torch.Tensor:
        """1 where a unit stays, else 0, of a shape that broadcasts with x (rows, …)."""
        assert self.draws.key is not None
        key = random.split_key(self.draws.key, self.number + len(self.draws.rates) * self.calls)
        self.calls += 1
        shape = (*x.shape[:2], *[1] * (x.dim() - 2)) if self.drops_channels and x.dim() > 2 else tuple(x.shape)
        draws = random.mix(random.counters(1, prod(shape), x.device).view(shape) ^ key)
        return (draws >= self.draws.thresholds[self.number]).to(x.dtype)


class AnyBatchNorm(torch.nn.modules.batchnorm._BatchNorm):
    """Batch norm of each channel of inputs (rows, C, …) with any number of axes."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        """Any number will do."""


class ReLUSquared(torch.nn.ReLU):
    """max(0, x)². A kind of ReLU, so that whatever looks for activations finds it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).square()


class ChannelLayerNorm(torch.nn.LayerNorm):
    """Layer norm over the channels of inputs (rows, C, …), at each of their other places."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ChannelRMSNorm(torch.nn.RMSNorm):
    """RMS norm over the channels of inputs (rows, C, …), at each of their other places."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def replace_dropout(module: torch.nn.Module) -> None:
    """Put a `MemberDropout` in the place of each of torch's dropout modules; the user's own classes stay."""
    draws, stand_ins = Draws(), dict[torch.nn.Module, MemberDropout]()
    for parent in list(module.modules()):
        for name, child in parent._modules.items():
            if isinstance(child, _DropoutNd) and type(child).__module__ == _DropoutNd.__module__:
                if child not in stand_ins:  # one module may stand in several places
                    stand_ins[child] = MemberDropout(child, len(stand_ins), draws)
                setattr(parent, name, stand_ins[child])
