"""Gaussian noise on the inputs."""

from __future__ import annotations

import math

import numpy as np

from dnntrain.nn import random
from dnntrain.nn.layer_spec import Shape
from dnntrain.techniques.augmentation.base import EpochOrder, TrainingAugmentation
from dnntrain.techniques.base import RunExtent, per_member
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class Noise(TrainingAugmentation):
    """Gaussian noise."""

    name = "noise"
    primary = "std"
    summary = "Adds normal noise to every input of the training examples, another draw at each step."
    paper = "Bishop 1995, Training with Noise is Equivalent to Tikhonov Regularization"
    formula = "x ← x + std · N(0, 1), x the scaled inputs"
    advice = "On any data: std counts in units of the scaled inputs, so in standard deviations with --scale standard."
    std: float = hyperparameter(0.1, "standard deviation of the noise", ge=0, le=1000, per_member=True)

    def fault(self, run: RunExtent) -> str | None:
        if run.kind == "tokens":
            return "noise: the inputs are tokens, which are indices and cannot be noisy"
        return super().fault(run)

    def idle(self, run: RunExtent) -> str | None:
        return None if self.std else "noise 0: adds nothing to the inputs"

    def draw(self, order: EpochOrder, shape: Shape) -> np.ndarray:
        """A key for each step, int32 (n, 1): too many numbers are drawn to draw them in advance."""
        keys = order.generator(self.name).integers(-(2**31), 2**31, (order.steps, 1))
        return order.per_step(keys.astype(np.int32))

    def add(self, x: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """The noisy x (P, rows, features); keys are int32 (P,)."""
        return normal(keys, x.shape[1], x.shape[2]).mul_(per_member(self.std, x)).add_(x)


def normal(keys: torch.Tensor, rows: int, units: int) -> torch.Tensor:
    """Standard normal numbers, float32 (P, rows, units), by the inverse of the distribution function.

    Args:
        keys: One for each member, int32 (P,).
        rows: Rows, those of padding included.
        units: Numbers in each row.
    """
    hashed = random.mix(random.counters(rows, units, keys.device) ^ keys.view(-1, 1, 1))
    # the high 24 bits: uniform between -1 and 1, both excluded, exact in float32
    uniform = (hashed >> 8).to(torch.float32).add_(0.5).mul_(2.0**-23)
    return uniform.erfinv_().mul_(math.sqrt(2))
