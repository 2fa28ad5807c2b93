"""What a new network starts from: weights drawn from the run's seed. Needs no torch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.nn.random import generator
from dnntrain.techniques.normalization import BatchNorm


def initial_state(spec: RunSpec, n_features: int, n_outputs: int) -> dict[str, np.ndarray]:
    """One member's first parameters and buffers, float32 without the axis P, in the order of the layers."""
    bn, widths = spec.technique(BatchNorm), (n_features, *spec.hidden, n_outputs)
    state: dict[str, np.ndarray] = {}
    if bn and bn.input:
        state |= batch_norm_state("input", n_features)
    for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
        hidden = i < len(spec.hidden)
        layer = f"hidden{i + 1}" if hidden else "output"
        initializer, rng = spec.initializer(i), generator(spec.seed, "init", i)
        state[f"{layer}.kernel"] = initializer.kernel(rng, fan_in, fan_out)
        # a bias before batch norm is taken out again with the mean, so there is none
        if not (hidden and bn and bn.place == "before"):
            state[f"{layer}.bias"] = initializer.bias(rng, fan_in, fan_out)[None]
        if hidden and bn:
            state |= batch_norm_state(layer, fan_out)
        if hidden and (trained := spec.activations[i].trained):
            first = getattr(spec.activations[i], trained)
            state[f"{layer}.{trained}"] = np.full((1, fan_out), first, np.float32)
    return state


def batch_norm_state(layer: str, units: int) -> dict[str, np.ndarray]:
    """Scale 1, shift 0, and averages that the first mini-batch will set."""
    ones, zeros = np.ones((1, units), np.float32), np.zeros((1, units), np.float32)
    return {
        f"{layer}.bn_scale": ones,
        f"{layer}.bn_shift": zeros,
        f"{layer}.bn_mean": zeros,
        f"{layer}.bn_variance": ones,
    }
