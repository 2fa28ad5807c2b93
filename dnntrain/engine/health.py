"""Whether a network trains as it should: figures of each layer, measured every epoch, and a diagnosis from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dnntrain.engine.network import LayerSpecs, weight_names
from dnntrain.nn.gradients import FactoredGradient, densify
from dnntrain.nn.layer_spec import walk
from dnntrain.nn.maps import pixel_rows
from dnntrain.store.records import HEALTHY, NOT_JUDGED, LayerNames
from dnntrain.techniques.clipping import norms
from dnntrain.techniques.networks.base import Net
from dnntrain.techniques.networks.mlp import MLP
from dnntrain.utils.lazy import torch

PROBES = 8
"""Steps of an epoch at which gradients and updates are measured: enough for a mean, at a few percent of the cost."""

NEAR_ASYMPTOTE = 0.05
"""Share of an activation's range within which it counts as saturated: a sigmoid's slope there is below 0.05, a fifth
of its largest (Glorot & Bengio 2010 look at the same region)."""

WEIGHT_FIGURES = ("grad_norm", "grad_max", "update_ratio")
"""The figures of each weight, from the lowest layer to the highest."""
ACTIVATION_FIGURES = ("act_mean", "act_std", "dead", "saturated")
"""The figures of each activation, likewise."""
FIGURES = (*WEIGHT_FIGURES, *ACTIVATION_FIGURES)

# The thresholds of the diagnosis, measured on fashion-mini, 3 epochs, with 33 dense networks of 1 to 100 hidden layers.
# In brackets are convolutional, residual, recurrent and attention networks (tests/bench/health.py): 33 that learn, 6
# that learn poorly or with units that do not work, and 18 that are stuck. 3 of these hide it in their activations.
VANISHING = 0.01
"""Smallest gradient norm of a weight over the largest. Networks that learn had 0.05 or more at every depth [0.08],
those stuck at chance 0.003 (5 sigmoid layers) [4e-4], 2e-6 (10) [2e-9 for 12] and 1e-12 (20).

Norms are not divided by the root of the number of weights, although kernels differ much in size: networks that learn
then have as little as 0.02, where a large dense layer is among small kernels."""
EXPLODING = 100.0
"""Largest gradient norm of a weight. Networks that learn had at most 20 once trained [5] (some start near 100 and calm
down); weights drawn too large had 100 to 2,000 [100 to 400,000]."""
DEAD = 0.4
"""Share of units that are never active. Karpathy (CS231n) names 40 % as the mark of a learning rate that is too high;
here healthy ReLU layers had up to 0.3 [0.39], a rate of 0.5 or Adam at 0.01 gave 0.5 to 0.7 [rate 0.2 or Adam at 0.03:
0.7 to 0.8; all where they are stuck]."""
SATURATED = 0.5
"""Share of activations within 5 % of an asymptote. Healthy tanh and sigmoid layers had at most 0.04 [0.42, in a dense
layer above convolutions], weights drawn with deviation 1 gave 0.8 to 0.9 [0.96; Adam at 0.003: 0.5 to 0.6]."""


@dataclass
class Probe:
    """Sums the layers' figures over the probed steps of one epoch. Nothing in it waits for the device."""

    members: int
    device: torch.device
    steps: int = 0
    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    activations: dict[str, list[list[torch.Tensor]]] = field(default_factory=dict)
    """By the activation's name: the figures of ACTIVATION_FIGURES, each (P,), of every call of `activation`."""
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

    def activation(self, name: str, h: torch.Tensor, asymptotes: tuple[float, ...]) -> None:
        """Note the output h of an activation, as an `Observer` does."""
        # one that is bounded on one side only is 0 on the other
        margin = NEAR_ASYMPTOTE * (max(asymptotes) - min(*asymptotes, 0.0)) if asymptotes else 0.0
        flat = pixel_rows(h).flatten(1)
        near = [((flat - a).abs() < margin).float().mean(dim=1) for a in asymptotes]
        mean = flat.mean(dim=1)
        deviation = (flat - mean.unsqueeze(1)).square_().mean(dim=1).sqrt()
        saturated = torch.stack(near).sum(0) if near else torch.zeros_like(mean)
        self.activations.setdefault(name, []).append([mean, deviation, dead_share(h), saturated])

    def _add(self, name: str, figures: list[torch.Tensor]) -> None:
        total = torch.stack(figures)
        self.sums[name] = self.sums[name] + total if name in self.sums else total

    @property
    def observed(self) -> dict[str, torch.Tensor]:
        """By the activation's name, its figures (4, P); without those that only some of the members called."""
        figures = {name: torch.cat(list(map(torch.stack, calls)), 1) for name, calls in self.activations.items()}
        return {name: seen for name, seen in figures.items() if seen.shape[1] == self.members}

    def figures(self) -> dict[str, np.ndarray]:
        """Every figure of FIGURES: (weights, P) or (activations, P)."""
        means = {name: total / self.steps for name, total in self.sums.items()}
        means |= {} if self.largest is None else {"grad_max": self.largest}
        observed = [*self.observed.values()]
        seen = dict(zip(ACTIVATION_FIGURES, torch.stack(observed, 1), strict=True)) if observed else {}
        empty = np.zeros((0, self.members))
        return {name: empty for name in FIGURES} | {k: v.cpu().numpy() for k, v in (means | seen).items()}


def dead_share(h: torch.Tensor) -> torch.Tensor:
    """The share (P,) of the units that are 0 in all rows of an activation's output h (P, rows, …).

    A unit is a channel of maps (rows, channels, height, width). Sequences are (rows, length, units), or behind a
    convolution (rows, channels, length): the larger share is taken, since no place is 0 in all units.
    """
    unit_axes = (2, 3) if h.dim() == 4 else (2,)
    shares = []
    for axis in unit_axes:
        others = [k for k in range(1, h.dim()) if k != axis]
        # on maps, the extremes take a fifth of the time of `(h != 0).any`
        dead = (h.amax(dim=others) == 0) & (h.amin(dim=others) == 0)
        shares.append(dead.float().mean(dim=1))
    return torch.stack(shares).amax(dim=0)


def layer_names(net: Net, layers: LayerSpecs, observed: Iterable[str]) -> LayerNames:
    """What a network's figures are recorded under: the name of each weight's layer, and of each activation.

    The hidden layers of an mlp have numbers instead.

    Args:
        net: The kind of network.
        layers: Its layers.
        observed: The names of its activations, as an `Observer` receives them.
    """
    names = {
        "weights": [name.removesuffix(".kernel").removesuffix(".weight") for name in weight_names(layers)],
        "activations": list(observed),
        "unobserved": [text for spec in walk(layers) for text in spec.unobserved],
    }
    if isinstance(net, MLP):
        names = {key: [name.removeprefix("hidden") for name in named] for key, named in names.items()}
    return LayerNames(**names)


def probed_steps(steps: int) -> set[int]:
    """The steps of an epoch at which gradients are measured, spread evenly."""
    return {int(step) for step in np.linspace(0, steps - 1, min(PROBES, steps)).round()}


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a run, where, and since when."""

    state: str
    """HEALTHY, NOT_JUDGED, or one of SYMPTOMS."""
    layer: str = ""
    """The name of the layer that shows it most, as in `LayerNames`."""
    epoch: int = 0
    """The epoch (from 1) from which on it lasted until the end."""

    def __str__(self) -> str:
        return f"{self.state} (layer {self.layer}, epoch {self.epoch})" if self.layer else self.state


def diagnose(history: Sequence[dict[str, Any]], status: str, layers: LayerNames) -> Diagnosis:
    """The worst symptom that a run shows until its end.

    Args:
        history: A row for each epoch, with FIGURES.
        status: The run's: finished or diverged.
        layers: The names of what the rows' lists are about.
    """
    if status == "diverged":
        last = history[-1]
        layer = int(np.argmax(np.nan_to_num(last["grad_max"], nan=-1.0, posinf=np.inf)))
        return Diagnosis("exploding", layers.weights[layer], last["epoch"])
    for state, symptom in SYMPTOMS.items():
        lasting = since(symptom, history)
        if lasting is not None:
            names = layers.activations if state in ACTIVATION_SYMPTOMS else layers.weights
            return Diagnosis(state, names[lasting[0]], lasting[1])
    return Diagnosis(NOT_JUDGED if layers.unobserved else HEALTHY)


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


ACTIVATION_SYMPTOMS = {"dead units": dead, "saturated": saturated}
"""The symptoms of activations."""

SYMPTOMS = {"exploding": exploding, "vanishing": vanishing, **ACTIVATION_SYMPTOMS}
"""All symptoms, the worst first."""


def since(symptom: Callable[[dict[str, Any]], np.ndarray], history: Sequence[dict[str, Any]]) -> tuple[int, int] | None:
    """The layer (0-based) that shows the symptom most at the end, and the epoch since which one has; None if none."""
    epoch = None
    for row in reversed(history):
        excess = symptom(row)
        if not (excess > 0).any():
            break
        epoch = row["epoch"]
    return None if epoch is None else (int(np.nanargmax(symptom(history[-1]))), epoch)
