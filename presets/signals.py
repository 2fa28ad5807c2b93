"""Data and networks of preset mnist1d: signals of 40 numbers, made by the package mnist1d."""

import numpy as np
import torch
from torch import nn


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """4,000 training and 1,000 test signals, float32 (N, 1, 40), with their classes from 0 to 9."""
    from mnist1d.data import get_dataset_args, make_dataset

    made = make_dataset(get_dataset_args())
    x, x_test = (made[part][:, None].astype(np.float32) for part in ("x", "x_test"))
    return x, made["y"], x_test, made["y_test"]


class Convolutions(nn.Sequential):
    """Three convolutions along the signal, each of which halves its length."""

    def __init__(self, num_classes: int, channels: int = 25) -> None:
        super().__init__(
            nn.Conv1d(1, channels, 5, stride=2, padding=1), nn.ReLU(),
            nn.Conv1d(channels, channels, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv1d(channels, channels, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(5 * channels, num_classes),
        )  # fmt: skip


class Recurrent(nn.Module):
    """A GRU that reads the signal in both directions, and a dense layer on its outputs."""

    def __init__(self, num_classes: int, units: int = 6) -> None:
        super().__init__()
        self.gru = nn.GRU(1, units, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * units * 40, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (rows, classes) for signals (rows, 1, 40)."""
        outputs, _ = self.gru(x.transpose(1, 2))
        return self.head(outputs.flatten(1))
