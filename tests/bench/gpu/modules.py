"""Networks as plain torch modules, which a user could give to dnntrain as well."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn


class Dense(nn.Sequential):
    """Dense layers with ReLU, with batch norm below and dropout above each one's activation."""

    def __init__(self, features: int, widths: tuple[int, ...], classes: int, norm: bool, dropout: float) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        for fan_in, fan_out in pairwise((features, *widths)):
            layers += [nn.Linear(fan_in, fan_out, bias=not norm)]
            layers += [nn.BatchNorm1d(fan_out)] if norm else []
            layers += [nn.ReLU()]
            layers += [nn.Dropout(dropout)] if dropout else []
        super().__init__(*layers, nn.Linear(widths[-1], classes))


class SmallCNN(nn.Sequential):
    """Two convolutions with a pool each, and a dense layer of 128."""

    def __init__(self, num_classes: int, in_channels: int = 1, size: int = 28) -> None:
        super().__init__(
            *(nn.Conv2d(in_channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(64 * (size // 4) ** 2, 128), nn.ReLU(), nn.Linear(128, num_classes)),
        )


class ResidualConvolutions(nn.Module):
    """The input plus what two convolutions make of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*convolution(channels, channels), *convolution(channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


def convolution(channels: int, outputs: int) -> list[nn.Module]:
    """A 3 × 3 convolution with batch norm and ReLU."""
    return [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


class ResNet9(nn.Sequential):
    """Eight convolutions, four of them in two residual blocks, and a dense layer."""

    def __init__(self, num_classes: int, in_channels: int = 1, width: int = 32) -> None:
        super().__init__(
            *convolution(in_channels, width),
            *(*convolution(width, width), nn.MaxPool2d(2), ResidualConvolutions(width)),
            *(*convolution(width, 2 * width), nn.MaxPool2d(2)),
            *(*convolution(2 * width, 2 * width), nn.MaxPool2d(2), ResidualConvolutions(2 * width)),
            *(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(2 * width, num_classes)),
        )
