"""Normalization within each example: nothing depends on the mini-batch, and testing is as training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar, Self

import numpy as np

from dnntrain.errors import InputError
from dnntrain.nn.gradients import Gradients
from dnntrain.nn.layer import VJP, ForwardContext, Layer, Tensors, real_rows
from dnntrain.nn.layer_spec import Shape
from dnntrain.nn.maps import channels_last, like_maps, pixel_rows
from dnntrain.nn.torch_code import NamedArrays, TorchCode, source_of
from dnntrain.techniques.normalization.base import Normalization, NormSpec
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class ExampleNorm(Normalization):
    """A normalization whose statistics are those of one example, or of one pixel."""

    shifts: ClassVar[bool] = True
    """Whether it has a shift for each unit or channel besides the scale."""

    def value_and_vjp(self, x: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        """The normalized x (P, rows, units) or (P, rows, C, H, W), same shape, and its VJP, which has one gradient.

        Rows of padding may hold anything: no row changes another.
        """
        raise NotImplementedError

    def layer(self, name: str, shape: Shape) -> ExampleNormSpec:
        return ExampleNormSpec(name, shape, self)

    def to_torch(self, shape: Shape, tensors: NamedArrays) -> TorchCode:
        keys = ("weight", "bias") if self.shifts else ("weight",)
        return replace(self.torch_module(shape), state=dict(zip(keys, tensors.values(), strict=True)))

    def torch_module(self, shape: Shape) -> TorchCode:
        """Its module of plain torch, which has a `weight`, and a `bias` if the norm shifts; without the tensors."""
        raise InputError(f"{self.name}: cannot be exported, since {type(self).__name__} declares no `torch_module`")


class ExampleNormLayer(Layer):
    """Normalizes within each example, then trains a scale γ and, if the norm shifts, a shift β, by unit or channel.

    Both are (P, 1, units) or (P, 1, C, 1, 1), named after the norm: `layer_norm_scale`, `layer_norm_shift`.
    """

    keeps_output = False

    def __init__(self, name: str, norm: ExampleNorm, parameters: Tensors) -> None:
        super().__init__(name, parameters)
        self.norm = norm

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        normalized, vjp = self.norm.value_and_vjp(x)
        h = pixel_rows(normalized)
        if ctx.training:
            self._saved = h, vjp, (ctx.real or x.shape[1]) * h.shape[1] // x.shape[1]
        scale, *shift = (tensor.flatten(2) for tensor in self._parameters.values())
        return like_maps(torch.addcmul(shift[0], h, scale) if shift else h * scale, x)

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        h, vjp, real = self._saved
        del self._saved
        g, (scale, *_) = pixel_rows(grad), self._parameters.values()
        found = [real_rows(g * h, real), real_rows(g, real)]  # of scale and shift
        for (key, parameter), gradient in zip(self._parameters.items(), found, strict=False):
            grads[f"{self.name}.{key}"] = gradient.sum(dim=1, keepdim=True).view_as(parameter)
        return vjp(like_maps(g * scale.flatten(2), grad))[0] if self.needs_input_grad else None


@dataclass(frozen=True)
class ExampleNormSpec(NormSpec):
    """Normalization of each example's units or channels."""

    norm: ExampleNorm

    @property
    def parameters(self) -> dict[str, Shape]:
        keys = ("scale", "shift") if self.norm.shifts else ("scale",)
        return {f"{self.norm.name}_{key}": self.parameter_shape for key in keys}

    def initial_state(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The first scale, and shift 0."""
        firsts = (self.first_scale, 0.0)
        return {
            key: np.full(shape, first, np.float32)
            for (key, shape), first in zip(self.parameters.items(), firsts, strict=False)
        }

    def build(
        self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device
    ) -> ExampleNormLayer:
        return ExampleNormLayer(self.name, self.norm, parameters)


def check_several_units(norm: Normalization, name: str, shape: Shape) -> None:
    """Raise InputError where there is only one unit or channel to normalize over."""
    if shape[0] < 2:
        raise InputError(
            f"{norm.name}: {name} has only one {'unit' if len(shape) == 1 else 'channel'} to normalize over"
        )


class LayerNorm(ExampleNorm):
    """Layer normalization."""

    name = "layer_norm"
    summary = "Normalizes over the units of each example, or over the channels at each pixel, without the mini-batch."
    paper = "Ba et al. 2016, Layer Normalization, arXiv:1607.06450"
    formula = "x̂ = (x - μ) / √(σ² + ε) with μ and σ² over the units of one example;  z = γ x̂ + β"
    advice = "For small batches, recurrent networks and transformers. In convolutional networks bn is often better."
    eps: float = hyperparameter(1e-5, "smoothing term ε", gt=0)

    def check(self, name: str, shape: Shape) -> None:
        check_several_units(self, name, shape)

    def value_and_vjp(self, x: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = pixel_rows(x).contiguous()
        size = h.shape[-1:]
        normalized, mean, inverse = torch.native_layer_norm(h, size, None, None, self.eps)

        def vjp(grad: torch.Tensor) -> tuple[torch.Tensor, ...]:
            settings = size, mean, inverse, None, None, (True, False, False)
            [grad_in, *_] = torch.ops.aten.native_layer_norm_backward(pixel_rows(grad), h, *settings)
            return (like_maps(grad_in, grad),)

        return like_maps(normalized, x), vjp

    def module(self, channels: int) -> torch.nn.Module:
        from dnntrain.nn.modules.stand_ins import ChannelLayerNorm

        return ChannelLayerNorm(channels, eps=self.eps)

    def module_of_last_axes(self, shape: Shape) -> torch.nn.Module:
        return torch.nn.LayerNorm(shape, self.eps)

    def torch_module(self, shape: Shape) -> TorchCode:
        from dnntrain.nn.modules.stand_ins import ChannelLayerNorm

        if len(shape) == 1:
            return TorchCode(f"nn.LayerNorm({shape[0]}, eps={self.eps})")
        return TorchCode(f"ChannelLayerNorm({shape[0]}, eps={self.eps})", helpers=(source_of(ChannelLayerNorm),))


class RMSNorm(ExampleNorm):
    """Root mean square normalization."""

    name = "rms_norm"
    shifts = False
    summary = "Divides by the root mean square of each example's units, or of the channels at each pixel; no mean."
    paper = "Zhang & Sennrich 2019, Root Mean Square Layer Normalization, arXiv:1910.07467"
    formula = "z = γ x / √(mean of x² over the units of one example + ε)"
    advice = "Like layer_norm, a little cheaper; what most large language models use."
    eps: float = hyperparameter(1e-5, "smoothing term ε", gt=0)

    def check(self, name: str, shape: Shape) -> None:
        check_several_units(self, name, shape)

    def value_and_vjp(self, x: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        h = pixel_rows(x)
        inverse = torch.rsqrt(h.square().mean(dim=-1, keepdim=True) + self.eps)
        normalized = h * inverse

        def vjp(grad: torch.Tensor) -> tuple[torch.Tensor, ...]:
            g = pixel_rows(grad)
            # the part of the gradient that would only stretch the example has no effect
            along = (g * normalized).mean(dim=-1, keepdim=True)
            return (like_maps(torch.addcmul(g, normalized, along, value=-1).mul_(inverse), grad),)

        return like_maps(normalized, x), vjp

    def module(self, channels: int) -> torch.nn.Module:
        from dnntrain.nn.modules.stand_ins import ChannelRMSNorm

        return ChannelRMSNorm(channels, eps=self.eps)

    def module_of_last_axes(self, shape: Shape) -> torch.nn.Module:
        return torch.nn.RMSNorm(shape, self.eps)

    def torch_module(self, shape: Shape) -> TorchCode:
        from dnntrain.nn.modules.stand_ins import ChannelRMSNorm

        if len(shape) == 1:
            return TorchCode(f"nn.RMSNorm({shape[0]}, eps={self.eps})")
        return TorchCode(f"ChannelRMSNorm({shape[0]}, eps={self.eps})", helpers=(source_of(ChannelRMSNorm),))


class GroupNorm(ExampleNorm):
    """Group normalization."""

    name = "group_norm"
    primary = "groups"
    summary = "Normalizes each example over groups of its channels and all their pixels, without the mini-batch."
    paper = "Wu & He 2018, Group Normalization, arXiv:1803.08494"
    formula = "x̂ = (x - μ_g) / √(σ²_g + ε) over the C / G channels of group g and their pixels;  z = γ x̂ + β"
    advice = "For convolutions with batches too small for bn. The paper has 32 groups, or 16 channels a group."
    groups: int = hyperparameter(1, "groups of channels (or of units of a dense layer)", ge=1, le=4096)
    eps: float = hyperparameter(1e-5, "smoothing term ε", gt=0)

    def check(self, name: str, shape: Shape) -> None:
        units = "units" if len(shape) == 1 else "channels"
        self._check_divides(f"the {shape[0]} {units} of {name}", shape[0])
        if prod(shape) == self.groups:
            raise InputError(f"group_norm {self.groups}: each group of {name} has only one number to normalize over")

    def _check_divides(self, what: str, channels: int) -> None:
        if channels % self.groups:
            raise InputError(f"group_norm {self.groups}: {what} do not divide into {self.groups} equal groups")

    def value_and_vjp(self, x: torch.Tensor) -> tuple[torch.Tensor, VJP]:
        examples = (channels_last(x) if x.dim() == 5 else x).flatten(0, 1)
        sizes = *examples.shape[:2], prod(examples.shape[2:]), self.groups
        normalized, mean, inverse = torch.ops.aten.native_group_norm(examples, None, None, *sizes, self.eps)

        def vjp(grad: torch.Tensor) -> tuple[torch.Tensor, ...]:
            saved = examples, mean, inverse, None
            masks = (True, False, False)
            [grad_in, *_] = torch.ops.aten.native_group_norm_backward(grad.flatten(0, 1), *saved, *sizes, masks)
            return (grad_in.view(grad.shape),)

        return normalized.view(x.shape), vjp

    def module(self, channels: int) -> torch.nn.Module:
        self._check_divides(f"the {channels} channels of a norm", channels)
        return torch.nn.GroupNorm(self.groups, channels, self.eps)

    def torch_module(self, shape: Shape) -> TorchCode:
        return TorchCode(f"nn.GroupNorm({self.groups}, {shape[0]}, eps={self.eps})")
