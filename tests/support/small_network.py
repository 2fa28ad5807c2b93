"""A small network of the user's, with parts that techniques can replace."""

from __future__ import annotations

import torch


class SmallNetwork(torch.nn.Module):
    """Convolution, norm, activation, dropout, attention over pixels, and a dense layer."""

    def __init__(self, num_classes: int, in_channels: int, width: int = 4) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(in_channels, width, 3, padding=1),
            torch.nn.GroupNorm(2, width),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Dropout(0.1),
        )
        self.attention = torch.nn.MultiheadAttention(width, 2, batch_first=True)
        self.head = torch.nn.Linear(width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (rows, classes) for images (rows, channels, height, width)."""
        pixels = self.features(x).flatten(2).mT
        attended, _ = self.attention(pixels, pixels, pixels, need_weights=False)
        return self.head((pixels + attended).mean(1))
