"""A recurrent network of preset recurrent, which reads an image row by row."""

import torch
from torch import nn


class Rows(nn.Module):
    """A GRU over the rows of an image, with dropout on what it hands to the dense layer.

    `dropout` sets the rate of the Dropout modules: on the rows that the GRU reads, and on its last state.
    """

    def __init__(self, num_classes: int, units: int = 64) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.0)
        self.gru = nn.GRU(28, units, batch_first=True)
        self.dropout_state = nn.Dropout(0.0)
        self.head = nn.Linear(units, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (rows, classes) for images (rows, 1, 28, 28)."""
        _, state = self.gru(self.dropout(x.squeeze(1)))
        return self.head(self.dropout_state(state[-1]))
