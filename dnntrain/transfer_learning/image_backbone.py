"""An image model as the backbone of a transfer: cached features, and trained copies of its upper layers."""

from __future__ import annotations

import hashlib
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, Self

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, Dataset, DatasetInfo
from dnntrain.engine.network import LayerSpecs, layer_specs
from dnntrain.errors import InputError
from dnntrain.nn.layer import ForwardContext, Tensors
from dnntrain.nn.layer_spec import LayerSpec, Shape
from dnntrain.nn.modules.layer import ModuleLayer
from dnntrain.nn.torch_code import NamedArrays, TorchCode, source_of
from dnntrain.transfer_learning.backbone import Backbone, FrozenFeatures, reused_count
from dnntrain.transfer_learning.feature_cache import FeatureCache
from dnntrain.transfer_learning.image_models import ImageModel, Modules, average_maps, find_architecture
from dnntrain.transfer_learning.weights import load_model
from dnntrain.utils.lazy import torch

REPORTED_IMAGES = 500
"""Progress is reported when more images than this are computed."""

SMALLEST = 64
"""Pixels a side where the size of the images does not matter."""

NORM_MOMENTUM = 0.1
"""Weight of the newest mini-batch in the running statistics of new layers, as in `techniques.normalization`."""


@dataclass(frozen=True)
class ImageBackbone(Backbone):
    """An image model, without its classifier. The run's hidden layers are new and come on top of it."""

    name: str
    """NAME@DIGEST, as `weights.fetch` returns it."""
    home: DataLocation

    @cached_property
    def model(self) -> ImageModel:
        """The model, loaded at first use."""
        return load_model(self.name, self.home)

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "home": self.home}  # a worker loads the model itself

    @property
    def n_layers(self) -> int:
        return len(self.model.layers)

    def check(self, spec: RunSpec, data: DatasetInfo) -> None:
        if len(data.shape) < 2:
            raise InputError(f"reuse_from {self.name}: needs images, these examples have shape {data.shape}")
        if spec.net.kind != "mlp":
            raise InputError(f"net {spec.net}: the layers on top of {self.name} are dense: give --hidden")
        if spec.freeze_parameters is not None:
            raise InputError(f"freeze_parameters: the layers of {self.name} are counted; give unfreeze_layers")
        if spec.scale != "auto":
            raise InputError(f"scale {spec.scale}: the reused layers need images as {self.name} had them")
        reused_count(spec, self)

    def features(
        self, dataset: Dataset, spec: RunSpec, frozen: int, rows: np.ndarray, device: torch.device
    ) -> FrozenFeatures:
        train, test = (
            self._cached_outputs(dataset, part, rows_of_part, frozen, spec.resize, device)
            for part, rows_of_part in (("train", rows), ("test", np.arange(len(dataset.test_inputs))))
        )
        features = replace(
            dataset,
            train_inputs=train.reshape(len(train), -1),
            train_targets=dataset.train_targets[rows],
            test_inputs=test.reshape(len(test), -1),
            n_validation=0,  # the stage has its own splits
        )
        return FrozenFeatures(features, rows, "raw")

    def _cached_outputs(
        self, dataset: Dataset, part: str, rows: np.ndarray, frozen: int, size: int, device: torch.device
    ) -> np.ndarray:
        """Outputs float32 (len(rows), …) of `layers[:frozen]` for images of one part. Known ones are in the cache."""
        if not dataset.is_image:
            raise InputError(f"reuse_from {self.name}: needs images with levels from 0 to 255")
        images = dataset.train_inputs if part == "train" else dataset.test_inputs

        def compute(rows: np.ndarray) -> np.ndarray:
            return self._outputs(images[rows], size, frozen, device)

        # the same files give other images with other options, classes or versions of the code
        content = hashlib.blake2b(np.ascontiguousarray(images).data, digest_size=16).hexdigest()
        key = {
            "base": self.name,
            "shape": str(dataset.shape),
            "images": content,
            "examples": len(images),
            "layers": frozen,
            "size": size,
        }
        on_progress = progress_reporter(f"features of {part} images")
        refusal = f"{self.name}: the outputs of layer {frozen} are nan or infinite for {part} image"
        values: np.ndarray = FeatureCache(self.home).rows(key, len(images), rows, compute, on_progress, refusal)
        return values

    def _outputs(self, images: np.ndarray, size: int, frozen: int, device: torch.device) -> np.ndarray:
        x = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        outputs: np.ndarray = self.model.to(device).outputs(x, size, frozen).cpu().numpy()
        return outputs

    def outputs(self, inputs: np.ndarray, spec: RunSpec, frozen: int, device: torch.device) -> np.ndarray:
        return self._outputs(inputs, spec.resize, frozen, device).reshape(len(inputs), -1)

    def weights(self, first: int, last: int) -> dict[str, np.ndarray]:
        if first >= last:
            return {}
        trunk = self._trunk(first, last, SMALLEST)
        return {f"{trunk.name}.{key}": value for key, value in trunk.initial_state().items()}

    def trained_layers(self, spec: RunSpec, frozen: int, features: DatasetInfo) -> LayerSpecs:
        count = reused_count(spec, self)
        if frozen == count:
            return layer_specs(spec, features)
        trunk = self._trunk(frozen, count, spec.resize)
        return [trunk, *layer_specs(spec, features._replace(shape=trunk.shape_out))]

    def exported_layers(self, spec: RunSpec, frozen: int, data: DatasetInfo) -> LayerSpecs:
        model = ImageModelSpec(self.model, reused_count(spec, self), spec.resize)
        return [model, *layer_specs(spec, data._replace(shape=model.shape_out, kind="numbers"))]

    def _trunk(self, first: int, last: int, size: int) -> UpperLayersSpec:
        is_random = "@seed" in self.name
        return UpperLayersSpec(self.model, first, last, self.model.shape(first, size), new=is_random)


def progress_reporter(what: str) -> Callable[[int, int], None]:
    """Reports a long computation on stderr, when it starts and at every quarter."""
    reported: set[int] = set()

    def report(done: int, total: int) -> None:
        quarter = 4 * done // max(total, 1)
        if total > REPORTED_IMAGES and quarter not in reported:
            reported.add(quarter)
            print(f"{what}: {done:,} of {total:,} computed", file=sys.stderr, flush=True)

    return report


class UpperLayers(ModuleLayer):
    """P trained copies of the upper layers of an image model.

    Batch norm stays in test mode, but its scale and shift are trained. `new_norms` are the norms of a model with random
    weights: these normalize by the mini-batch while training, like any new layer's.
    """

    new_norms: Modules = []
    average = True
    """Whether each map of the last layer is averaged, as above the topmost layer of the model; else it is flat."""

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        return super().forward(x, replace(ctx, observe=None))  # the health of these layers is not measured

    def set_mode(self, ctx: ForwardContext, rows: int) -> None:
        if ctx.training and self.new_norms and rows < 2:
            raise InputError("a new image network needs mini-batches of at least 2 images: it has batch norm")
        for norm in self.new_norms:
            norm.train(ctx.training)
            norm.momentum = 1.0 if ctx.first else NORM_MOMENTUM  # type: ignore[assignment]

    def _one(self, tensors: Tensors, x: torch.Tensor) -> torch.Tensor:
        maps = super()._one(tensors, x)
        return average_maps(maps) if self.average else maps.flatten(1)


class UpperLayersSpec(LayerSpec):
    """The layers of an image model from number `first` on, then the average of each channel, or its flat map.

    Their tensors are named trunk.LAYER.NAME with the layer's number in the model.
    """

    name = "trunk"

    def __init__(self, model: ImageModel, first: int, last: int, shape_in: Shape, new: bool = False) -> None:
        """Args: the model, the lowest layer and the end, the lowest one's inputs, whether the weights are random."""
        self.shape_in, self.average = shape_in, last == len(model.layers)
        named = OrderedDict((str(first + i), layer) for i, layer in enumerate(model.layers[first:last]))
        self.module: torch.nn.Module = torch.nn.Sequential(named)
        maps = self.module(next(self.module.parameters()).new_zeros(1, *self.shape_in))
        self._shape_out = tuple((average_maps(maps) if self.average else maps.flatten(1)).shape[1:])
        self.new_norms: Modules = []
        if new:
            self.module = deepcopy(self.module)  # its mode and momentum change
            is_norm = torch.nn.modules.batchnorm._BatchNorm
            self.new_norms = [module for module in self.module.modules() if isinstance(module, is_norm)]

    @property
    def shape_out(self) -> Shape:
        return self._shape_out

    @property
    def parameters(self) -> dict[str, Shape]:
        return {key: tuple(tensor.shape) for key, tensor in self.module.named_parameters()}

    @property
    def buffers(self) -> dict[str, Shape]:
        # the running statistics of pretrained layers do not change
        statistics = self.module.named_buffers() if self.new_norms else ()
        return {key: tuple(tensor.shape) for key, tensor in statistics if tensor.is_floating_point()}

    def initial_state(self, rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
        """The model's own parameters, and the running statistics of new norms. Nothing is drawn."""
        state = self.module.state_dict()
        return {key: state[key].cpu().numpy().copy() for key in (*self.parameters, *self.buffers)}

    def build(
        self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device
    ) -> UpperLayers:
        layer = UpperLayers(self.name, self.module, self.shape_in, parameters, buffers)
        layer.new_norms, layer.average = self.new_norms, self.average
        return layer


@dataclass(frozen=True)
class ImageModelSpec(LayerSpec):
    """The lower layers of an image model with what prepares raw images for them. It is exported, and never trained."""

    model: ImageModel
    count: int
    """How many layers."""
    size: int
    """Pixels a side that images are resized to."""
    name = UpperLayersSpec.name

    @property
    def shape_out(self) -> Shape:
        return (prod(self.model.shape(self.count, self.size)),)

    def to_torch(self, tensors: NamedArrays) -> TorchCode:
        """Its layers, of which a run may have trained the upper ones: `tensors` has them by trunk.LAYER.NAME."""
        from dnntrain.nn.plain_torch import ImageLayers

        architecture = find_architecture(self.model.name)
        layers = f"{architecture.layers.__name__}({architecture.code})"
        average = self.count == len(self.model.layers)
        settings = {
            "layers": layers if average else f"{layers}[:{self.count}]",
            **{"size": self.size, "interpolation": f'"{self.model.interpolation}"'},
            **{"mean": self.model.mean, "std": self.model.std, "average": average},
        }
        lines = "".join(f"    {key}={value},\n" for key, value in settings.items())
        state = {
            f"layers.{number}.{key}": tensors.get(f"{self.name}.{number}.{key}", tensor.cpu().numpy())
            for number, layer in enumerate(self.model.layers[: self.count])
            for key, tensor in layer.state_dict().items()
        }
        note = (
            "Batch norm of the image network was in test mode in training: call eval() on its layers to fine-tune it."
        )
        helpers = source_of(architecture.layers), source_of(ImageLayers)
        package = f"import {architecture.code.partition('.')[0]}"
        imports = ("from typing import Any", package)
        return TorchCode(f"ImageLayers(\n{lines})", state, helpers, imports, () if self._is_new else (note,))

    @property
    def _is_new(self) -> bool:
        return "@seed" in self.model.identity
