"""Whether a network trains as it should: figures of each layer, measured every epoch, and a verdict from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dnntrain.lazy import torch
from dnntrain.techniques.activations import Activation
from dnntrain.techniques.clipping import norms

PROBES = 8
"""Steps of an epoch at which gradients and updates are measured: enough for a mean, at a few percent of the cost."""

NEAR_ASYMPTOTE = 0.05
"""Share of an activation's range within which it counts as saturated: a sigmoid's slope there is below 0.05, a fifth
of its largest (Glorot & Bengio 2010 look at the same region)."""

FIGURES = ("grad_norm", "update_ratio", "act_mean", "act_std", "dead", "saturated")
"""The figures of a layer, in history.csv from the lowest layer to the highest; the last four for hidden layers only."""


@dataclass
class Probe:
    """Sums a layer's figures over the probed steps of one epoch; nothing in it waits for the device."""

    members: int
    device: torch.device
    steps: int = 0
    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    activations: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    before: list[torch.Tensor] = field(default_factory=list)

    def gradients(self, kernels: Sequence[torch.Tensor], grads: Sequence[torch.Tensor]) -> None:
        """Note the kernels (P, in, out) before a step and their gradients before clipping."""
        self.steps += 1
        self.before = [kernel.detach().clone() for kernel in kernels]
        self._add("grad_norm", [norms(g) for g in grads])

    def updates(self, kernels: Sequence[torch.Tensor]) -> None:
        """Note by how much the step changed the kernels, as a share of their norm."""
        changes = [norms(after.detach() - before) for after, before in zip(kernels, self.before, strict=True)]
        sizes = [norms(before).clamp(min=1e-12) for before in self.before]
        self._add("update_ratio", [change / size for change, size in zip(changes, sizes, strict=True)])

    def observer(self, activations: Sequence[Activation]) -> Callable[[int, torch.Tensor], None]:
        """What notes the activations (P, rows, units) of each hidden layer, all rows real."""

        def observe(layer: int, h: torch.Tensor) -> None:
            asymptotes = activations[layer - 1].asymptotes
            margin = NEAR_ASYMPTOTE * (max(asymptotes) - min(asymptotes)) if asymptotes else 0.0
            near = [((h - a).abs() < margin).float().mean(dim=(1, 2)) for a in asymptotes]
            flat = h.flatten(1)
            mean = flat.mean(dim=1)
            figures = {
                "act_mean": mean,
                "act_std": (flat - mean.unsqueeze(1)).square().mean(dim=1).sqrt(),
                "dead": (h.abs().amax(dim=1) == 0).float().mean(dim=1),
                "saturated": torch.stack(near).sum(0) if near else torch.zeros_like(mean),
            }
            for name, figure in figures.items():
                self.activations.setdefault(name, []).append(figure)

        return observe

    def _add(self, name: str, figures: list[torch.Tensor]) -> None:
        total = torch.stack(figures)
        self.sums[name] = self.sums[name] + total if name in self.sums else total

    def figures(self) -> dict[str, np.ndarray]:
        """Every figure of FIGURES as (layers, P); the activations' lack the output layer."""
        means = {name: total / self.steps for name, total in self.sums.items()}
        seen = {name: torch.stack(figures) for name, figures in self.activations.items()}
        empty = np.zeros((0, self.members))
        return {name: empty for name in FIGURES} | {k: v.cpu().numpy() for k, v in (means | seen).items()}


def probed_steps(steps: int) -> set[int]:
    """The steps of an epoch at which gradients are measured, spread evenly."""
    return {int(step) for step in np.linspace(0, steps - 1, min(PROBES, steps)).round()}
