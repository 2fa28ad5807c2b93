"""The dense network of a spec, in one call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import DatasetInfo
from dnntrain.engine.network import Network, initial_state, initialize, layer_specs


def data_info(n_features: int, n_outputs: int) -> DatasetInfo:
    """Data of so many columns and classes."""
    return DatasetInfo((n_features,), tuple(map(str, range(n_outputs))), 0)


def first_weights(spec: RunSpec, n_features: int = 784, n_outputs: int = 10) -> dict[str, np.ndarray]:
    """One member's first parameters and buffers."""
    return initial_state(layer_specs(spec, data_info(n_features, n_outputs)), spec.seed)


def new_network(specs: Sequence[RunSpec], n_features: int = 784, n_outputs: int = 10) -> Network:
    """The network of P specs of one graph before its first step."""
    data = data_info(n_features, n_outputs)
    return initialize(specs, [layer_specs(spec, data) for spec in specs], torch.device("cpu"))
