"""Measures how gradients pass through a network at one training step."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import NamedTuple

from dnntrain.nn.gradients import FactoredGradient, densify
from dnntrain.techniques.base import techniques_in
from dnntrain.techniques.clipping import Clipping, global_norm, norms
from dnntrain.utils.lazy import torch


class StepFigures(NamedTuple):
    """What was measured at one step, on the device."""

    weights: dict[str, torch.Tensor]
    """Figures of the weights by name, each (weights, P), from the lowest layer to the highest."""
    slopes: dict[str, torch.Tensor]
    """The root mean square (P,) of each activation's derivative, by the activation's name."""
    magnitudes: torch.Tensor
    """What each kind of clipping compares with its threshold, (kinds, P)."""
    clip_cosine: torch.Tensor | None
    """The cosine (P,) of the angle between the gradients before and after clipping; None without clipping."""


class StepProbe:
    """Measures the layers of P members at one step; nothing of it waits for the device.

    It is the `BackwardObserver` of the step's passes. Its other methods are called in the order of training.
    """

    def __init__(self, members: int, device: torch.device) -> None:
        self.members, self.device = members, device
        self._row_norms: dict[str, torch.Tensor] = {}
        self._squares: dict[str, list[torch.Tensor]] = defaultdict(list)
        self._cosine: torch.Tensor | None = None

    def slope(self, name: str, slope: torch.Tensor, inputs_per_unit: int) -> None:
        self._squares[name].append(slope.flatten(1).square().mean(dim=1) * inputs_per_unit)

    def net_input_gradient(self, weight: str, grad: torch.Tensor) -> None:
        # of the mean loss, so the sum over the rows of all of the step's mini-batches is a mean over examples
        rows = grad.flatten(2)
        # scaled, since the squares of what some 30 sigmoid layers leave of a gradient are 0 in float32
        largest = rows.abs().amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny)
        row_norms = torch.linalg.vector_norm(rows / largest, dim=2).sum(dim=1) * largest.flatten()
        self._row_norms[weight] = self._row_norms[weight] + row_norms if weight in self._row_norms else row_norms

    def gradients(
        self,
        kernels: dict[str, torch.Tensor],
        grads: Mapping[str, torch.Tensor | FactoredGradient],
        keep: bool = False,
    ) -> None:
        """Measure the weights (P, in, out) before the step, and all gradients before clipping.

        Args:
            kernels: The weights by name.
            grads: The gradients of all parameters.
            keep: Whether they will be clipped, and `clipped` is called then.
        """
        dense = {name: densify(gradient) for name, gradient in grads.items()}
        self._raw = [gradient.clone() for gradient in dense.values()] if keep else []
        self._before = {name: kernel.clone() for name, kernel in kernels.items()}
        self._norms = {name: norms(kernel) for name, kernel in self._before.items()}
        unknown = torch.full((self.members,), math.nan, device=self.device)
        figures = {
            "grad_norm": [norms(dense[name]) for name in kernels],
            "sensitivity": [self._row_norms.get(name, unknown) for name in kernels],
            "weight_norm": [self._norms[name] / math.sqrt(kernel.shape[2]) for name, kernel in kernels.items()],
        }
        self._figures = {name: torch.stack(values) for name, values in figures.items()}
        everything = [gradient.contiguous() for gradient in dense.values()]
        self._magnitudes = torch.stack([kind.magnitude(everything) for kind in techniques_in(Clipping)])

    def clipped(self, grads: Sequence[torch.Tensor]) -> None:
        """Measure the angle between the gradients before and after clipping."""
        dot = sum(((a * b).flatten(1).sum(dim=1) for a, b in zip(self._raw, grads, strict=True)), torch.zeros(()))
        self._cosine = dot / (global_norm(self._raw) * global_norm(grads))

    def updates(self, kernels: dict[str, torch.Tensor]) -> StepFigures:
        """All figures, with how much the step changed the weights, relative to their norm."""
        ratios = [norms(k - self._before[name]) / self._norms[name].clamp(min=1e-12) for name, k in kernels.items()]
        slopes = {name: reduce(torch.add, squares).div(len(squares)).sqrt() for name, squares in self._squares.items()}
        figures = self._figures | {"update_ratio": torch.stack(ratios)}
        return StepFigures(figures, slopes, self._magnitudes, self._cosine)
