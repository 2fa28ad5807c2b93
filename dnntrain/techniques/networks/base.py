"""What every network offers: its layers, in units that can be frozen, dropped, or counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from dnntrain.data import DatasetInfo
from dnntrain.errors import InputError
from dnntrain.nn.layer_spec import LayerSpec, Shape
from dnntrain.nn.linear import DenseSpec
from dnntrain.nn.residual import ResidualSpec
from dnntrain.techniques.activations import Activation
from dnntrain.techniques.base import Choice
from dnntrain.techniques.drop_path import DropPath
from dnntrain.techniques.dropout import DropoutBase
from dnntrain.techniques.initializers import Glorot, Initializer, Zeros
from dnntrain.techniques.normalization import Normalization, NormSpec
from dnntrain.techniques.normalization.base import Place
from dnntrain.utils.words import count_noun

Unit = list[LayerSpec]
"""A layer with weights, or a block of them, with what belongs to it: norm, activation, pool, dropout. It begins with
what prepares its inputs, such as making them flat."""


@dataclass(frozen=True)
class NetworkSettings:
    """What a network is built from: its data, and the settings that decide its layers."""

    data: DatasetInfo
    n_outputs: int
    """Units of the output layer."""
    hidden: tuple[int, ...]
    """Widths of the hidden dense layers."""
    activations: Sequence[Activation]
    """The activation of each unit but the output, from the lowest."""
    init: Initializer | None
    """The initializer of all units but the output; None to follow the activation."""
    norm: Normalization | None
    dropout: DropoutBase | None
    skip: int = 0
    """Dense layers that each skip connection passes by; 0 for none."""
    zero_skips: bool = False
    """Whether the blocks of these layers start as their skip connections."""
    drop_path: DropPath | None = None

    def activation(self, unit: int) -> Activation:
        """The activation of a unit, counted from 1."""
        return self.activations[unit - 1]

    def initializer(self, unit: int) -> Initializer:
        """The initializer of a unit, counted from 1."""
        return self.init or Initializer.parse(self.activation(unit).init)

    @property
    def biases(self) -> bool:
        """Whether layers with weights have biases."""
        return self.norm is None or not self.norm.cancels_biases

    def normalized(self, name: str, shape: Shape, place: Place) -> Unit:
        """The norm of activations of this shape, if there is one in this place."""
        if self.norm is None or not self.norm.stands(place):
            return []
        self.norm.check(name, shape)
        return [self.norm.layer(name, shape)]

    def activated(self, name: str, shape: Shape, unit: int) -> Unit:
        """A unit's activation of this shape, with the norm on its side of it."""
        activation = self.activation(unit).layer(name, shape)
        after = self.normalized(name, activation.shape_out, "after")
        return [*self.normalized(name, shape, "before"), activation, *after]

    def dropped(self, name: str, shape: Shape, unit: int) -> Unit:
        """Dropout of a unit's output, or of the inputs (unit 0), if it goes there."""
        dropout = self.dropout
        if dropout is None or unit not in dropout.layers(len(self.hidden), len(self.activations) - len(self.hidden)):
            return []
        return [dropout.layer(name, shape)]

    def inputs(self, shape: Shape) -> Unit:
        """What comes before the first unit."""
        return [*self.normalized("input", shape, "input"), *self.dropped("input", shape, 0)]

    def dense(self, name: str, width: int, units: int, unit: int) -> DenseSpec:
        """The dense layer of a unit; `width` is that of its input."""
        outputs = units * self.activation(unit).inputs_per_unit
        return DenseSpec(name, width, outputs, self.initializer(unit), bias=self.biases)

    def hidden_units(self, width: int) -> list[Unit]:
        """The hidden dense layers, the last units below the output; `width` is that of their input."""
        first = len(self.activations) - len(self.hidden) + 1
        units: list[Unit] = []
        for i, (fan_in, fan_out) in enumerate(zip((width, *self.hidden), self.hidden, strict=False)):
            name, unit = f"hidden{i + 1}", first + i
            dense = self.dense(name, fan_in, fan_out, unit)
            after = [*self.activated(name, dense.shape_out, unit), *self.dropped(name, (fan_out,), unit)]
            units.append([dense, *after])
        return units

    def block(self, name: str, body: Unit, shortcut: Unit, place: float, zero_init: bool) -> ResidualSpec:
        """A residual block.

        Args:
            name: Its name.
            body: The layers of the residual.
            shortcut: Those of the shortcut; an empty list is the identity.
            place: Its number, counted from 1, divided by that of all blocks.
            zero_init: Whether it starts as its shortcut.
        """
        if zero_init:
            zeroed = {"first_scale": 0.0} if isinstance(body[-1], NormSpec) else {"init": Zeros()}
            body = [*body[:-1], replace(body[-1], **zeroed)]  # type: ignore[type-var]
        if self.drop_path:
            body = [*body, self.drop_path.layer(name, body[-1].shape_out, place)]
        return ResidualSpec(name, body, shortcut)

    def output(self, width: int) -> Unit:
        """The output layer, on activations of this width; it has Glorot's weights, as in Keras."""
        return [DenseSpec("output", width, self.n_outputs, Glorot())]


class Net(Choice):
    """A network: which layers a run has."""

    family = "Network"
    slot = "net"
    auto: ClassVar[Mapping[str, str]]
    """The values of `hidden` and `act` where they are `auto`."""
    takes_tokens: ClassVar[bool] = False
    """Whether it can have an embedding, so that inputs may be tokens."""

    @property
    def identity(self) -> str:
        """What identifies it in a run's digest; the same for the same computation."""
        return str(self)

    @property
    def kind(self) -> str:
        """What two networks must share for one to start from weights of the other."""
        return self.name

    @property
    def conv_units(self) -> int:
        """The number of units below the hidden dense layers."""
        return 0

    def n_blocks(self, hidden: Sequence[int], skip: int) -> int:
        """The number of residual blocks, with `skip` dense layers in each of those of an mlp (0 for none)."""
        return 0

    def check(self, hidden: Sequence[int], act: Sequence[Activation]) -> None:
        """Raise ValueError for hidden layers or activations that the network cannot have."""
        units = self.conv_units + len(hidden)
        if len(act) not in (1, units):
            layers = count_noun(units, "layer") if units else "no layers"
            parts = f" ({count_noun(self.conv_units, 'block')} below {len(hidden)} hidden)" if self.conv_units else ""
            raise ValueError(f"act names {len(act)} activations for {layers}{parts}; name one, or one per layer")

    def refuse_pieces(self, act: Sequence[Activation], reason: str) -> None:
        """Raise ValueError for an activation that makes one unit of several."""
        for activation in act:
            if activation.inputs_per_unit > 1:
                raise ValueError(f"act {activation}: makes one unit of {activation.inputs_per_unit}, and {reason}")

    def units(self, settings: NetworkSettings) -> list[Unit]:
        """All layers: what comes before the first unit, the units, and the output layer.

        Raises:
            InputError: The data or the settings do not fit the network.
        """
        raise NotImplementedError

    def n_units(self, settings: NetworkSettings) -> int:
        """The number of units, what comes before the first one and the output layer included."""
        return len(self.units(settings))

    def layers(self, settings: NetworkSettings, first: int = 0, last: int | None = None) -> list[LayerSpec]:
        """The layers of `units[first:last]`, from the lowest; by default all."""
        return list(chain.from_iterable(self.units(settings)[first:last]))


def fill_auto(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings whose `hidden` and `act` are those of the network where they are `auto` or not given."""
    net = Net.parse(values.get("net", "mlp"))
    return {**values, **{key: value for key, value in net.auto.items() if values.get(key, "auto") == "auto"}}


def map_shape(net: str, data: DatasetInfo) -> Shape:
    """The shape (C, H, W) of an example of images; InputError if it has another number of axes."""
    shape = data.shape
    if len(shape) == 2:
        return (1, *shape)
    if len(shape) != 3:
        raise InputError(f"net {net}: needs images (channels, height, width); these examples have shape {shape}")
    return shape


def read_counts(value: object) -> str:
    """Whole numbers joined by slashes, such as 32/64/128."""
    parts = str(value).replace(" ", "").split("/")
    if not all(part.isdecimal() and 1 <= int(part) <= 4096 for part in parts):
        raise ValueError(f"{value!r} must be whole numbers from 1 to 4096 joined by slashes, as 2/4/8")
    return "/".join(str(int(part)) for part in parts)


Counts = Annotated[str, BeforeValidator(read_counts)]


def counts(text: str) -> tuple[int, ...]:
    """The numbers of a `Counts`."""
    return tuple(map(int, text.split("/")))
