"""What all augmentation has in common: draws for each member and epoch on the host, changes of batches on the device.

The numbers that decide how an example changes are few, so NumPy draws them once per epoch, from a stream that is keyed
by seed, technique, and epoch. A member's draws are therefore the same in any population and after a resumed run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dnntrain.nn.layer_spec import Shape
from dnntrain.nn.random import generator
from dnntrain.techniques.base import RunExtent, Switch
from dnntrain.utils.lazy import torch


@dataclass(frozen=True)
class EpochOrder:
    """One member's training examples in one epoch."""

    seed: int
    """The seed of the member's random streams."""
    epoch: int
    """0-based."""
    examples: np.ndarray
    """The examples' indices in the order in which they are trained on, (n,)."""
    batch_size: int

    def generator(self, stream: str) -> np.random.Generator:
        """A generator for this epoch's draws of a stream."""
        return generator(self.seed, stream, self.epoch)

    def per_step(self, values: np.ndarray) -> np.ndarray:
        """Values for each step (steps, …) as values for each example (n, …)."""
        return values.repeat(self.batch_size, axis=0)[: len(self.examples)]

    @property
    def steps(self) -> int:
        """Mini-batches in the epoch, the last one included."""
        return -(-len(self.examples) // self.batch_size)


class Augmentation(Switch):
    """Changes examples on their way into the network."""

    family = "Augmentation"

    def fault(self, run: RunExtent) -> str | None:
        if not run.reuses:
            return None
        return (
            f"{self.name}: not with reuse_from, since the outputs of frozen layers are computed once for each example"
        )


class TrainingAugmentation(Augmentation):
    """Changes the training examples of each step; validation and test examples stay as they are."""

    not_exported = "The augmentation of training examples is not part of it."

    def draw(self, order: EpochOrder, shape: Shape) -> np.ndarray:
        """The numbers that decide how one member's examples change in one epoch.

        Args:
            order: The member's examples in that epoch.
            shape: The shape of one example, (C, H, W) for images.

        Returns:
            Numbers for each example, (n, numbers), in the order in which they are trained on.
        """
        raise NotImplementedError


class ImageAugmentation(TrainingAugmentation):
    """Changes each image on its own, before the inputs are scaled."""

    def fault(self, run: RunExtent) -> str | None:
        return image_fault(self.name, run) or super().fault(run)

    def apply(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """The changed images.

        Args:
            images: (P, rows, C, H, W), uint8 or float32, with levels from 0 (black) to 255.
            draws: What `draw` returned for these rows, (P, rows, numbers).

        Returns:
            Images of the same shape, in a tensor of their own.
        """
        raise NotImplementedError


def image_fault(name: str, run: RunExtent) -> str | None:
    """Why a technique for images cannot be used in a run; None if it can."""
    if run.kind == "images":
        return None
    advice = "; images are whole numbers from 0 to 255" if len(run.shape) > 1 and run.kind == "numbers" else ""
    return f"{name}: needs images, and the inputs are {run.kind} of shape {run.shape}{advice}"


def box_mask(boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Which pixels lie in a box: bool (…, height, width).

    Args:
        boxes: Top, bottom, left, and right of each box, (…, 4), the bottom and the right excluded. A box may reach
            beyond the image; an empty one has equal bounds.
        height: Height of the images.
        width: Width of the images.
    """
    top, bottom, left, right = boxes.unsqueeze(-2).unbind(-1)
    y, x = (torch.arange(size, dtype=boxes.dtype, device=boxes.device) for size in (height, width))
    rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)
    return rows.unsqueeze(-1) & columns.unsqueeze(-2)
