"""Augmentation that mixes pairs of examples, and their targets in the same proportion: mixup and cutmix."""

from __future__ import annotations

import numpy as np

from dnntrain.nn.layer import VJP
from dnntrain.nn.layer_spec import Shape
from dnntrain.techniques.augmentation.base import EpochOrder, TrainingAugmentation, box_mask, image_fault
from dnntrain.techniques.augmentation.images import centered_boxes
from dnntrain.techniques.base import RunExtent, per_member
from dnntrain.techniques.losses import Loss
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class Mixing(TrainingAugmentation):
    """Mixes each example with its partner, the one before it in the batch, by one share λ for each member and step."""

    exclusive = True
    alpha: float

    def fault(self, run: RunExtent) -> str | None:
        if run.kind == "tokens":
            return f"{self.name}: the inputs are tokens, which are indices and cannot be mixed"
        return super().fault(run)

    def idle(self, run: RunExtent) -> str | None:
        if run.batches_per_epoch < run.n_train:
            return None
        return f"{self.name} has no effect: a batch of one example has no partner"

    def draw(self, order: EpochOrder, shape: Shape) -> np.ndarray:
        """The share λ of each step in the first column, (n, numbers) float32; the same for all examples of a step."""
        rng = order.generator(self.name)
        return order.per_step(self.shares(rng, order.steps, shape).astype(np.float32))

    def shares(self, rng: np.random.Generator, steps: int, shape: Shape) -> np.ndarray:
        """The share λ of each step, and what else decides how it mixes, (steps, numbers)."""
        raise NotImplementedError

    def mix(self, x: torch.Tensor, partner: torch.Tensor, draws: torch.Tensor, shape: Shape) -> torch.Tensor:
        """The mixed inputs.

        Args:
            x: Scaled inputs without padding rows, (P, rows, features), float32.
            partner: Those of the partners, likewise.
            draws: Each member's numbers of this step, (P, numbers), float32.
            shape: The shape of one example, (C, H, W) for images.
        """
        raise NotImplementedError


class Mixup(Mixing):
    """Mixup."""

    name = "mixup"
    primary = "alpha"
    summary = "Trains on weighted means of two examples and, with the same weights, of their losses."
    paper = "Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization, arXiv:1710.09412"
    formula = "x ← λ x + (1 - λ) x', loss λ L(y) + (1 - λ) L(y'); λ ~ Beta(α, α) at each step, x' the one before x"
    advice = "α of 0.1 to 0.4, on any data; helps most in long training of large networks. train_acc uses label y."
    alpha: float = hyperparameter(0.2, "α of the Beta distribution of λ", gt=0, le=100, per_member=True)

    def shares(self, rng: np.random.Generator, steps: int, shape: Shape) -> np.ndarray:
        return rng.beta(self.alpha, self.alpha, (steps, 1))

    def mix(self, x: torch.Tensor, partner: torch.Tensor, draws: torch.Tensor, shape: Shape) -> torch.Tensor:
        share = per_member(draws[:, 0], x)
        return (partner * (1 - share)).add_(x * share)


class CutMix(Mixing):
    """CutMix."""

    name = "cutmix"
    primary = "alpha"
    summary = "Replaces a box of each image by that of another image, and weighs the two losses by area."
    paper = "Yun et al. 2019, CutMix: Regularization Strategy to Train Strong Classifiers, arXiv:1905.04899"
    formula = "x ← x' in a box of √(1 - λ) of both sides, loss λ L(y) + (1 - λ) L(y'); λ ~ Beta(α, α), then the area's"
    advice = "For images, where it is stronger than mixup; helps most in long training. train_acc uses label y."
    alpha: float = hyperparameter(1.0, "α of the Beta distribution of λ", gt=0, le=100, per_member=True)

    def fault(self, run: RunExtent) -> str | None:
        return image_fault(self.name, run) or super().fault(run)

    def shares(self, rng: np.random.Generator, steps: int, shape: Shape) -> np.ndarray:
        size = np.array(shape[-2:])
        ratio = np.sqrt(1 - rng.beta(self.alpha, self.alpha, (steps, 1)))
        boxes = centered_boxes(rng.integers(0, size, (steps, 2)), (size * ratio).astype(np.int64))
        boxes = boxes.clip(0, size.repeat(2))
        top, bottom, left, right = boxes.T
        share = 1 - (bottom - top) * (right - left) / size.prod()
        return np.concatenate([share[:, None], boxes], axis=1)

    def mix(self, x: torch.Tensor, partner: torch.Tensor, draws: torch.Tensor, shape: Shape) -> torch.Tensor:
        channels, height, width = shape
        inside = box_mask(draws[:, 1:], height, width).view(-1, 1, 1, height * width)
        return torch.where(inside.expand(-1, 1, channels, -1).flatten(2), partner, x)


def mixed_value_and_vjp(
    loss: Loss, outputs: torch.Tensor, y: torch.Tensor, partner: torch.Tensor, share: torch.Tensor
) -> tuple[torch.Tensor, VJP]:
    """`Loss.value_and_vjp` of λ L(y) + (1 - λ) L(partner); for cross-entropy the loss of the mixed one-hot targets.

    Args:
        loss: The loss L.
        outputs: (P, rows, units).
        y: The examples' own targets, (P, rows).
        partner: Their partners' targets, (P, rows).
        share: λ, (P, 1).
    """
    own, own_vjp = loss.value_and_vjp(outputs, y)
    other, other_vjp = loss.value_and_vjp(outputs, partner)

    def backward(grad: torch.Tensor) -> tuple[torch.Tensor]:
        (to_own,), (to_other,) = own_vjp(grad * share), other_vjp(grad * (1 - share))
        return (to_own.add_(to_other),)

    return (own * share).add_(other * (1 - share)), backward
