"""Changes the shape of examples: from flat to maps, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from dnntrain.nn.gradients import Gradients
from dnntrain.nn.layer import ForwardContext, Layer, Tensors
from dnntrain.nn.layer_spec import LayerSpec, Shape
from dnntrain.nn.maps import channels_last
from dnntrain.nn.torch_code import NamedArrays, TorchCode
from dnntrain.utils.lazy import torch


class Reshape(Layer):
    """Gives each example another shape. Shares its input's memory where it can."""

    def __init__(self, name: str, shape: Shape) -> None:
        super().__init__(name)
        self.shape = shape

    def connect(self, needs_input_grad: bool, owns_input: bool) -> None:
        super().connect(needs_input_grad, owns_input)
        self.keeps_output = not owns_input  # the output is the input's memory

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        self._shape_in = x.shape
        return reshaped(x, self.shape)

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        return reshaped(grad, self._shape_in[2:]) if self.needs_input_grad else None


def reshaped(x: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """x (P, rows, …) as (P, rows, *shape), maps with channels last in memory."""
    x = x.reshape(*x.shape[:2], *shape)
    return channels_last(x) if x.dim() == 5 else x


@dataclass(frozen=True)
class ReshapeSpec(LayerSpec):
    """Makes examples of this shape out of as many numbers in another shape."""

    name: str
    shape: Shape

    @property
    def shape_out(self) -> Shape:
        return self.shape

    def build(self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device) -> Reshape:
        return Reshape(self.name, self.shape)

    def to_torch(self, tensors: NamedArrays) -> TorchCode:
        return TorchCode("nn.Flatten()" if len(self.shape) == 1 else f"nn.Unflatten(1, {self.shape})")
