"""Gradient clipping: Keras's three kinds, at most one per run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import reduce

from dnntrain.techniques.base import Switch, per_member
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class Clipping(Switch):
    """Limits the gradients before the optimizer's step."""

    family = "Gradient clipping"
    exclusive = True
    primary = "threshold"
    threshold: float = hyperparameter(1.0, "largest value or norm to keep", gt=0, per_member=True)

    @classmethod
    def magnitude(cls, grads: Sequence[torch.Tensor]) -> torch.Tensor:
        """What `clip` compares with the threshold, (P,); nan where a kind of clipping does not say.

        Args:
            grads: as for `clip`.
        """
        return grads[0].new_full((len(grads[0]),), math.nan)

    def clip(self, grads: Sequence[torch.Tensor]) -> torch.Tensor:
        """Clips the gradients in place.

        Args:
            grads: one contiguous gradient (P, …) per parameter tensor.

        Returns:
            Which members were clipped, bool (P,).
        """
        raise NotImplementedError


def norms(grad: torch.Tensor) -> torch.Tensor:
    """The L2 norm of each member's gradient (P, …) → (P,)."""
    norm: torch.Tensor = torch.linalg.vector_norm(grad.flatten(1), dim=1)
    return norm


def largest(of_tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """The largest of the tensors' norms, (P,); nan is passed over, as by a comparison with a threshold."""
    return reduce(torch.fmax, of_tensors)


def global_norm(grads: Sequence[torch.Tensor]) -> torch.Tensor:
    """The L2 norm of each member's gradients (P, …) together → (P,)."""
    # added one by one, because how a reduction over stacked norms rounds depends on the number of members
    return sum((norms(g).square() for g in grads), torch.zeros(())).sqrt()


class ClipValue(Clipping):
    """Clipping by value."""

    name = "clipvalue"
    summary = "Clips every component of the gradient to [-threshold, threshold]; its direction may change."
    paper = "Mikolov 2012, Statistical Language Models Based on Neural Networks; Keras, clipvalue"
    formula = "g ← min(max(g, -v), v):  [0.9, 100] with v = 1 → [0.9, 1]"
    advice = "Simple and effective against exploding gradients; clip by norm if the direction matters."

    @classmethod
    def magnitude(cls, grads: Sequence[torch.Tensor]) -> torch.Tensor:
        flat = [g.flatten(1) for g in grads]
        highest = torch.stack([g.amax(dim=1) for g in flat]).amax(dim=0)
        lowest = torch.stack([g.amin(dim=1) for g in flat]).amin(dim=0)
        return torch.maximum(highest, -lowest)

    def clip(self, grads: Sequence[torch.Tensor]) -> torch.Tensor:
        is_clipped = self.magnitude(grads) > self.threshold
        flat = [g.flatten(1) for g in grads]
        upper = per_member(self.threshold, flat[0])
        lower = -upper
        for g in flat:
            torch.minimum(torch.maximum(g, lower, out=g), upper, out=g)
        return is_clipped


class ClipNorm(Clipping):
    """Clipping by the norm of each tensor."""

    name = "clipnorm"
    essential = True
    summary = "Scales each layer's weight (or bias) gradient down to an L2 norm of at most the threshold."
    paper = "Pascanu et al. 2013, On the difficulty of training RNNs, arXiv:1211.5063; Keras, clipnorm"
    formula = "g ← g · v / max(‖g‖, v) for each tensor:  [0.9, 100] with v = 1 → [0.00899964, 0.9999595]"
    advice = "Keeps the direction within each tensor. torch's clip_grad_norm_ is --global-clipnorm."

    @classmethod
    def magnitude(cls, grads: Sequence[torch.Tensor]) -> torch.Tensor:
        return largest(map(norms, grads))

    def clip(self, grads: Sequence[torch.Tensor]) -> torch.Tensor:
        of_each = [norms(g) for g in grads]
        for g, norm in zip(grads, of_each, strict=True):
            g.mul_(per_member(self.threshold / norm.clamp(min=self.threshold), g))
        return largest(of_each) > self.threshold


class GlobalClipNorm(Clipping):
    """Clipping by the norm of all tensors together."""

    name = "global_clipnorm"
    summary = "Scales the whole gradient down to an L2 norm of at most the threshold, keeping its direction."
    paper = "Pascanu et al. 2013, On the difficulty of training RNNs, arXiv:1211.5063; torch, clip_grad_norm_"
    formula = "g ← g · v / max(‖all g‖, v)"
    advice = "`dnntrain runs thresholds` proposes thresholds from the gradients of a healthy run."

    @classmethod
    def magnitude(cls, grads: Sequence[torch.Tensor]) -> torch.Tensor:
        return global_norm(grads)

    def clip(self, grads: Sequence[torch.Tensor]) -> torch.Tensor:
        norm = self.magnitude(grads)
        scale = self.threshold / norm.clamp(min=self.threshold)
        for g in grads:
            g.mul_(per_member(scale, g))
        return norm > self.threshold
