"""Modules that torch does not have, for exported models. Importing this loads torch.

An export copies the source of those that it needs, so each uses nothing but torch.
"""

from __future__ import annotations

import torch


class ResidualBlock(torch.nn.Module):
    """The sum of a body and a shortcut, which is the input itself by default."""

    def __init__(self, body: torch.nn.Module, shortcut: torch.nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut or torch.nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs of the body's shape."""
        return torch.add(self.shortcut(x), self.body(x))


class StochasticDepth(torch.nn.Module):
    """Drops all outputs of an example with probability p while training (Huang et al. 2016, arXiv:1603.09382)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The kept examples, divided by 1 - p."""
        if not self.training or self.p == 0:
            return x
        kept = torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device) >= self.p
        return x * kept / (1 - self.p)


class StridedShortcut(torch.nn.Module):
    """Every few pixels of each map, and maps of zeros for new channels (He et al. 2016, section 4.2, option A)."""

    def __init__(self, new_channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels, self.stride = new_channels, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Smaller maps, (N, channels + new_channels, …)."""
        x = x[:, :, :: self.stride, :: self.stride]
        return torch.nn.functional.pad(x, (0, 0, 0, 0, 0, self.new_channels))


class LargestPiece(torch.nn.Module):
    """The largest of several inputs for each output (maxout, Goodfellow et al. 2013, arXiv:1302.4389)."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (N, units, …) for inputs (N, pieces * units, …), where the pieces of a unit are `units` apart."""
        return x.reshape(len(x), self.pieces, -1, *x.shape[2:]).amax(dim=1)


class ImageLayers(torch.nn.Module):
    """The layers of an image network, for raw images."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        layers: list[torch.nn.Module],
        size: int,
        interpolation: str,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        average: bool,
    ) -> None:
        """Images are resized to `size` pixels a side, and their colors scaled by `mean` and `std`, on levels to 1."""
        super().__init__()
        self.layers = torch.nn.Sequential(*layers)
        self.size, self.interpolation, self.average = size, interpolation, average
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The average of each map, or all maps, flat, for uint8 images, gray (N, H, W) or colored (N, 3, H, W)."""
        x = (images if images.dim() == 4 else images[:, None]).float()
        if x.shape[2:] != (self.size, self.size):
            size = (self.size, self.size)
            x = torch.nn.functional.interpolate(x, size, mode=self.interpolation, antialias=True)
        maps: torch.Tensor = self.layers((x.clamp(0, 255) / 255 - self.mean) / self.std)
        return maps.mean((-2, -1)) if self.average else maps.flatten(1)
