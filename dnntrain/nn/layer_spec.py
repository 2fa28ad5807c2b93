"""What a layer is before it has any tensors: its shapes, its cost, its first weights. Needs no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Self

import numpy as np

from dnntrain.errors import InputError
from dnntrain.nn.layer import Layer, Sequential, Tensors
from dnntrain.nn.torch_code import NamedArrays, TorchCode, in_sequence
from dnntrain.utils.lazy import torch

Shape = tuple[int, ...]


class LayerSpec(ABC):
    """Describes one layer and builds it. A network is a list of them.

    Parameter count, cost, padding, first weights and the layer itself all follow from this one description, so a new
    kind of layer is a subclass of this and of `Layer`, and no other module changes.
    """

    name: str
    """Prefix of the parameters' names in records: `hidden1` for `hidden1.kernel`. Layers of one block share it."""
    draws: ClassVar[bool] = False
    """Whether its first weights are random. Each such layer has an init stream and a dropout key of its own."""

    draws_in_threads: ClassVar[bool] = True
    """Whether `initial_state` may run for several members at a time. Not if it calls code that draws from a global
    generator, such as torch's."""

    one_by_one: ClassVar[bool] = False
    """Whether members go through it one after the other on a CPU, so that a larger population saves little."""

    @property
    @abstractmethod
    def shape_out(self) -> Shape:
        """The shape of its output for one example."""

    @property
    def branches(self) -> Sequence[Sequence[LayerSpec]]:
        """The lists of layers that it is made of. Most layers have none, and tensors of their own instead."""
        return ()

    @property
    def parameters(self) -> dict[str, Shape]:
        """The shape of each trained tensor of one member, by its short name: `kernel`, `bias`."""
        return {}

    @property
    def buffers(self) -> dict[str, Shape]:
        """The shape of each tensor of one member that is kept but not trained, by its short name."""
        return {}

    @property
    def weights(self) -> dict[str, int]:
        """The weights among the parameters, each with its output axis in one member's shape: the first or the last.

        Penalties, constraints and health figures are about these, as matrices (`as_matrix`); biases and scales are left
        alone.
        """
        return {}

    @property
    def embeddings(self) -> Collection[str]:
        """The parameters that are tables of embeddings. They are not weights, although they have two axes."""
        return ()

    @property
    def unobserved(self) -> Sequence[str]:
        """Its activations that an `Observer` does not see, as text such as "Net calls F.relu (net.py, line 9)"."""
        return ()

    @property
    def flops(self) -> int:
        """Floating-point operations of the forward pass of one example (a multiply-add counts as two)."""
        return 0

    @property
    def activations(self) -> int:
        """How many numbers its forward pass makes for one example."""
        return prod(self.shape_out)

    @property
    def n_parameters(self) -> int:
        """How many numbers one member trains."""
        return sum(map(prod, self.parameters.values()))

    @property
    def n_weights(self) -> int:
        """How many of them are weights."""
        return sum(prod(self.parameters[name]) for name in self.weights)

    @property
    def tensor_names(self) -> list[str]:
        """The full names of its parameters, then of its buffers, as in records."""
        return [f"{self.name}.{key}" for key in (*self.parameters, *self.buffers)]

    def initial_state(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """One member's first parameters and buffers, by their short names, without the axis P.

        Args:
            rng: The layer's own init stream, a fresh generator.
        """
        return {}

    def build(self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device) -> Layer:
        """The layer of P members.

        Args:
            parameters: What it trains, (P, …), by short name, on the device.
            buffers: What it keeps, likewise.
            members: This layer's spec in each of the P members; they differ in per-member settings only.
            device: Where the layer computes.
        """
        raise NotImplementedError

    def join(self, branches: Sequence[Sequential]) -> Layer:
        """The layer made of its branches, if it has any; `build` is for the others."""
        raise NotImplementedError

    def to_torch(self, tensors: NamedArrays) -> TorchCode:
        """The layer as a module of plain torch, (N, …) to (N, …), for exports.

        Args:
            tensors: One member's parameters and buffers by full name, without the axis P.

        Raises:
            InputError: It has no such form.
        """
        kind = type(self).__name__.removesuffix("Spec")
        raise InputError(f"{self.name}: a layer {kind} cannot be exported, since it declares no `to_torch`")

    def own(self, tensors: NamedArrays) -> dict[str, np.ndarray]:
        """Its own among the tensors of a network, by short name."""
        return {key: tensors[f"{self.name}.{key}"] for key in (*self.parameters, *self.buffers)}


def torch_sequence(layers: Sequence[LayerSpec], tensors: NamedArrays) -> TorchCode:
    """Layers that follow each other as one module of plain torch; see `LayerSpec.to_torch`."""
    return in_sequence([layer.to_torch(tensors) for layer in layers])


def walk(layers: Iterable[LayerSpec]) -> Iterator[LayerSpec]:
    """All layers from the lowest, each followed by those of its branches."""
    for layer in layers:
        yield layer
        for branch in layer.branches:
            yield from walk(branch)


@dataclass(frozen=True)
class ParameterRole:
    """What one trained tensor is in its network."""

    name: str
    """Its full name: `hidden1.kernel`."""
    shape: Shape
    """Its shape in one member."""
    output_axis: int | None
    """The output axis of weights, the first or the last of `shape`; None for biases, scales, and embeddings."""
    is_first: bool
    """Whether it is the lowest of the trained weights and embeddings."""
    is_last: bool
    """Whether it holds the weights of the output layer."""


def parameter_roles(layers: Sequence[LayerSpec]) -> dict[str, ParameterRole]:
    """The role of each parameter, by its full name.

    In a user's module the lowest and the highest layers are those that its class assigns first and last.
    """
    shapes: dict[str, Shape] = {}
    axes: dict[str, int] = {}
    lowest: list[str] = []
    for layer in walk(layers):
        shapes |= {f"{layer.name}.{key}": shape for key, shape in layer.parameters.items()}
        axes |= {f"{layer.name}.{key}": axis for key, axis in layer.weights.items()}
        lowest += [f"{layer.name}.{key}" for key in layer.parameters if key in {*layer.weights, *layer.embeddings}]
    return {
        name: ParameterRole(name, shape, axes.get(name), name in lowest[:1], name in [*axes][-1:])
        for name, shape in shapes.items()
    }


def as_matrix(weight: torch.Tensor, output_axis: int) -> torch.Tensor:
    """A view (P, fan_in, fan_out) of weights (P, …) whose output axis, not counting P, is the first or the last."""
    return weight.movedim(output_axis + 1, -1).flatten(1, -2)
