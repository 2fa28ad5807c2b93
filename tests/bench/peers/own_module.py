"""The benchmark's small CNN as a user would write it, for `dnntrain --net module:` and for the plain loop."""

import torch
from torch import nn


class SmallCNN(nn.Module):
    """Two convolutions with pooling, and a dense layer of 128; its first weights are torch's own."""

    def __init__(self, num_classes: int = 10, in_channels: int = 1) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (rows, classes) for images (rows, channels, 28, 28)."""
        return self.dense(self.features(x))
