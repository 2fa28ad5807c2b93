"""Dense layers of P members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np

from dnntrain.nn.gradients import FactoredGradient, Gradients, batched_matmul
from dnntrain.nn.layer import ForwardContext, Layer, Tensors, real_rows
from dnntrain.nn.layer_spec import LayerSpec, Shape
from dnntrain.nn.precision import is_lowered
from dnntrain.nn.torch_code import NamedArrays, TorchCode
from dnntrain.utils.lazy import torch


class WeightInit(Protocol):
    """Draws the first weights of one layer of one member."""

    def kernel(
        self, rng: np.random.Generator, fan_in: int, fan_out: int, shape: tuple[int, ...] | None = None
    ) -> np.ndarray:
        """The first weights, float32 of this shape, inputs first and outputs last; by default (fan_in, fan_out).

        A convolution draws (C_in, k, k, C_out). Its fans count the receptive field: fan_out is C_out · k · k.
        """
        ...

    def bias(self, rng: np.random.Generator, fan_in: int, units: int) -> np.ndarray:
        """The first biases, float32 (units,)."""
        ...


class Dense(Layer):
    """x W + b, with `kernel` W (P, in, out) and, unless batch norm follows, `bias` b (P, 1, out)."""

    keeps_output = False

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        kernel = self._parameters["kernel"]
        x = x if len(x) == len(kernel) else x.expand(len(kernel), -1, -1)
        if ctx.training:
            self._saved = x, ctx
        return batched_matmul(x, kernel, self._parameters.get("bias"))

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        x, ctx = self._saved
        del self._saved  # memory that is free early is reused while it is in the caches
        real_grad = real_rows(grad, ctx.real)
        if ctx.observe_backward:
            ctx.observe_backward.net_input_gradient(f"{self.name}.kernel", real_grad)
        factored = FactoredGradient(real_rows(x, ctx.real), real_grad)
        grads[f"{self.name}.kernel"] = factored.densify() if is_lowered(grad.device) else factored
        if "bias" in self._parameters:
            grads[f"{self.name}.bias"] = real_grad.sum(dim=1, keepdim=True)
        return batched_matmul(grad, self._parameters["kernel"].transpose(1, 2)) if self.needs_input_grad else None


@dataclass(frozen=True)
class DenseSpec(LayerSpec):
    """A dense layer."""

    name: str
    fan_in: int
    fan_out: int
    init: WeightInit
    bias: bool = True
    draws: ClassVar[bool] = True

    @property
    def shape_out(self) -> Shape:
        return (self.fan_out,)

    @property
    def parameters(self) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {"kernel": (self.fan_in, self.fan_out)}
        return shapes | ({"bias": (1, self.fan_out)} if self.bias else {})

    @property
    def weights(self) -> dict[str, int]:
        return {"kernel": 1}

    @property
    def flops(self) -> int:
        return 2 * self.fan_in * self.fan_out

    def initial_state(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        kernel = self.init.kernel(rng, self.fan_in, self.fan_out)
        return {"kernel": kernel} | (
            {"bias": self.init.bias(rng, self.fan_in, self.fan_out)[None]} if self.bias else {}
        )

    def build(self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device) -> Dense:
        return Dense(self.name, parameters)

    def to_torch(self, tensors: NamedArrays) -> TorchCode:
        own = self.own(tensors)
        state = {"weight": own["kernel"].T} | ({"bias": own["bias"][0]} if self.bias else {})
        return TorchCode(f"nn.Linear({self.fan_in}, {self.fan_out}{'' if self.bias else ', bias=False'})", state)
