"""Augmentation of the mini-batches of a population."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import DatasetInfo
from dnntrain.nn.layer_spec import Shape
from dnntrain.techniques.augmentation.base import EpochOrder, ImageAugmentation, TrainingAugmentation
from dnntrain.techniques.augmentation.mixing import Mixing
from dnntrain.techniques.augmentation.noise import Noise
from dnntrain.techniques.base import stack
from dnntrain.utils.lazy import torch

Mixed = tuple["torch.Tensor", "torch.Tensor | None", "torch.Tensor | None"]
"""Inputs, and where they are mixed the partners' targets and the share of each example's own."""


@dataclass(frozen=True)
class BatchAugmentation:
    """The augmentation of P members of one graph. Without any, batches stay as they are."""

    members: Sequence[tuple[TrainingAugmentation, ...]]
    """Each member's techniques, in the order in which they act."""
    stacked: Sequence[TrainingAugmentation]
    """The same techniques, each with its values of all members."""
    shape: Shape
    """The shape of one example; (C, H, W) for images."""
    device: torch.device

    @classmethod
    def of(cls, specs: Sequence[RunSpec], data: DatasetInfo, device: torch.device) -> BatchAugmentation:
        """The augmentation of these runs."""
        shape = (1, *data.shape) if data.kind == "images" and len(data.shape) == 2 else data.shape
        return cls.stack([spec.techniques(TrainingAugmentation) for spec in specs], shape, device)

    @classmethod
    def stack(
        cls, members: Sequence[tuple[TrainingAugmentation, ...]], shape: Shape, device: torch.device
    ) -> BatchAugmentation:
        """The augmentation of members with these techniques."""
        return cls(members, [stack(peers, device) for peers in zip(*members, strict=True)], shape, device)

    def select(self, members: Sequence[int]) -> BatchAugmentation:
        """That of some members, by their indices."""
        return self.stack([self.members[member] for member in members], self.shape, self.device)

    def draw(self, seeds: Sequence[int], epoch: int, order: np.ndarray, batch_size: int) -> list[np.ndarray]:
        """The draws of each technique for one epoch, (P, n, numbers).

        Args:
            seeds: The seed of each member's random streams.
            epoch: 0-based.
            order: Each member's examples in the order of the epoch, (P, n).
            batch_size: Examples of a full batch.
        """
        epochs = [EpochOrder(seed, epoch, row, batch_size) for seed, row in zip(seeds, order, strict=True)]
        by_member = (
            [technique.draw(each, self.shape) for technique in own]
            for own, each in zip(self.members, epochs, strict=True)
        )
        return [np.stack(draws) for draws in zip(*by_member, strict=True)]

    def change_images(self, levels: torch.Tensor, draws: Sequence[torch.Tensor]) -> torch.Tensor:
        """The batch (P, rows, features), not scaled yet, after the techniques that change each image on its own."""
        if not any(isinstance(technique, ImageAugmentation) for technique in self.stacked):
            return levels
        images = levels.view(*levels.shape[:2], *self.shape)
        for technique, now in zip(self.stacked, draws, strict=True):
            if isinstance(technique, ImageAugmentation):
                images = technique.apply(images, now)
        return images.flatten(2)

    def change_inputs(self, x: torch.Tensor, y: torch.Tensor, real: int, draws: Sequence[torch.Tensor]) -> Mixed:
        """The scaled inputs x (P, rows, features) after the techniques that need no images, or pairs of examples.

        Args:
            x: The inputs; may be overwritten.
            y: The targets, (P, rows).
            real: The number of real rows; only these become partners.
            draws: Each technique's draws for these rows, (P, rows, numbers).
        """
        partner = share = None
        for technique, now in zip(self.stacked, draws, strict=True):
            if isinstance(technique, Mixing):
                rows, this_step = x[:, :real], now[:, 0]
                x[:, :real] = technique.mix(rows, rows.roll(1, dims=1), this_step, self.shape)
                partner, share = y.clone(), this_step[:, :1]
                partner[:, :real] = y[:, :real].roll(1, dims=1)
            elif isinstance(technique, Noise):
                x = technique.add(x, now[:, 0, 0])
        return x, partner, share

    def mirror(self, levels: torch.Tensor) -> torch.Tensor:
        """The mirror images of (rows, …, features), not scaled yet."""
        return levels.view(*levels.shape[:-1], *self.shape).flip(-1).view(levels.shape)
