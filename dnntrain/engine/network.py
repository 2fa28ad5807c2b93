"""A run's network: its list of layer specs, their first weights, and the layers of P members.

Cost, padding and transfer read the same list of layer specs. No torch is needed before `initialize`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import DatasetInfo
from dnntrain.nn import random
from dnntrain.nn.gradients import Gradients
from dnntrain.nn.layer import EVAL, ForwardContext, Layer, Sequential, Tensors
from dnntrain.nn.layer_spec import LayerSpec, Shape, as_matrix, walk
from dnntrain.nn.precision import products_in
from dnntrain.techniques.drop_path import DropPath
from dnntrain.techniques.networks.base import NetworkSettings
from dnntrain.techniques.networks.mlp import SkipConnections
from dnntrain.utils.lazy import torch
from dnntrain.utils.threads import host_threads, in_threads

LayerSpecs = Sequence[LayerSpec]
"""One member's layers, from the lowest."""


def network_settings(spec: RunSpec, data: DatasetInfo) -> NetworkSettings:
    """What a run's network is built from."""
    skips, drop_paths = spec.techniques(SkipConnections), spec.techniques(DropPath)
    return NetworkSettings(
        data,
        spec.n_outputs(data),
        spec.hidden,
        spec.activations,
        spec.init,
        spec.norm,
        spec.dropout,
        skips[0].every if skips else 0,
        bool(skips and skips[0].zero_init),
        drop_paths[0] if drop_paths else None,
    )


def layer_specs(spec: RunSpec, data: DatasetInfo) -> list[LayerSpec]:
    """The layers of a run's network, from the lowest: `[Dense, BatchNorm, Activation, Dropout, …, Dense]`.

    Raises:
        InputError: The network does not fit the data or the other settings.
    """
    return spec.net.layers(network_settings(spec, data))


def member_layers(specs: Sequence[RunSpec], data: DatasetInfo) -> list[LayerSpecs]:
    """The layers of each run's network; runs with equal ones that follow each other share the list."""
    found: list[LayerSpecs] = []
    previous = None
    for spec in specs:
        asked = spec.net, network_settings(spec, data)
        found.append(found[-1] if asked == previous else spec.net.layers(asked[1]))
        previous = asked
    return found


def tensor_names(layers: LayerSpecs) -> list[str]:
    """The names of all parameters and buffers, as in records."""
    return [name for layer in walk(layers) for name in layer.tensor_names]


def tensor_shapes(layers: LayerSpecs) -> dict[str, Shape]:
    """The shapes of all parameters and buffers of one member, by full name."""
    return {
        f"{layer.name}.{key}": shape
        for layer in walk(layers)
        for key, shape in (layer.parameters | layer.buffers).items()
    }


def weight_names(layers: LayerSpecs) -> list[str]:
    """The full names of all weights, in the order of health figures."""
    return [f"{layer.name}.{key}" for layer in walk(layers) for key in layer.weights]


def initial_state(layers: LayerSpecs, seed: int) -> dict[str, np.ndarray]:
    """One member's first parameters and buffers, by full name, without the axis P.

    The n-th layer (from 0) that draws random weights draws them from the n-th `init` stream of the seed.
    """
    state: dict[str, np.ndarray] = {}
    drawn = 0
    for layer in walk(layers):
        if layer.tensor_names:  # most activations have none
            first = layer.initial_state(random.generator(seed, "init", drawn))
            state |= {f"{layer.name}.{key}": value for key, value in first.items()}
        drawn += layer.draws
    return state


def initial_arrays(
    members: Sequence[LayerSpecs], seeds: Sequence[int], known: Sequence[Mapping[str, np.ndarray]], threads: int
) -> dict[str, np.ndarray]:
    """The first parameters and buffers of P members, (P, …), by full name.

    Args:
        members: Each member's layers, from the lowest.
        seeds: Each member's seed, from which its weights are drawn.
        known: What each member has already instead, by full name.
        threads: How many threads draw. Each member has streams of its own, so their number changes no bit.
    """

    def state_of(member: int) -> dict[str, np.ndarray]:
        return initial_state(members[member], seeds[member]) | dict(known[member])

    first = state_of(0)
    arrays = {name: np.empty((len(seeds), *value.shape), value.dtype) for name, value in first.items()}

    def fill(member: int) -> None:
        for name, value in (state_of(member) if member else first).items():
            arrays[name][member] = value

    in_turn = not all(layer.draws_in_threads for layer in walk(members[0]))
    in_threads(fill, range(len(seeds)), 1 if in_turn else threads)
    return arrays


def build(
    members: Sequence[LayerSpecs], tensors: Tensors, device: torch.device, pretrained: frozenset[str] = frozenset()
) -> Sequential:
    """The layers of P members of one graph.

    Args:
        members: Each member's layers, from the lowest.
        tensors: All parameters and buffers (P, …), by full name, on the device.
        device: Where they compute.
        pretrained: Names of the tensors that come from an earlier training.
    """
    drawn = accumulate((spec.draws for spec in walk(members[0])), initial=0)  # by the layers below each layer

    def layer_of(peers: Sequence[LayerSpec]) -> Layer:
        spec, index = peers[0], next(drawn)
        if spec.branches:
            return spec.join([sequence(branches) for branches in zip(*(peer.branches for peer in peers), strict=True)])
        parameters, buffers = (
            {key: tensors[f"{spec.name}.{key}"] for key in shapes} for shapes in (spec.parameters, spec.buffers)
        )
        layer = spec.build(parameters, buffers, peers, device)
        layer.index = index
        layer.pretrained = any(f"{spec.name}.{key}" in pretrained for key in spec.buffers)
        return layer

    def sequence(lists: Sequence[LayerSpecs]) -> Sequential:
        return Sequential([layer_of(peers) for peers in zip(*lists, strict=True)])

    return sequence(members)


@dataclass
class Network:
    """P networks of one graph, as a list of layers."""

    spec: RunSpec
    """One member's run: it describes what all share."""
    layer_specs: LayerSpecs
    layers: Sequential
    parameters: Tensors = field(init=False)
    """What is trained: `hidden1.kernel` (P, in, out), `hidden1.bias` (P, 1, out), …"""
    buffers: Tensors = field(init=False)
    """What is kept but not trained: batch norm's moving averages, (P, 1, units)."""
    kernels: Tensors = field(init=False)
    """The weights among the parameters from the lowest layer to the output, as matrices (P, fan_in, fan_out): views."""

    def __post_init__(self) -> None:
        self.parameters, self.buffers = self.layers.parameters(), self.layers.buffers()
        weights = {f"{spec.name}.{key}": axis for spec in walk(self.layer_specs) for key, axis in spec.weights.items()}
        self.kernels = {name: as_matrix(self.parameters[name], axis) for name, axis in weights.items()}

    def forward(self, x: torch.Tensor, ctx: ForwardContext = EVAL) -> torch.Tensor:
        """Outputs (P, rows, units of the last layer) for the inputs x (P or 1, rows, features)."""
        with products_in(self.spec.precision, x.device):
            return self.layers.forward(x, ctx)

    def backward(self, grad: torch.Tensor) -> Gradients:
        """The gradients of all parameters, from that of the outputs of the last forward pass."""
        grads: Gradients = {}
        with products_in(self.spec.precision, grad.device):
            self.layers.backward(grad, grads)
        return grads

    def select(self, members: torch.Tensor) -> Network:
        """The network of some members, by their indices; its tensors are copies."""
        return replace(self, layers=self.layers.select(members))

    def state(self) -> Tensors:
        """All parameters and buffers; the storage is shared."""
        return self.parameters | self.buffers


def initialize(
    specs: Sequence[RunSpec],
    members: Sequence[LayerSpecs],
    device: torch.device,
    known: Sequence[Mapping[str, np.ndarray]] = (),
) -> Network:
    """The network of P runs of one graph, its first weights drawn from each run's own seed.

    Args:
        specs: The runs.
        members: Each run's layers, from the lowest.
        device: Where it computes.
        known: Each run's parameters and buffers that are not drawn but known already, by full name.
    """
    seeds = [spec.stream_seed for spec in specs]
    arrays = initial_arrays(members, seeds, known or [{}] * len(specs), host_threads(device.type))
    tensors = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
    pretrained = frozenset(name for weights in known for name in weights)
    return Network(specs[0], members[0], build(members, tensors, device, pretrained))


def load_layers(layers: LayerSpecs, weights: Mapping[str, np.ndarray], device: torch.device) -> Sequential:
    """Layers of one member (P = 1) with these weights, which may hold those of others too; not to be trained."""
    names = tensor_names(layers)
    return build([layers], {name: torch.from_numpy(np.array(weights[name]))[None].to(device) for name in names}, device)


def dropout_key_tensor(
    network: Network, seeds: Sequence[int], stream: str, first: int, steps: int
) -> torch.Tensor | None:
    """Keys of the dropout masks of each step, int32 (steps, layers, P); None without dropout."""
    if not network.layers.uses_keys():
        return None
    keys = random.step_keys(seeds, stream, first, steps, sum(layer.draws for layer in walk(network.layer_specs)))
    return torch.from_numpy(keys).to(next(iter(network.parameters.values())).device)


def dropout_keys(
    network: Network, seeds: Sequence[int], stream: str, first: int, steps: int
) -> list[torch.Tensor | None]:
    """As `dropout_key_tensor`, by step: each (layers, P), or None without dropout."""
    keys = dropout_key_tensor(network, seeds, stream, first, steps)
    return [None] * steps if keys is None else list(keys)
