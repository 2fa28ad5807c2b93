"""Whether a network trains as it should: figures of each layer, measured every epoch, and a diagnosis from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dnntrain.nn.gradients import FactoredGradient, densify
from dnntrain.techniques.clipping import norms
from dnntrain.utils.lazy import torch

PROBES = 8
"""Steps of an epoch at which gradients and updates are measured: enough for a mean, at a few percent of the cost."""

NEAR_ASYMPTOTE = 0.05
"""Share of an activation's range within which it counts as saturated: a sigmoid's slope there is below 0.05, a fifth
of its largest (Glorot & Bengio 2010 look at the same region)."""

WEIGHT_FIGURES = ("grad_norm", "grad_max", "update_ratio")
"""The figures of each weight."""
FIGURES = (*WEIGHT_FIGURES, "act_mean", "act_std", "dead", "saturated")
"""The figures of each layer, from the lowest to the highest; the last four for hidden layers only."""

# The thresholds of the diagnosis. Measured on fashion-mini, 3 epochs, 33 networks of 1 to 100 hidden layers:
VANISHING = 0.01
"""Smallest layer's gradient norm over the largest's. Networks that learn had 0.05 or more at every depth, those stuck
at chance 0.003 (5 sigmoid layers), 2e-6 (10) and 1e-12 (20)."""
EXPLODING = 100.0
"""Largest gradient norm of a layer. Networks that learn had at most 20 once trained (some start near 100 and calm
down); weights drawn too large had 100 to 2,000."""
DEAD = 0.4
"""Share of units that are never active. Karpathy (CS231n) names 40 % as the mark of a learning rate that is too high;
here healthy ReLU layers had up to 0.3, a rate of 0.5 or Adam at 0.01 gave 0.5 to 0.7."""
SATURATED = 0.5
"""Share of activations within 5 % of an asymptote. Healthy tanh and sigmoid layers had at most 0.04, weights drawn
with deviation 1 gave 0.8 to 0.9."""


@dataclass
class Probe:
    """Sums the layers' figures over the probed steps of one epoch. Nothing in it waits for the device."""

    members: int
    device: torch.device
    steps: int = 0
    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    activations: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    before: dict[str, torch.Tensor] = field(default_factory=dict)
    largest: torch.Tensor | None = None

    def gradients(self, kernels: dict[str, torch.Tensor], grads: Mapping[str, torch.Tensor | FactoredGradient]) -> None:
        """Note the weights (P, in, out) before a step, and their gradients before clipping."""
        self.steps += 1
        self.before = {name: kernel.clone() for name, kernel in kernels.items()}
        norm = [norms(densify(grads[name])) for name in kernels]
        self._add("grad_norm", norm)
        largest = torch.stack(norm)
        self.largest = largest if self.largest is None else torch.fmax(self.largest, largest)  # fmax passes nan over

    def updates(self, kernels: dict[str, torch.Tensor]) -> None:
        """Note how much the step changed the weights, relative to their norm."""
        changes = {name: norms(kernel - self.before[name]) for name, kernel in kernels.items()}
        self._add("update_ratio", [c / norms(self.before[name]).clamp(min=1e-12) for name, c in changes.items()])

    def activation(self, h: torch.Tensor, asymptotes: tuple[float, ...]) -> None:
        """Note the output h (P, real rows, …) of an activation, which saturates at its asymptotes."""
        margin = NEAR_ASYMPTOTE * (max(asymptotes) - min(asymptotes)) if asymptotes else 0.0
        flat = h.flatten(1)
        near = [((flat - a).abs() < margin).float().mean(dim=1) for a in asymptotes]
        mean = flat.mean(dim=1)
        figures = {
            "act_mean": mean,
            "act_std": (flat - mean.unsqueeze(1)).square().mean(dim=1).sqrt(),
            "dead": (h.abs().amax(dim=1) == 0).flatten(1).float().mean(dim=1),
            "saturated": torch.stack(near).sum(0) if near else torch.zeros_like(mean),
        }
        for name, figure in figures.items():
            self.activations.setdefault(name, []).append(figure)

    def _add(self, name: str, figures: list[torch.Tensor]) -> None:
        total = torch.stack(figures)
        self.sums[name] = self.sums[name] + total if name in self.sums else total

    def figures(self) -> dict[str, np.ndarray]:
        """Every figure of FIGURES as (layers, P); the activations' lack the output layer."""
        means = {name: total / self.steps for name, total in self.sums.items()}
        means |= {} if self.largest is None else {"grad_max": self.largest}
        seen = {name: torch.stack(figures) for name, figures in self.activations.items()}
        empty = np.zeros((0, self.members))
        return {name: empty for name in FIGURES} | {k: v.cpu().numpy() for k, v in (means | seen).items()}


def probed_steps(steps: int) -> set[int]:
    """The steps of an epoch at which gradients are measured, spread evenly."""
    return {int(step) for step in np.linspace(0, steps - 1, min(PROBES, steps)).round()}


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a run, where, and since when."""

    state: str
    """healthy, vanishing, exploding, dead units or saturated."""
    layer: str = ""
    """The layer that shows it most: 1 is the lowest hidden layer, the last may be 'output'."""
    epoch: int = 0
    """The epoch (from 1) from which on it lasted until the end."""

    def __str__(self) -> str:
        return f"{self.state} (layer {self.layer}, epoch {self.epoch})" if self.layer else self.state


def diagnose(history: Sequence[dict[str, Any]], status: str) -> Diagnosis:
    """The worst symptom that a run shows until its end.

    Args:
        history: A row for each epoch, with FIGURES.
        status: The run's: finished or diverged.
    """
    if status == "diverged":
        last = history[-1]
        return Diagnosis(
            "exploding",
            layer_name(int(np.argmax(np.nan_to_num(last["grad_max"], nan=-1.0, posinf=np.inf))), last),
            last["epoch"],
        )
    for state, symptom in SYMPTOMS.items():
        lasting = since(symptom, history)
        if lasting is not None:
            return Diagnosis(state, layer_name(lasting[0], history[-1]), lasting[1])
    return Diagnosis("healthy")


def exploding(row: dict[str, Any]) -> np.ndarray:
    """How far each layer's gradient norm is above the threshold (> 0 if it is)."""
    return np.asarray(row["grad_norm"]) - EXPLODING


def vanishing(row: dict[str, Any]) -> np.ndarray:
    """How far each layer's gradient norm, relative to the largest, is below the threshold (> 0 if it is)."""
    norm = np.asarray(row["grad_norm"])
    excess: np.ndarray = VANISHING - norm / max(np.nanmax(norm), np.finfo(float).tiny)
    return excess


def dead(row: dict[str, Any]) -> np.ndarray:
    """How far each hidden layer's share of dead units is above the threshold (> 0 if it is)."""
    return np.asarray(row["dead"]) - DEAD


def saturated(row: dict[str, Any]) -> np.ndarray:
    """How far each hidden layer's share of saturated activations is above the threshold (> 0 if it is)."""
    return np.asarray(row["saturated"]) - SATURATED


SYMPTOMS = {"exploding": exploding, "vanishing": vanishing, "dead units": dead, "saturated": saturated}
"""The symptoms, the worst first."""


def since(symptom: Callable[[dict[str, Any]], np.ndarray], history: Sequence[dict[str, Any]]) -> tuple[int, int] | None:
    """The layer (0-based) that shows the symptom most at the end, and the epoch since which one has; None if none."""
    epoch = None
    for row in reversed(history):
        excess = symptom(row)
        if not (excess > 0).any():
            break
        epoch = row["epoch"]
    return None if epoch is None else (int(np.nanargmax(symptom(history[-1]))), epoch)


def layer_name(layer: int, row: dict[str, Any]) -> str:
    """'1' for the lowest hidden layer, …, 'output'."""
    return "output" if layer == len(row["grad_norm"]) - 1 else str(layer + 1)
