"""A small network of one's own, for preset own-module: any torch.nn.Module will do."""

import torch
from torch import nn


class Net(nn.Module):
    """Two convolution blocks, attention over the pixels that are left, and a dense layer.

    dnntrain fills in `num_classes` and `in_channels` from the data. `act` replaces the ReLU modules, and `dropout`
    sets the rate of the Dropout module and of the attention.
    """

    def __init__(self, num_classes: int, in_channels: int, width: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1),
            nn.GroupNorm(4, width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.GroupNorm(4, 2 * width),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.attention = nn.MultiheadAttention(2 * width, num_heads=4, batch_first=True)
        self.dropout = nn.Dropout(0.0)
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (rows, classes) for images (rows, channels, height, width)."""
        pixels = self.features(x).flatten(2).transpose(1, 2)
        attended, _ = self.attention(pixels, pixels, pixels, need_weights=False)
        return self.head(self.dropout((pixels + attended).mean(dim=1)))
