"""An image network without its classifier: its layers one by one, and copies of its upper ones trained as one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from dnntrain.errors import InputError
from dnntrain.nn.layer import ForwardContext, Tensors
from dnntrain.nn.layer_spec import LayerSpec, Shape
from dnntrain.nn.module import ModuleLayer
from dnntrain.utils.lazy import torch

Triple = tuple[float, float, float]
Modules = list["torch.nn.Module"]

CPU_IMAGES = 8
"""Images at a time on a CPU. efficientnet-lite0 at 128 pixels, one thread: 8 at a time, 138 a second; 64, 45; 256, 37,
as their maps are too large for the caches and are got from the system anew for each layer."""

NEWEST_SHARE = 0.1
"""Of the newest mini-batch in the running averages of new layers: as in our own batch norm, and torch's."""


@dataclass(frozen=True)
class ImageModel:
    """A trained image network without its classifier, in test mode."""

    name: str
    identity: str
    """Its name and what its weights are, as `fetch` says."""
    layers: Modules
    """From the lowest; nothing in them is trained, and batch norm uses its running statistics."""
    mean: Triple
    std: Triple
    interpolation: str
    """bilinear or bicubic: how images are resized."""

    def to(self, device: torch.device) -> ImageModel:
        """Move the layers to a device."""
        for layer in self.layers:
            layer.to(device)
        return self

    def prepared(self, images: torch.Tensor, size: int) -> torch.Tensor:
        """Images as it expects them, float32 (n, 3, size, size), of uint8 levels, grey (n, H, W) or (n, 3, H, W).

        The whole image is resized to a square, with antialiasing. The device stays.
        """
        levels = (images if images.ndim == 4 else images[:, None]).float()
        if levels.shape[2:] != (size, size):
            levels = torch.nn.functional.interpolate(levels, (size, size), mode=self.interpolation, antialias=True)
        mean, std = (torch.tensor(x, device=images.device).view(3, 1, 1) for x in (self.mean, self.std))
        return (levels.clamp(0, 255) / 255 - mean) / std  # bicubic overshoots; here one grey level becomes three

    def run(self, x: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """Apply the layers from `first` up to, not including, `last`; the averages (n, features) after the topmost."""
        for layer in self.layers[first:last]:
            x = layer(x)
        return averages(x) if last == len(self.layers) else x

    def outputs(self, images: torch.Tensor, size: int, last: int) -> torch.Tensor:
        """What `run` gives after the layers below `last`, without gradients, for images as `prepared` takes them.

        On a CPU they go through in eights, the last ones in company of copies: so an image's numbers are the same bits
        whichever images it comes with.
        """
        with torch.no_grad():
            if images.device.type != "cpu":
                return self.run(self.prepared(images, size), 0, last)
            filled = torch.cat([images, images[-1:].expand(-len(images) % CPU_IMAGES, *images.shape[1:])])
            eights = (filled[i : i + CPU_IMAGES] for i in range(0, len(filled), CPU_IMAGES))
            return torch.cat([self.run(self.prepared(eight, size), 0, last) for eight in eights])[: len(images)]

    def shape(self, boundary: int, size: int) -> tuple[int, ...]:
        """One example's shape where it enters layer `boundary`: (channels, height, width); (features,) at the top."""
        with torch.no_grad():
            image = torch.zeros(1, 3, size, size, device=next(self.layers[0].parameters()).device)
            return tuple(self.run(image, 0, boundary).shape[1:])


def averages(maps: torch.Tensor) -> torch.Tensor:
    """The average of each channel (n, channels) over its map, of (n, channels, height, width)."""
    return maps.mean((-2, -1))


class UpperLayers(ModuleLayer):
    """The upper layers of P copies of an image network, trained as one.

    Batch norm stays in test mode, but its scale and shift are trained like the weights. `new_norms` are those of a
    network whose weights are random: they train like any other, by each batch's own statistics.
    """

    new_norms: Modules = []

    def set_mode(self, ctx: ForwardContext, rows: int) -> None:
        if ctx.training and self.new_norms and rows < 2:
            raise InputError("a new image network needs mini-batches of at least 2 images: it has batch norm")
        for norm in self.new_norms:
            norm.train(ctx.training)
            norm.momentum = 1.0 if ctx.first else NEWEST_SHARE  # type: ignore[assignment]

    def _one(self, tensors: Tensors, x: torch.Tensor) -> torch.Tensor:
        return averages(super()._one(tensors, x))


class UpperLayersSpec(LayerSpec):
    """The layers of an image network from number `first` on, then the average of each channel.

    Their tensors are named trunk.LAYER.NAME with the layer's number.
    """

    name = "trunk"

    def __init__(self, net: ImageModel, first: int, input_shape: Iterable[int], new: bool = False) -> None:
        """The inputs are of `input_shape` (channels, height, width); `new`: the weights are random."""
        from copy import deepcopy

        self.input_shape = tuple(input_shape)
        named = OrderedDict((str(first + i), layer) for i, layer in enumerate(net.layers[first:]))
        self.module: torch.nn.Module = torch.nn.Sequential(named)
        start = next(self.module.parameters()).new_zeros(1, *self.input_shape)
        self.n_features = int(averages(self.module(start)).shape[-1])
        self.new_norms: Modules = []
        if new:
            self.module = deepcopy(self.module)
            is_norm = torch.nn.modules.batchnorm._BatchNorm
            self.new_norms = [module for module in self.module.modules() if isinstance(module, is_norm)]

    @property
    def shape_out(self) -> Shape:
        return (self.n_features,)

    @property
    def parameters(self) -> dict[str, Shape]:
        return {key: tuple(tensor.shape) for key, tensor in self.module.named_parameters()}

    @property
    def buffers(self) -> dict[str, Shape]:
        # the running averages of trained layers do not move
        averages = self.module.named_buffers() if self.new_norms else ()
        return {key: tuple(tensor.shape) for key, tensor in averages if tensor.is_floating_point()}

    def initial_state(self, rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
        """One copy's parameters, and the running averages of new layers."""
        state = self.module.state_dict()
        return {key: state[key].cpu().numpy().copy() for key in (*self.parameters, *self.buffers)}

    def build(
        self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device
    ) -> UpperLayers:
        layer = UpperLayers(self.name, self.module, self.input_shape, parameters, buffers)
        layer.new_norms = self.new_norms
        return layer
