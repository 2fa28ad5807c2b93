"""A recorded run as the backbone of a transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile, zip_longest

import numpy as np

from dnntrain.config.parsing import write_hidden
from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset, DatasetInfo
from dnntrain.data.dataset import InputKind
from dnntrain.engine.network import LayerSpecs, load_layers, network_settings, tensor_names
from dnntrain.engine.scaling import MEASURED, scaled_as_recorded
from dnntrain.errors import InputError
from dnntrain.nn.layer import EVAL
from dnntrain.nn.layer_spec import walk
from dnntrain.nn.pooling import GlobalAveragePoolSpec
from dnntrain.nn.reshape import ReshapeSpec
from dnntrain.techniques.drop_path import DropPathSpec
from dnntrain.techniques.dropout import DropoutSpec
from dnntrain.techniques.networks.base import NetworkSettings, Unit
from dnntrain.techniques.normalization import NormSpec
from dnntrain.techniques.normalization.per_example import ExampleNormSpec
from dnntrain.transfer_learning.backbone import Backbone, FrozenFeatures, reused_count, unfrozen_count
from dnntrain.utils.lazy import torch

ROWS = 2_048
"""Examples that pass through frozen dense layers at a time."""


@dataclass(frozen=True)
class RunBackbone(Backbone):
    """A recorded run: the units of its network below the output layer can be reused (`Net.units`).

    A frozen layer is a unit with all that belongs to it, and what comes before the first one.
    """

    name: str
    spec: RunSpec
    state: Mapping[str, np.ndarray]
    """Its recorded weights: `hidden1.kernel` and so on."""
    shape: tuple[int, ...]
    """The shape of the examples that it was trained on."""
    classes: tuple[str, ...]
    kind: InputKind = "numbers"
    """What these examples are."""
    n_tokens: int = 0

    @property
    def info(self) -> DatasetInfo:
        """The data that it was trained on."""
        return DatasetInfo(self.shape, self.classes, 0, kind=self.kind, n_tokens=self.n_tokens)

    @property
    def settings(self) -> NetworkSettings:
        """What its network is built from."""
        return network_settings(self.spec, self.info)

    def settings_of(self, spec: RunSpec) -> NetworkSettings:
        """What a run's network is built from below its output layer, which may be for other classes."""
        return network_settings(spec.model_copy(update={"output": "softmax"}), self.info)

    @property
    def n_layers(self) -> int:
        return self.spec.net.n_units(self.settings) - 2  # without the inputs and the output layer

    @property
    def n_inputs(self) -> int:
        """Numbers in one example."""
        return int(np.prod(self.shape))

    def check(self, spec: RunSpec, data: DatasetInfo) -> None:
        self._check_inputs(spec, data)
        if spec.freeze_parameters is not None:
            raise InputError(
                f"freeze_parameters: the layers of {self.name} are counted; give transfer_layers and unfreeze_layers"
            )
        self._check_layers(spec, reused_count(spec, self))

    def _check_inputs(self, spec: RunSpec, data: DatasetInfo) -> None:
        """Raise InputError if a run has another kind of network or of inputs."""
        if data.shape != self.shape:
            message = (
                f"reuse_from {self.name}: it was trained on examples of shape {self.shape}, these are {data.shape}"
            )
            if self.kind == data.kind == "images":
                message += f"; image_shape {'x'.join(map(str, self.shape))} scales images to it"
            raise InputError(message)
        for key, expected in (("scale", self.spec.scale), ("resize", spec.default_of("resize"))):
            if getattr(spec, key) != expected:
                raise InputError(f"{key} {getattr(spec, key)}: the reused layers need inputs as {self.name} had them")
        if spec.net.kind != self.spec.net.kind:
            raise InputError(f"net {spec.net}: {self.name} is of another kind, {self.spec.net.kind}")

    def _check_layers(self, spec: RunSpec, count: int) -> None:
        """Raise InputError if one of the lowest `count` layers is another in the run than here."""
        ours, theirs = spec.net.units(self.settings_of(spec)), self.spec.net.units(self.settings)
        for cut in (count, count - unfrozen_count(spec, self)):
            if cut and not theirs[cut]:
                raise InputError(f"reuse_from {self.name}: cannot be cut above layer {cut}, which a skip passes by")
        if len(ours) - 2 < count:
            raise InputError(f"net {spec.net}: has {len(ours) - 2} layers, and {count} of {self.name} are reused")
        for layer in range(1, count + 1):
            if difference := first_difference(described(ours[layer]), described(theirs[layer])):
                raise InputError(f"net {spec.net}: layer {layer} of {self.name} has {difference}")
        hidden = self.spec.hidden[: max(0, count - self.spec.net.conv_units)]
        if spec.hidden[: len(hidden)] != hidden:
            raise InputError(
                f"hidden {write_hidden(spec.hidden)}: the lowest {len(hidden)} of {self.name} are "
                f"{write_hidden(hidden)}; give them, then new ones"
            )
        for layer, (act, given) in enumerate(zip(spec.activations[:count], self.spec.activations, strict=False)):
            if act != given:
                raise InputError(f"act {act}: layer {layer + 1} of {self.name} has {given}")
        self._check_tensors(spec, count, ours, theirs)

    def _check_tensors(self, spec: RunSpec, count: int, units: Sequence[Unit], theirs: Sequence[Unit]) -> None:
        """Raise InputError if a reused layer would have other tensors in the run than it has here.

        A run whose layers above the reused ones are new may use a norm in those alone, or leave it out there.
        """
        first = count - min(spec.unfreeze_layers, count) + 1 if count < len(units) - 2 else 1
        has_input_norm, had_input_norm = ("input.bn_scale" in tensor_names(each[0]) for each in (units, theirs))
        if has_input_norm > had_input_norm or (has_input_norm < had_input_norm and spec.unfreeze_layers >= count):
            raise InputError(f"bn_input: {self.name} was trained with{'' if had_input_norm else 'out'} it")
        for layer in range(first, count + 1):
            if names := {*tensor_names(units[layer])} ^ {*tensor_names(theirs[layer])}:
                differ = ", ".join(sorted(names)[:4])
                raise InputError(f"reuse_from {self.name}: layer {layer} does not fit: {differ} is in one of them only")
            given, recorded = (
                [str(part.norm) for part in walk(each[layer]) if isinstance(part, ExampleNormSpec)]
                for each in (units, theirs)
            )
            if difference := first_difference(given, recorded):
                raise InputError(f"reuse_from {self.name}: layer {layer} has the norm {difference}")

    def _check_kind(self, dataset: Dataset) -> None:
        """Raise InputError if one of the two data sets has images and the other has columns: they scale differently."""
        measured = not self.state.keys().isdisjoint(MEASURED)
        on_columns = "input.fill" in self.state
        on_images = not measured and self.spec.scale != "raw"
        if self.kind == "tokens" or dataset.is_tokens:
            if self.kind != dataset.kind:
                raise InputError(f"reuse_from {self.name}: it was trained on {self.kind}, these are {dataset.kind}")
            if dataset.n_tokens > self.n_tokens:
                raise InputError(
                    f"reuse_from {self.name}: it knows {self.n_tokens} tokens, here are {dataset.n_tokens}"
                )
        elif (dataset.is_image and on_columns) or (on_images and not dataset.is_image):
            kinds = ("images", "columns of numbers")
            before, now = kinds if on_images else reversed(kinds)
            raise InputError(f"reuse_from {self.name}: it was trained on {before}, these are {now}")

    def features(
        self, dataset: Dataset, spec: RunSpec, frozen: int, rows: np.ndarray, device: torch.device
    ) -> FrozenFeatures:
        self._check_kind(dataset)
        every = np.arange(len(dataset.train_targets))
        is_measured = not self.state.keys().isdisjoint(MEASURED)
        if frozen == 0 and not is_measured and (self.spec.scale != "auto" or dataset.kind != "numbers"):
            return FrozenFeatures(dataset, every, self.spec.scale)
        train, test = (self.outputs(x, spec, frozen, device) for x in (dataset.train_inputs, dataset.test_inputs))
        for outputs in (train, test) if frozen else ():
            bad = ~np.isfinite(outputs.reshape(len(outputs), -1)).all(1)
            if bad.any():
                raise InputError(
                    f"reuse_from {self.name}: the outputs of layer {frozen} are nan or infinite for {bad.sum():,} of "
                    f"{len(bad):,} examples (the first is number {bad.argmax()}, counted from 0)"
                )
        return FrozenFeatures(replace(dataset, train_inputs=train, test_inputs=test), every, "raw")

    def outputs(self, inputs: np.ndarray, spec: RunSpec, frozen: int, device: torch.device) -> np.ndarray:
        """The outputs of the frozen layers; without any, the scaled inputs, flat."""
        from dnntrain.engine.padding import evaluation_rows  # loads torch

        specs = [*self._layers(0, frozen), *self._above(spec, frozen, self.settings_of(spec))[0]]
        layers = load_layers(specs, self.state, device)
        rows = evaluation_rows(specs) if self.spec.net.conv_units else ROWS
        parts = []
        with torch.no_grad():
            for start in range(0, len(inputs), rows):
                chunk = torch.from_numpy(np.ascontiguousarray(inputs[start : start + rows]).reshape(-1, self.n_inputs))
                x = scaled_as_recorded(chunk.to(device), self.state, self.spec.scale)
                parts.append(layers.forward(x.unsqueeze(0), EVAL)[0].cpu().numpy())
        return np.ascontiguousarray(np.concatenate(parts))

    def _layers(self, first: int, last: int) -> LayerSpecs:
        """Its layers `first` + 1 to `last`. The lowest come with what is below the first unit."""
        return self.spec.net.layers(self.settings, first and first + 1, last and last + 1)

    def _above(self, spec: RunSpec, frozen: int, settings: NetworkSettings) -> tuple[LayerSpecs, LayerSpecs]:
        """A run's layers above the frozen ones: first those that only change the shape, which work on the features
        once and for all, then the rest.
        """
        above = spec.net.layers(settings, frozen and frozen + 1)
        is_shape = (isinstance(layer, ReshapeSpec | GlobalAveragePoolSpec) for layer in above)
        count = len(list(takewhile(bool, is_shape))) if frozen else 0
        return above[:count], above[count:]

    def weights(self, first: int, last: int) -> dict[str, np.ndarray]:
        return {name: self.state[name] for name in tensor_names(self._layers(first, last))}

    def frozen_weights(self, frozen: int) -> dict[str, np.ndarray]:
        measured = {name: value for name, value in self.state.items() if name in MEASURED}
        return measured | self.weights(0, frozen)

    def trained_layers(self, spec: RunSpec, frozen: int, features: DatasetInfo) -> LayerSpecs:
        data = features._replace(shape=self.shape, kind=self.kind, n_tokens=self.n_tokens)
        _, trained = self._above(spec, frozen, network_settings(spec, data))
        if not frozen:
            return trained
        shape, dropout = features.shape, spec.dropout
        inputs: Unit = [ReshapeSpec("features", shape)] if len(shape) > 1 else []
        if dropout and 0 in dropout.layers(len(spec.hidden), spec.net.conv_units):
            # dropout on the inputs is dropout on what enters the trained layers: the frozen features
            inputs.append(dropout.layer("input", shape))
        return [*inputs, *trained]

    def whole_network(self, spec: RunSpec, frozen: int, trained: LayerSpecs) -> LayerSpecs:
        return [*self._layers(0, frozen), *trained]

    def exported_layers(self, spec: RunSpec, frozen: int, data: DatasetInfo) -> LayerSpecs:
        if not frozen:
            return self.trained_layers(spec, frozen, data)
        lower = [*self._layers(0, frozen), *self._above(spec, frozen, network_settings(spec, data))[0]]
        first, *rest = self.trained_layers(spec, frozen, data._replace(shape=lower[-1].shape_out))
        # features are stored flat, and the layers that are trained on them begin with their shape
        return [*lower, *rest] if isinstance(first, ReshapeSpec) else [*lower, first, *rest]


def described(unit: Unit) -> list[str]:
    """What the layers of a unit compute, a line for each figure. Other checks are about widths and norms, and
    dropout may differ.
    """
    lines = []
    for layer in walk(unit):
        if not isinstance(layer, NormSpec | DropoutSpec | DropPathSpec | ReshapeSpec):
            title = f"{type(layer).__name__.removesuffix('Spec').lower()} {layer.name}"
            figures = {key: value for key, value in vars(layer).items() if isinstance(value, int | str)}
            unchecked = ("name", "bias", "fan_in", "fan_out")
            lines += [title, *(f"{title} with {key} {value}" for key, value in figures.items() if key not in unchecked)]
    return lines


def first_difference(ours: Sequence[str], theirs: Sequence[str]) -> str:
    """The first line in which a run's layers differ from the recorded ones, as 'THEIRS, not OURS'; empty if none."""
    pairs = zip_longest(ours, theirs, fillvalue="nothing more")
    return next((f"{recorded}, not {given}" for given, recorded in pairs if given != recorded), "")
