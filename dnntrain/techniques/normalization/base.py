"""What every normalization offers: its layer, and what it needs of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from dnntrain.errors import InputError
from dnntrain.nn.layer_spec import LayerSpec, Shape
from dnntrain.nn.maps import per_channel
from dnntrain.nn.torch_code import NamedArrays, TorchCode
from dnntrain.techniques.base import RunExtent, Switch
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch

Place = Literal["before", "after", "input"]
"""Before or after an activation, or on the network's inputs."""


class Normalization(Switch):
    """Normalizes activations, then scales and shifts each unit or channel by what it learns."""

    family = "Normalization"
    exclusive = True
    normalizes_units: ClassVar[bool] = False
    """Whether it subtracts a mean from each unit or channel by itself, and with it the bias of the layer below."""
    place: Literal["before", "after"] = hyperparameter("before", "before or after each activation")

    @property
    def cancels_biases(self) -> bool:
        """Whether the layers below need no biases."""
        return self.normalizes_units and self.place == "before"

    def stands(self, place: Place) -> bool:
        """Whether the network has it in this place."""
        return place == self.place

    def fault(self, run: RunExtent) -> str | None:
        if run.net == "module" and self.place != "before":
            return f"{self.name}_place: the norms of your own module stay where they are"
        if not run.hidden and not run.conv:
            return f"{self.name}: there are no hidden layers to normalize"
        return None

    def check(self, name: str, shape: Shape) -> None:
        """Raise InputError if it cannot normalize activations of this shape (of one example).

        Args:
            name: The layer's name, for messages.
            shape: (units,) or (C, H, W).
        """

    def layer(self, name: str, shape: Shape) -> NormSpec:
        """The layer that normalizes activations of this shape (of one example)."""
        raise NotImplementedError

    def module(self, channels: int) -> torch.nn.Module:
        """A module that normalizes inputs (rows, channels, …), to put in the place of a norm of a user's module.

        Raises:
            InputError: It cannot normalize so many channels.
        """
        raise NotImplementedError

    def module_of_last_axes(self, shape: Shape) -> torch.nn.Module | None:
        """Likewise for inputs (…, *shape) whose last axes are normalized; None if it has no such form."""
        return None

    def to_torch(self, shape: Shape, tensors: NamedArrays) -> TorchCode:
        """Its module of plain torch, for exports.

        Args:
            shape: (units,) or (C, H, W).
            tensors: What it trains and keeps, by short name, each (units,) or (C,).

        Raises:
            InputError: It has no such form.
        """
        raise InputError(f"{self.name}: cannot be exported, since {type(self).__name__} declares no `to_torch`")


@dataclass(frozen=True)
class NormSpec(LayerSpec):
    """A normalization of a layer's units or channels."""

    name: str
    shape: Shape
    norm: Normalization
    first_scale: float = 1.0
    """What each scale starts at."""

    @property
    def shape_out(self) -> Shape:
        return self.shape

    @property
    def parameter_shape(self) -> Shape:
        """The shape of what it trains and keeps: one number for each unit or channel."""
        return per_channel(self.shape)

    def to_torch(self, tensors: NamedArrays) -> TorchCode:
        return self.norm.to_torch(self.shape, {key: tensor.ravel() for key, tensor in self.own(tensors).items()})
