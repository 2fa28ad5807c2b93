"""A pretrained image network as the base of a transfer: its features are computed once and kept on disk."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, Dataset
from dnntrain.errors import InputError
from dnntrain.transfer_learning.feature_cache import FeatureCache
from dnntrain.transfer_learning.mlp_backbone import Backbone, FrozenFeatures, reused_count, subset_dataset
from dnntrain.utils.lazy import torch

if TYPE_CHECKING:
    from dnntrain.transfer_learning.image_networks import ImageModel, UpperLayersSpec

MANY = 500
"""Images from which on the wait is worth a line."""

SMALLEST = 64
"""Pixels a side, where the size of the images does not matter."""


@dataclass(frozen=True)
class ImageBackbone(Backbone):
    """An image network, without its classifier."""

    name: str
    """NAME@DIGEST: pretrained.fetch gives it."""
    home: DataLocation
    hidden: int = 0

    @cached_property
    def network(self) -> ImageModel:
        """The network itself, loaded where it is used."""
        from dnntrain.transfer_learning.image_models import load

        return load(self.name, self.home)

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "home": self.home, "hidden": 0}  # a worker loads the network itself

    @property
    def n_layers(self) -> int:  # type: ignore[override]
        """Stages of the network, as `dnntrain transfer --help` counts them."""
        return len(self.network.layers)

    @property
    def is_random(self) -> bool:
        """Whether its weights were drawn, not learned."""
        return "@seed" in self.name

    def check(self, spec: RunSpec, dataset_shape: tuple[int, ...]) -> None:
        if len(dataset_shape) < 2:
            raise InputError(f"reuse_from {self.name}: needs images, these examples have shape {dataset_shape}")
        if spec.scale != "auto":
            raise InputError(f"scale {spec.scale}: the reused layers need images as {self.name} had them")
        count = reused_count(spec, self)
        if count < self.n_layers and spec.unfreeze_layers:
            raise InputError(
                f"transfer_layers {count}: an image network is reused whole where its top is trained again"
            )

    def reused(
        self, dataset: Dataset, spec: RunSpec, frozen: int, rows: np.ndarray, device: torch.device
    ) -> FrozenFeatures:
        parts = (("train", dataset.train_inputs, rows), ("test", dataset.test_inputs, None))
        train, test = (self._features(dataset, part, images, some, frozen, spec.resize, device)
                       for part, images, some in parts)  # fmt: skip
        return FrozenFeatures(
            subset_dataset(dataset, rows, train.reshape(len(train), -1), test.reshape(len(test), -1)), rows, "raw"
        )

    def _features(
        self, dataset: Dataset, part: str, images: np.ndarray, rows: np.ndarray | None, frozen: int, size: int,
        device: torch.device,
    ) -> np.ndarray:  # fmt: skip
        """float32 (rows, …) of layer `frozen` for the images, from the cache where they were computed before."""
        if not dataset.is_image:
            raise InputError(f"reuse_from {self.name}: needs images with levels from 0 to 255")
        wanted = np.arange(len(images)) if rows is None else rows

        def compute(some: np.ndarray) -> np.ndarray:
            x = torch.from_numpy(np.ascontiguousarray(images[some])).to(device)
            outputs: np.ndarray = self.network.to(device).outputs(x, size, frozen).cpu().numpy()
            return outputs

        # the same files give other images with other options, classes or versions of the code
        content = hashlib.blake2b(np.ascontiguousarray(images).data, digest_size=16).hexdigest()
        key: dict[str, str | int] = {"base": self.name, "shape": str(dataset.shape), "images": content,
               "examples": len(images), "layers": frozen, "size": size}  # fmt: skip
        say = said_from_time_to_time(f"features of {part} images")
        refusal = f"{self.name}: the outputs of layer {frozen} are nan or infinite for {part} image"
        values: np.ndarray = FeatureCache(self.home).rows(key, len(images), wanted, compute, say, refusal)
        return values

    def weights(self, first: int, last: int) -> dict[str, np.ndarray]:
        if first >= last:
            return {}
        upper = self._upper(first, SMALLEST)
        return {f"{upper.name}.{key}": value for key, value in upper.initial_state().items()}

    def upper_layers(self, frozen: int, spec: RunSpec) -> UpperLayersSpec:
        return self._upper(frozen, spec.resize)

    def _upper(self, frozen: int, size: int) -> UpperLayersSpec:
        from dnntrain.transfer_learning.image_networks import UpperLayersSpec

        return UpperLayersSpec(self.network, frozen, self.network.shape(frozen, size), new=self.is_random)


def said_from_time_to_time(what: str) -> Callable[[int, int], None]:
    """Tells on stderr how a long computation goes on: at its start, and at every quarter."""
    said: set[int] = set()

    def say(done: int, of: int) -> None:
        quarter = 4 * done // max(of, 1)
        if of > MANY and quarter not in said:
            said.add(quarter)
            print(f"{what}: {done:,} of {of:,} computed", file=sys.stderr, flush=True)

    return say
