"""Convolutions of P members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from dnntrain.nn.gradients import Gradients, batched_matmul
from dnntrain.nn.layer import ForwardContext, Layer, Tensors, real_rows
from dnntrain.nn.layer_spec import LayerSpec, Shape
from dnntrain.nn.linear import WeightInit
from dnntrain.nn.maps import channels_last, check_maps, each_member, pixel_rows
from dnntrain.nn.precision import lowered
from dnntrain.nn.torch_code import NamedArrays, TorchCode
from dnntrain.utils.lazy import torch


class Convolution(Layer):
    """A convolution with `kernel` (P, C_out, C_in, k, k) and, unless batch norm follows, `bias` (P, C_out).

    Maps are (P, rows, C, H, W).
    """

    keeps_output = False

    def __init__(self, name: str, stride: int, padding: int, parameters: Tensors) -> None:
        super().__init__(name, parameters)
        self.stride, self.padding = stride, padding

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        x = channels_last(x).expand(len(self._parameters["kernel"]), -1, -1, -1, -1)
        outputs, kept = self.outputs(x)
        if ctx.training:
            self._saved = x, kept, ctx
        return outputs

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        x, kept, ctx = self._saved
        del self._saved
        grad = channels_last(grad)
        real_grad = real_rows(grad, ctx.real)
        if ctx.observe_backward:
            ctx.observe_backward.net_input_gradient(f"{self.name}.kernel", real_grad)
        grads[f"{self.name}.kernel"] = self.kernel_gradient(real_grad, kept)
        if "bias" in self._parameters:
            grads[f"{self.name}.bias"] = pixel_rows(real_grad).sum(dim=1)
        return self._derivative(0, grad, x) if self.needs_input_grad else None

    def outputs(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The outputs (P, rows, C_out, H_out, W_out) for the inputs x (P, rows, C_in, H, W).

        And what the kernel's gradient is made from.
        """

        def of_one(x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
            maps = torch.conv2d(x, kernel, bias, self.stride, self.padding)
            return maps.to(x.dtype).movedim(1, -1)  # see `products_in`

        return each_member(of_one, x, *self._parameters.values()).movedim(-1, 2), x

    def kernel_gradient(self, grad: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """The kernel's gradient, from that of the outputs of the real rows, and from what `outputs` kept."""
        return self._derivative(1, grad, real_rows(kept, grad.shape[1])).contiguous()

    def _derivative(self, of: int, grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """The gradient of the inputs (`of` = 0) or of the kernel (1), channels last."""
        settings = (self.stride,) * 2, (self.padding,) * 2, (1, 1), False, (0, 0), 1, [of == 0, of == 1, False]

        def of_one(grad: torch.Tensor, x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
            inputs = lowered(grad, x, kernel)
            gradient: torch.Tensor = torch.ops.aten.convolution_backward(*inputs, None, *settings)[of]
            return gradient.to(x.dtype).movedim(1, -1)

        return each_member(of_one, grad, x, self._parameters["kernel"]).movedim(-1, 2)


class ProductConvolution(Convolution):
    """A convolution by products: of all windows with the kernel, and of the windows with the outputs' gradient.

    For one input channel, where oneDNN has little to multiply for each output: the kernel's gradient of 1→32 at 28×28
    and batch 32 takes it 2.6 ms, and the windows and their product 0.4 ms. And for kernels of 1×1, since with a stride
    oneDNN's gradient in channels-last memory writes beyond its buffers (torch 2.13).
    """

    def outputs(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if x.device.type != "cpu":
            return super().outputs(x)
        windows = self._windows(x)
        kernel, bias = self._parameters["kernel"], self._parameters.get("bias")
        pixels = batched_matmul(windows, kernel.flatten(2).mT, None if bias is None else bias.unsqueeze(1))
        height, width = ((n + 2 * self.padding - kernel.shape[-1]) // self.stride + 1 for n in x.shape[3:])
        return pixels.view(*x.shape[:2], height, width, -1).movedim(-1, 2), windows

    def kernel_gradient(self, grad: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        pixels = pixel_rows(grad)
        windows = self._windows(kept) if kept.dim() == 5 else kept
        products = batched_matmul(windows[:, : pixels.shape[1]].mT, pixels)
        return products.mT.reshape(self._parameters["kernel"].shape)

    def _windows(self, x: torch.Tensor) -> torch.Tensor:
        """The inputs of each output pixel, (P, rows · H_out · W_out, C_in · k · k)."""
        size = self._parameters["kernel"].shape[-1]
        x = torch.nn.functional.pad(x, (self.padding,) * 4) if self.padding else x
        if size == 1:
            return pixel_rows(x[..., :: self.stride, :: self.stride])
        windows = x.squeeze(2).unfold(2, size, self.stride).unfold(3, size, self.stride)  # a view (P, rows, H, W, k, k)
        return windows.permute(0, 4, 5, 1, 2, 3).flatten(3).flatten(1, 2).mT  # this order copies rows of pixels


@dataclass(frozen=True)
class ConvolutionSpec(LayerSpec):
    """A convolution with a square kernel."""

    name: str
    shape_in: Shape
    """(C_in, H, W)."""
    channels: int
    """C_out."""
    init: WeightInit
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    """Rows and columns of zeros at each edge."""
    bias: bool = True
    draws: ClassVar[bool] = True
    one_by_one: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_maps(self.name, self.shape_in, "kernel", self.kernel, self.padding)

    @property
    def shape_out(self) -> Shape:
        height, width = ((size + 2 * self.padding - self.kernel) // self.stride + 1 for size in self.shape_in[1:])
        return (self.channels, height, width)

    @property
    def fan_in(self) -> int:
        """Inputs of each output: the receptive field in every channel."""
        return self.shape_in[0] * self.kernel**2

    @property
    def fan_out(self) -> int:
        """Outputs that each input takes part in, as Keras and torch count them (without the stride)."""
        return self.channels * self.kernel**2

    @property
    def parameters(self) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {"kernel": (self.channels, self.shape_in[0], self.kernel, self.kernel)}
        return shapes | ({"bias": (self.channels,)} if self.bias else {})

    @property
    def weights(self) -> dict[str, int]:
        return {"kernel": 0}

    @property
    def flops(self) -> int:
        channels, height, width = self.shape_out
        return 2 * self.fan_in * channels * height * width

    def initial_state(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        shape = (self.shape_in[0], self.kernel, self.kernel, self.channels)
        kernel = np.ascontiguousarray(np.moveaxis(self.init.kernel(rng, self.fan_in, self.fan_out, shape), -1, 0))
        return {"kernel": kernel} | ({"bias": self.init.bias(rng, self.fan_in, self.channels)} if self.bias else {})

    def build(
        self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device
    ) -> Convolution:
        kind = ProductConvolution if 1 in (self.shape_in[0], self.kernel) else Convolution
        return kind(self.name, self.stride, self.padding, parameters)

    def to_torch(self, tensors: NamedArrays) -> TorchCode:
        own = self.own(tensors)
        settings = {"stride": (self.stride, 1), "padding": (self.padding, 0), "bias": (self.bias, True)}
        changed = "".join(f", {key}={value}" for key, (value, default) in settings.items() if value != default)
        state = {"weight": own["kernel"]} | ({"bias": own["bias"]} if self.bias else {})
        return TorchCode(f"nn.Conv2d({self.shape_in[0]}, {self.channels}, {self.kernel}{changed})", state)
