"""Changes the shape of examples: from flat to maps, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from dnntrain.nn.gradients import Gradients
from dnntrain.nn.layer import ForwardContext, Layer, Tensors
from dnntrain.nn.layer_spec import LayerSpec, Shape
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
        return x.reshape(*x.shape[:2], *self.shape)

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        return grad.reshape(*grad.shape[:2], *self._shape_in[2:]) if self.needs_input_grad else None


@dataclass(frozen=True)
class ReshapeSpec(LayerSpec):
    """Makes examples of the shape `shape_out` out of as many numbers in another shape."""

    name: str
    shape_out: Shape

    def build(self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device) -> Reshape:
        return Reshape(self.name, self.shape_out)
