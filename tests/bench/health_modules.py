"""Modules for `tests.bench.health`: recurrent networks, attention, and convolutions of very different sizes."""

from __future__ import annotations

import torch
from torch import nn


class Recurrent(nn.Module):
    """Reads an image row by row, and classifies what is remembered after the last one."""

    def __init__(self, num_classes: int, kind: str = "LSTM", depth: int = 1, scale: float = 1, size: int = 28) -> None:
        super().__init__()
        self.cells = getattr(nn, kind)(size, 32, depth, batch_first=True)
        self.head = nn.Linear(32, num_classes)
        with torch.no_grad():
            for weight in self.cells.parameters():
                weight *= scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (rows, classes) for images (rows, 1, 28, 28)."""
        return self.head(self.cells(x.squeeze(1))[0][:, -1])


class Attention(nn.Module):
    """A transformer over the rows of an image; its activations are functions, so that they do not show."""

    def __init__(self, num_classes: int, width: int = 16, depth: int = 1, scale: float = 1) -> None:
        super().__init__()
        self.embed, self.place = nn.Linear(28, width), nn.Parameter(torch.randn(28, width) / 10)
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, num_classes)
        with torch.no_grad():
            for weight in self.encoder.parameters():
                weight *= scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (rows, classes) for images (rows, 1, 28, 28)."""
        return self.head(self.encoder(self.embed(x.squeeze(1)) + self.place).mean(1))


class Separable(nn.Sequential):
    """Depthwise and pointwise convolutions in turn: weights of 9 numbers a channel next to large ones."""

    def __init__(self, num_classes: int, width: int = 16, depth: int = 2, norm: bool = True, act: str = "ReLU") -> None:
        def convolution(channels: int, out: int, kernel: int, groups: int = 1) -> list[nn.Module]:
            layer = nn.Conv2d(channels, out, kernel, padding=kernel // 2, groups=groups)
            return [layer, nn.BatchNorm2d(out), getattr(nn, act)()] if norm else [layer, getattr(nn, act)()]

        layers = [*convolution(1, width, 3), nn.AvgPool2d(2)]
        for _ in range(depth):
            layers += [*convolution(width, width, 3, groups=width), *convolution(width, 4 * width, 1)]
            layers += convolution(4 * width, width, 1)
        super().__init__(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * width, num_classes))


class Functional(nn.Module):
    """A small convolutional network whose activations are calls of functions."""

    def __init__(self, num_classes: int, width: int = 8, depth: int = 2, act: str = "relu") -> None:
        super().__init__()
        self.act = getattr(torch, act)
        self.convolutions = nn.ModuleList(nn.Conv2d(width if i else 1, width, 3, 2, 1) for i in range(depth))
        self.head = nn.LazyLinear(num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (rows, classes) for images (rows, 1, 28, 28)."""
        for convolution in self.convolutions:
            x = self.act(convolution(x))
        return self.head(x.flatten(1))
