"""Pooling: fewer pixels per map. All members go through one call, since every output has its own window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from dnntrain.nn.gradients import Gradients
from dnntrain.nn.layer import VJP, ForwardContext, Layer, Tensors
from dnntrain.nn.layer_spec import LayerSpec, Shape
from dnntrain.nn.maps import channels_last, check_maps
from dnntrain.nn.torch_code import NamedArrays, TorchCode, in_sequence
from dnntrain.utils.lazy import torch

Pooling = Callable[["torch.Tensor", int], "tuple[torch.Tensor, VJP]"]
"""Maps (rows, C, H, W) and a window's size to the pooled maps and the VJP. Windows do not overlap."""


def max_pooling(x: torch.Tensor, size: int) -> tuple[torch.Tensor, VJP]:
    """The largest value of each window; its gradient goes to the first of equal values."""
    settings = (size, size), (size, size), (0, 0), (1, 1), False
    outputs, indices = torch.ops.aten.max_pool2d_with_indices(x, *settings)
    return outputs, lambda g: (torch.ops.aten.max_pool2d_with_indices_backward(g, x, *settings, indices),)


def average_pooling(x: torch.Tensor, size: int) -> tuple[torch.Tensor, VJP]:
    """The mean of each window."""
    settings = (size, size), (size, size), (0, 0), False, True, None
    outputs = torch.ops.aten.avg_pool2d(x, *settings)
    return outputs, lambda g: (torch.ops.aten.avg_pool2d_backward(g, x, *settings),)


class WindowPool(Layer):
    """Makes one pixel of each window of maps (P, rows, C, H, W)."""

    keeps_output = False

    def __init__(self, name: str, pooling: Pooling, size: int) -> None:
        super().__init__(name)
        self.pooling, self.size = pooling, size

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        outputs, vjp = self.pooling(channels_last(x).flatten(0, 1), self.size)
        if ctx.training:
            self._vjp = vjp
        return channels_last(outputs.view(*x.shape[:2], *outputs.shape[1:]))

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        vjp = self._vjp
        del self._vjp
        if not self.needs_input_grad:
            return None
        [grad_in] = vjp(channels_last(grad).flatten(0, 1))
        return channels_last(grad_in.view(*grad.shape[:2], *grad_in.shape[1:]))


@dataclass(frozen=True)
class PoolSpec(LayerSpec):
    """Pooling by windows that do not overlap. Pixels at the right and lower edge that fill no window are left out."""

    name: str
    shape_in: Shape
    """(C, H, W)."""
    kind: Literal["max", "avg"] = "max"
    size: int = 2
    """Height and width of a window."""

    def __post_init__(self) -> None:
        check_maps(self.name, self.shape_in, "pool", self.size)

    @property
    def shape_out(self) -> Shape:
        channels, height, width = self.shape_in
        return (channels, height // self.size, width // self.size)

    def build(self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device) -> WindowPool:
        return WindowPool(self.name, {"max": max_pooling, "avg": average_pooling}[self.kind], self.size)

    def to_torch(self, tensors: NamedArrays) -> TorchCode:
        return TorchCode(f"nn.{'MaxPool2d' if self.kind == 'max' else 'AvgPool2d'}({self.size})")


class GlobalAveragePool(Layer):
    """The mean of each map: (P, rows, C, H, W) to (P, rows, C)."""

    keeps_output = False

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        self._shape = x.shape
        return channels_last(x).mean(dim=(3, 4))

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        if not self.needs_input_grad:
            return None
        share = grad / (self._shape[3] * self._shape[4])
        return channels_last(share[..., None, None].expand(*grad.shape, *self._shape[3:]))


@dataclass(frozen=True)
class GlobalAveragePoolSpec(LayerSpec):
    """The mean of each map (Lin et al. 2014, Network in Network, arXiv:1312.4400)."""

    name: str
    shape_in: Shape
    """(C, H, W)."""

    def __post_init__(self) -> None:
        check_maps(self.name, self.shape_in, "pool", 1)

    @property
    def shape_out(self) -> Shape:
        return self.shape_in[:1]

    def build(
        self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device
    ) -> GlobalAveragePool:
        return GlobalAveragePool(self.name)

    def to_torch(self, tensors: NamedArrays) -> TorchCode:
        return in_sequence([TorchCode("nn.AdaptiveAvgPool2d(1)"), TorchCode("nn.Flatten()")])
