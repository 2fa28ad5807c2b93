"""Modules that a transfer cuts into parts, or whose parameters it freezes by name."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn


def sequential(num_classes: int, in_channels: int, width: int = 4) -> nn.Sequential:
    """Two convolutions with batch norm and dropout, and a dense layer."""
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()),
        nn.Sequential(nn.Conv2d(width, width, 3, stride=2), nn.ReLU(), nn.Dropout(0.1)),
        nn.Sequential(nn.Flatten(), nn.Linear(width * 9, num_classes)),
    )


class Declared(nn.Module):
    """The same network; the class says which of its children follow each other."""

    blocks = ("stem", "body", "head")

    def __init__(self, num_classes: int, in_channels: int, width: int = 4) -> None:
        super().__init__()
        self.stem, self.body, self.head = sequential(num_classes, in_channels, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(self.stem(x)))


class Undeclared(Declared):
    """The same network; nothing says that it can be cut."""

    blocks = ()


class WrongOrder(Declared):
    """Says that it ends with its body."""

    blocks = ("stem", "head", "body")


class LeavesOut(Declared):
    """Says nothing of its body."""

    blocks = ("stem", "head")


class Doubles(Declared):
    """Does more than its blocks."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


class Lazy(Declared):
    """For images of any size."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.head = nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))


class Embedded(nn.Sequential):
    """Takes tokens."""

    def __init__(self, num_classes: int, tokens: int, width: int = 4) -> None:
        parts = {"embed": nn.Embedding(tokens, width), "mean": nn.Flatten(), "head": nn.LazyLinear(num_classes)}
        super().__init__(OrderedDict(parts))
