"""What every activation offers, and its layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from dnntrain.errors import InputError
from dnntrain.nn.gradients import Gradients
from dnntrain.nn.layer import VJP, ForwardContext, Layer, Tensors, autograd_vjp, real_rows
from dnntrain.nn.layer_spec import LayerSpec, Shape
from dnntrain.nn.maps import per_channel, pixel_rows
from dnntrain.nn.torch_code import NamedArrays, TorchCode
from dnntrain.techniques.base import Choice
from dnntrain.utils.lazy import torch


class Activation(Choice):
    """A nonlinearity applied to every element of (P, rows, units) or of maps (P, rows, C, H, W)."""

    family = "Activation"
    slot = "act"
    init: ClassVar[str] = "glorot"
    """The initializer that `--init auto` picks for the layer below it (Géron, table 11-1)."""
    asymptotes: ClassVar[tuple[float, ...]] = ()
    """The values at which a bounded activation saturates."""
    trained: ClassVar[str | None] = None
    """The hyper-parameter that is trained, with one value per unit or channel that starts at the given one."""

    @property
    def inputs_per_unit(self) -> int:
        """How many units or channels of the layer below make one of its own."""
        return 1

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        """The activation of z (P, rows, …), same shape; `trained`, if there is any, broadcasts to it."""
        raise NotImplementedError

    def in_place(self, z: torch.Tensor, *trained: torch.Tensor) -> torch.Tensor:
        """As `__call__`, but it may overwrite z, which saves memory traffic."""
        return self(z, *trained)

    def value_and_vjp(self, z: torch.Tensor, *trained: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        """The activation of z, and its VJP for z and for what is trained; by autograd unless a subclass has a rule.

        What is trained has z's shape here, and so has its gradient. Value and VJP may overwrite their arguments.
        """
        return autograd_vjp(self, z, *trained)

    def module(self) -> torch.nn.Module:
        """A module for networks that are modules: torch's of the same name and function, or one that applies this.

        Raises:
            InputError: It trains slopes, and torch has no such module.
        """
        named: type[torch.nn.Module] | None = getattr(torch.nn, type(self).__name__, None)
        if named:
            return named(*self.model_dump().values())
        if self.trained:
            raise InputError(f"act {self.name}: trains {self.trained}, and has no module for networks that are modules")

        class AppliedActivation(torch.nn.Module):
            def forward(_, z: torch.Tensor) -> torch.Tensor:
                return self(z)

            def __repr__(_) -> str:
                return str(self)  # no call that makes it, so exports refuse it

        return AppliedActivation()

    def to_torch(self, shape: Shape, trained: NamedArrays) -> TorchCode:
        """Its module of plain torch, for exports; by default torch's of the same name.

        Args:
            shape: The shape of its input for one example.
            trained: What it trains, by short name.

        Raises:
            InputError: torch has no such module.
        """
        name = type(self).__name__
        if trained or not hasattr(torch.nn, name):
            raise InputError(f"act {self}: cannot be exported, since {name} declares no `to_torch`")
        return TorchCode(f"nn.{name}({', '.join(map(str, self.model_dump().values()))})")

    def layer(self, name: str, shape: Shape) -> ActivationSpec:
        """The layer that applies it to activations of this shape (of one example)."""
        return ActivationSpec(name, shape, self)


class ActivationLayer(Layer):
    """Applies an activation; trains its slopes (P, 1, units or channels, …), if it has any."""

    def __init__(self, name: str, activation: Activation, parameters: Tensors) -> None:
        super().__init__(name, parameters)
        self.activation = activation

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        trained = self._parameters.values()
        if ctx.training:
            # a slope for each row, so that `backward` can sum over the real rows only
            slopes = [slope.expand_as(x) for slope in trained]
            if ctx.observe_backward:
                own, own_vjp = self.activation.value_and_vjp(x.clone(), *slopes)
                derivative = real_rows(own_vjp(torch.ones_like(own))[0], ctx.real)
                ctx.observe_backward.slope(self.name, derivative, self.activation.inputs_per_unit)
            h, vjp = self.activation.value_and_vjp(x if self.owns_input else x.clone(), *slopes)
            self._saved = vjp, ctx.real
        else:
            h = self.activation.in_place(x, *trained) if self.owns_input else self.activation(x, *trained)
        if ctx.observe:
            ctx.observe(self.name, real_rows(h, ctx.real), self.activation.asymptotes)
        return h

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        vjp, real = self._saved
        del self._saved
        grad_in, *trained = vjp(grad)
        for (key, slope), gradient in zip(self._parameters.items(), trained, strict=True):
            grads[f"{self.name}.{key}"] = pixel_rows(real_rows(gradient, real)).sum(dim=1).view_as(slope)
        return grad_in


@dataclass(frozen=True)
class ActivationSpec(LayerSpec):
    """An activation of units or maps of this shape."""

    name: str
    shape: Shape
    activation: Activation

    @property
    def shape_out(self) -> Shape:
        return (self.shape[0] // self.activation.inputs_per_unit, *self.shape[1:])

    @property
    def parameters(self) -> dict[str, Shape]:
        trained = self.activation.trained
        return {} if trained is None else {trained: per_channel(self.shape)}

    def initial_state(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        first = self.activation.model_dump()
        return {key: np.full(shape, first[key], np.float32) for key, shape in self.parameters.items()}

    def build(
        self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device
    ) -> ActivationLayer:
        return ActivationLayer(self.name, self.activation, parameters)

    def to_torch(self, tensors: NamedArrays) -> TorchCode:
        return self.activation.to_torch(self.shape, self.own(tensors))
