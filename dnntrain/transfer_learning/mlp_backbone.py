"""A recorded run as the backbone of a transfer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from dnntrain.config.parsing import write_hidden
from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset, DatasetInfo
from dnntrain.engine.network import LayerSpecs, layer_specs, load_layers, tensor_names
from dnntrain.errors import InputError
from dnntrain.nn.layer import EVAL, Sequential
from dnntrain.transfer_learning.backbone import Backbone, FrozenFeatures, reused_count
from dnntrain.utils.lazy import torch

ROWS = 2_048
"""Examples that pass through the frozen layers at a time."""
MEASURED = {"input.fill", "input.offset", "input.factor"}
"""Recorded with a network's weights, but measured on its training data: the numbers that fill and scale its inputs."""


@dataclass(frozen=True)
class MLPBackbone(Backbone):
    """A recorded run: its hidden layers can be reused."""

    name: str
    spec: RunSpec
    state: Mapping[str, np.ndarray]
    """Its recorded weights: `hidden1.kernel` and so on."""
    shape: tuple[int, ...]
    """The shape of the examples that it was trained on."""
    classes: tuple[str, ...]

    @property
    def info(self) -> DatasetInfo:
        """The data that it was trained on."""
        return DatasetInfo(self.shape, self.classes, 0)

    @property
    def n_layers(self) -> int:
        return len(self.spec.hidden)

    @property
    def n_inputs(self) -> int:
        """Numbers in one example."""
        return int(np.prod(self.shape))

    def check(self, spec: RunSpec, shape: tuple[int, ...]) -> None:
        if shape != self.shape:
            raise InputError(
                f"reuse_from {self.name}: it was trained on examples of shape {self.shape}, these are {shape}"
            )
        for key, expected in (("scale", self.spec.scale), ("resize", spec.default_of("resize"))):
            if getattr(spec, key) != expected:
                raise InputError(f"{key} {getattr(spec, key)}: the reused layers need inputs as {self.name} had them")
        count = reused_count(spec, self)
        if spec.hidden[:count] != self.spec.hidden[:count]:
            raise InputError(
                f"hidden {write_hidden(spec.hidden)}: the lowest {count} of {self.name} are "
                f"{write_hidden(self.spec.hidden[:count])}; give them, then new ones"
            )
        for layer, (ours, theirs) in enumerate(zip(spec.activations[:count], self.spec.activations, strict=False)):
            if ours != theirs:
                raise InputError(f"act {ours}: layer {layer + 1} of {self.name} has {theirs}")
        self._check_tensors(spec, count)

    def _check_tensors(self, spec: RunSpec, count: int) -> None:
        """Raise InputError if a reused layer would have other tensors in the run than it has here.

        A run whose layers above the reused ones are new may use batch norm in those alone, or leave it out there.
        """
        first = count - min(spec.unfreeze_layers, count) + 1 if count < len(spec.hidden) else 1
        names = tensor_names(layer_specs(spec, self.info))
        has_input_norm, had_input_norm = "input.bn_scale" in names, "input.bn_scale" in self.state
        if has_input_norm > had_input_norm or (has_input_norm < had_input_norm and spec.unfreeze_layers >= count):
            raise InputError(f"bn_input: {self.name} was trained with{'' if had_input_norm else 'out'} it")
        for layer in range(first, count + 1):
            ours = {name for name in names if name.startswith(f"hidden{layer}.")}
            theirs = {name for name in self.state if name.startswith(f"hidden{layer}.")}
            if ours != theirs:
                differ = ", ".join(sorted(ours ^ theirs)[:4])
                raise InputError(f"reuse_from {self.name}: layer {layer} does not fit: {differ} is in one of them only")

    def _check_kind(self, dataset: Dataset) -> None:
        """Raise InputError if one of the two data sets has images and the other has columns: they scale differently."""
        measured = self.state.keys() & MEASURED
        on_columns = "input.fill" in measured
        on_images = not measured and self.spec.scale != "raw"
        if (dataset.is_image and on_columns) or (on_images and not dataset.is_image):
            kinds = ("images", "columns of numbers")
            before, now = kinds if on_images else reversed(kinds)
            raise InputError(f"reuse_from {self.name}: it was trained on {before}, these are {now}")

    def features(
        self, dataset: Dataset, spec: RunSpec, frozen: int, rows: np.ndarray, device: torch.device
    ) -> FrozenFeatures:
        self._check_kind(dataset)
        every = np.arange(len(dataset.train_targets))
        is_measured = bool(self.state.keys() & MEASURED)
        if frozen == 0 and not is_measured and (self.spec.scale != "auto" or dataset.is_image):
            return FrozenFeatures(dataset, every, self.spec.scale)
        layers = load_layers(self._layers(0, frozen), self.state, device)
        train, test = (self._outputs(part, layers, device) for part in (dataset.train_inputs, dataset.test_inputs))
        for outputs in (train, test) if frozen else ():
            bad = ~np.isfinite(outputs).all(1)
            if bad.any():
                raise InputError(
                    f"reuse_from {self.name}: the outputs of layer {frozen} are nan or infinite for {bad.sum():,} of "
                    f"{len(bad):,} examples (the first is number {bad.argmax()}, counted from 0)"
                )
        return FrozenFeatures(replace(dataset, train_inputs=train, test_inputs=test), every, "raw")

    def _outputs(self, inputs: np.ndarray, layers: Sequential, device: torch.device) -> np.ndarray:
        """The outputs of some layers for (N, *shape): float32 (N, units). Without layers, the scaled inputs."""
        parts = []
        with torch.no_grad():
            for start in range(0, len(inputs), ROWS):
                chunk = torch.from_numpy(np.ascontiguousarray(inputs[start : start + ROWS]).reshape(-1, self.n_inputs))
                parts.append(layers.forward(self._scaled(chunk.to(device)).unsqueeze(0), EVAL)[0].cpu().numpy())
        return np.concatenate(parts)

    def _scaled(self, x: torch.Tensor) -> torch.Tensor:
        """Inputs (rows, features), with gaps filled and scaled as in the backbone's own training; float32."""
        measured = {name: torch.from_numpy(self.state[name]).to(x.device) for name in self.state.keys() & MEASURED}
        images = x.dtype == torch.uint8
        if "input.fill" in measured:
            x = torch.where(x.isnan(), measured["input.fill"].to(x.dtype), x)
        if "input.offset" in measured:
            scaled = ((x - measured["input.offset"]) * measured["input.factor"]).to(torch.float32)
            return torch.nan_to_num(scaled)  # records of engines before 5 have no fill: a gap is the mean, 0
        return x.to(torch.float32) * (1.0 / 255.0 if self.spec.scale in ("auto", "unit") and images else 1.0)

    def _layers(self, first: int, last: int) -> LayerSpecs:
        """Its hidden layers `first` + 1 to `last`. The lowest come with what normalizes the inputs."""
        layers = layer_specs(self.spec, self.info)
        return layers[boundary(layers, first) : boundary(layers, last)]

    def weights(self, first: int, last: int) -> dict[str, np.ndarray]:
        return {name: self.state[name] for name in tensor_names(self._layers(first, last))}

    def frozen_weights(self, frozen: int) -> dict[str, np.ndarray]:
        measured = {name: value for name, value in self.state.items() if name in MEASURED}
        return measured | self.weights(0, frozen)

    def trained_layers(self, spec: RunSpec, frozen: int, features: DatasetInfo) -> LayerSpecs:
        layers = layer_specs(spec, features._replace(shape=self.shape))
        trained = layers[boundary(layers, frozen) :]
        dropout = spec.dropout
        if frozen and dropout and 0 in dropout.layers(len(spec.hidden)):
            # dropout on the inputs is dropout on what enters the trained layers: the frozen features
            return [dropout.layer("input", (features.n_features,)), *trained]
        return trained


def boundary(layers: LayerSpecs, frozen: int) -> int:
    """Where to cut a dense network: `layers[:k]` are the lowest `frozen` hidden layers, with all that belongs to them.

    Args:
        layers: The network's layers, from `layer_specs`.
        frozen: A number of hidden layers; 0 cuts below everything.
    """
    return max((i + 1 for i, layer in enumerate(layers) if layer.name == f"hidden{frozen}"), default=0)
