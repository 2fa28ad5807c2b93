"""Networks as a user writes them: they know nothing of dnntrain."""

from __future__ import annotations

import torch
from torch import nn


class ConvNet(nn.Module):
    """Two convolutions with a norm each, and attention over the pixels that are left."""

    def __init__(self, num_classes: int, in_channels: int, width: int = 4, stride: int = 2) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, stride=stride, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.GroupNorm(2, 2 * width),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.attention = nn.MultiheadAttention(2 * width, num_heads=2, batch_first=True)
        self.dropout = nn.Dropout(0.0)
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pixels = self.features(x).flatten(2).transpose(1, 2)
        attended, _ = self.attention(pixels, pixels, pixels, need_weights=False)
        return self.head(self.dropout((pixels + attended).mean(1)))


class PlainConvNet(nn.Sequential):
    """Two convolutions and two dense layers, all of whose gradients are well above rounding errors."""

    def __init__(self, num_classes: int, in_channels: int, width: int = 4) -> None:
        super().__init__(
            nn.Conv2d(in_channels, width, 3, stride=2, padding=1),
            nn.Tanh(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.Tanh(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(2 * width, 12),
            nn.Tanh(),
            nn.Linear(12, num_classes),
        )


class RowReader(nn.Module):
    """A recurrent network that reads an image's rows one after the other."""

    def __init__(self, num_classes: int, input_shape: tuple[int, ...], kind: str = "LSTM", layers: int = 2) -> None:
        super().__init__()
        self.rnn = getattr(nn, kind)(input_shape[-1], 8, num_layers=layers, batch_first=True)
        self.head = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.0), nn.Linear(8, num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, _ = self.rnn(x.squeeze(1))
        return self.head(states[:, -1])


class BagOfWords(nn.Module):
    """The mean of the tokens' embeddings, and a linear layer."""

    def __init__(self, num_classes: int, tokens: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, 5)
        self.head = nn.Linear(5, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(x).mean(1))
