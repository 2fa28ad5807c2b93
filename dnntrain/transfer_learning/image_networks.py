"""An image network without its classifier: its layers one by one, and copies of its upper ones trained as one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dnntrain.errors import InputError
from dnntrain.utils.lazy import torch

Triple = tuple[float, float, float]
Modules = list["torch.nn.Module"]
Tensors = dict[str, "torch.Tensor"]

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


class Trunk:
    """The upper layers of P copies of a network, trained as one; batch norm stays in test mode, but its scale and shift
    are trained like the weights.

    `new`: the weights are random, so batch norm trains like any other: by each batch's own statistics, of which it
    keeps running averages for testing.
    """

    def __init__(self, net: ImageModel, first: int, input_shape: Iterable[int], new: bool = False) -> None:
        """The layers from number `first` on, whose inputs are of `input_shape` (channels, height, width)."""
        from copy import deepcopy

        self.input_shape = tuple(input_shape)
        named = OrderedDict((str(first + i), layer) for i, layer in enumerate(net.layers[first:]))
        self._upper: torch.nn.Module = torch.nn.Sequential(named)
        start = next(self._upper.parameters()).new_zeros(1, *self.input_shape)
        self.n_features = int(averages(self._upper(start)).shape[-1])
        self._new_norms: Modules = []
        if new:
            self._upper = deepcopy(self._upper)
            is_norm = torch.nn.modules.batchnorm._BatchNorm
            self._new_norms = [module for module in self._upper.modules() if isinstance(module, is_norm)]

    def initial(self) -> dict[str, np.ndarray]:
        """One copy's parameters, float32 without the axis P, named trunk.LAYER.NAME with the layer's number.

        And the running averages of new layers.
        """
        averages = self._upper.named_buffers() if self._new_norms else ()
        named = [*self._upper.named_parameters(), *((k, b) for k, b in averages if b.is_floating_point())]
        return {f"trunk.{name}": tensor.detach().cpu().numpy().copy() for name, tensor in named}

    def __call__(self, tensors: Tensors, x: torch.Tensor, training: bool = False, first: bool = False) -> torch.Tensor:
        """The averages (P, rows, n_features) for x (P or 1, rows, flat inputs), all rows real.

        `tensors` (P, ...) may hold others too, whose names do not begin with trunk. While `training`, the running
        averages of new layers among them are moved in place; the `first` mini-batch sets them.
        """
        if training and self._new_norms and x.shape[1] < 2:
            raise InputError("a new image network needs mini-batches of at least 2 images: it has batch norm")
        for norm in self._new_norms:
            norm.train(training)
            norm.momentum = 1.0 if first else NEWEST_SHARE  # type: ignore[assignment]
        own = {k.removeprefix("trunk."): p for k, p in tensors.items() if k.startswith("trunk.")}
        maps = x.reshape(*x.shape[:2], *self.input_shape)
        return self._in_turn(own, maps) if x.device.type == "cpu" else self._together(own, maps)

    def _one(self, tensors: Tensors, maps: torch.Tensor) -> torch.Tensor:
        """One copy's averages (rows, n_features)."""
        return averages(torch.func.functional_call(self._upper, tensors, (maps,)))

    def _together(self, tensors: Tensors, maps: torch.Tensor) -> torch.Tensor:
        """All copies at once."""
        shared = len(maps) == 1  # all copies look at the same rows
        at_once = torch.func.vmap(self._one, (0, None if shared else 0))
        outputs: torch.Tensor = at_once(tensors, maps[0] if shared else maps)
        return outputs

    def _in_turn(self, tensors: Tensors, maps: torch.Tensor) -> torch.Tensor:
        """One copy after the other.

        A CPU is faster so: convolutions of all copies at once took 1.5 times as long for 10 copies. And a copy gets the
        very same bits alone as in company.
        """
        members = len(next(iter(tensors.values())))
        rows = maps.expand(members, *maps.shape[1:])
        return torch.stack([self._one({k: t[i] for k, t in tensors.items()}, rows[i]) for i in range(members)])
