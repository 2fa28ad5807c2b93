"""The residual network of He et al. 2016, section 4.2, for small images, as dnntrain's `resnet` has it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import pad


class Block(nn.Module):
    """Two convolutions, and a shortcut without weights: every second pixel, and maps of zeros for new channels."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.stride, self.new_channels = stride, channels - channels_in

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """act(s(x) + f(x))."""
        shortcut = x
        if self.new_channels:
            shortcut = pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))
        return torch.relu(shortcut + self.body(x))


def resnet(channels: int, blocks: list[int], width: int, classes: int) -> nn.Sequential:
    """A convolution, the stages of blocks, and a dense layer on the average of each channel."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    channels_in = width
    for stage, count in enumerate(blocks):
        for block in range(count):
            layers.append(Block(channels_in, width * 2**stage, 2 if stage and not block else 1))
            channels_in = width * 2**stage
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels_in, classes))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return model
