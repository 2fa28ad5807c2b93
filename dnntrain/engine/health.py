"""Whether a network trains as it should: a diagnosis from the figures of its layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnntrain.engine.network import LayerSpecs, weight_names
from dnntrain.engine.probe import RunProbes
from dnntrain.nn.layer_spec import walk
from dnntrain.store.records import DIVERGED_HEALTH, HEALTHY, NOT_JUDGED, LayerNames
from dnntrain.techniques.networks.base import Net
from dnntrain.techniques.networks.mlp import MLP

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


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a run, where, and since when."""

    state: str
    """HEALTHY, NOT_JUDGED, DIVERGED_HEALTH, or one of SYMPTOMS."""
    layer: str = ""
    """The name of the layer that shows it most, as in `LayerNames`."""
    epoch: int = 0
    """The epoch (from 1) from which on it lasted until the end."""
    note: str = ""

    def __str__(self) -> str:
        details = f"layer {self.layer}, epoch {self.epoch}" if self.layer else self.note
        return f"{self.state} ({details})" if details else self.state


def diagnose(
    history: Sequence[dict[str, Any]], status: str, layers: LayerNames, probes: RunProbes | None = None
) -> Diagnosis:
    """The worst symptom that a run shows until its end.

    Args:
        history: A row for each epoch, with FIGURES.
        status: The run's: finished or diverged.
        layers: The names of what the rows' lists are about.
        probes: What was measured at single steps, of a run that diverged.
    """
    if status == "diverged":
        return diagnose_diverged(probes or RunProbes(), layers, history[-1]["epoch"])
    for state, symptom in SYMPTOMS.items():
        lasting = since(symptom, history)
        if lasting is not None:
            names = layers.activations if state in ACTIVATION_SYMPTOMS else layers.weights
            return Diagnosis(state, names[lasting[0]], lasting[1])
    return Diagnosis(NOT_JUDGED if layers.unobserved else HEALTHY)


def diagnose_diverged(probes: RunProbes, layers: LayerNames, epoch: int) -> Diagnosis:
    """Why a run diverged in an epoch: because gradients exploded, if the finite ones show that.

    They do where the norm of a layer's gradient ends above the threshold and has not calmed down since the first of
    them. Otherwise a single step took the weights too far, as a large rate does: all gradients before it look sound.
    """
    norms = np.array([figures["grad_norm"] for figures in probes.last])
    grew = norms.size > 0 and (norms[-1] > EXPLODING) & (norms[-1] >= norms[0])
    if np.any(grew):
        layer = int(np.argmax(np.where(grew, norms[-1], 0.0)))
        return Diagnosis("exploding", layers.weights[layer], epoch)
    return Diagnosis(DIVERGED_HEALTH, note=f"gradients finite until step {probes.finite_steps:,}")


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
