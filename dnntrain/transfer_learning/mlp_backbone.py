"""What a transfer reuses: the layers of a run of ours, or of a pretrained image network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from dnntrain.config.parsing import write_hidden
from dnntrain.config.spec import RunSpec
from dnntrain.config.transfer import ALL, TransferSettings
from dnntrain.data import Dataset
from dnntrain.engine.network import LayerSpecs, layer_specs, load_layers, tensor_names
from dnntrain.errors import InputError
from dnntrain.nn.layer import EVAL
from dnntrain.nn.layer_spec import LayerSpec
from dnntrain.utils.lazy import torch

Weights = Mapping[str, np.ndarray]
ROWS = 2_048
"""Examples that go through frozen layers at a time."""
MEASURED = {"input.fill", "input.offset", "input.factor"}
"""Names among a network's weights: what its inputs were filled and scaled by, which is measured, not trained."""


@dataclass(frozen=True)
class FrozenFeatures:
    """The data as the layers above a boundary meet them, and what is below."""

    dataset: Dataset
    """Its inputs are the outputs of the frozen layers; those of rows that are not needed are not there."""
    rows: np.ndarray
    """The training examples that are in it, by their indices in the original data, ascending."""
    scale: str
    """How the engine is to scale these inputs."""


class Backbone(ABC):
    """A trained network whose lower layers are reused."""

    name: str
    """What reuse_from says."""
    n_layers: int
    """How many layers there are to reuse."""
    hidden: int
    """How many of a run's hidden layers are the base's: 0 where it is an image network below them."""

    @abstractmethod
    def check(self, spec: RunSpec, dataset_shape: tuple[int, ...]) -> None:
        """Raise InputError where a run cannot reuse it."""

    @abstractmethod
    def reused(
        self, dataset: Dataset, spec: RunSpec, frozen: int, rows: np.ndarray, device: torch.device
    ) -> FrozenFeatures:
        """The data behind the `frozen` lowest layers, of those training `rows` and all test examples."""

    @abstractmethod
    def weights(self, first: int, last: int) -> dict[str, np.ndarray]:
        """The parameters and buffers of its layers first + 1 to last, named as those of a network of its own."""

    def measured(self) -> dict[str, np.ndarray]:
        """What its inputs were filled and scaled by, where that was measured; a run that reuses it needs the same."""
        return {}

    @abstractmethod
    def upper_layers(self, frozen: int, spec: RunSpec) -> LayerSpec | None:
        """Its layers above `frozen`, trained below a run's dense ones; None if they are dense themselves."""


@dataclass(frozen=True)
class MLPBackbone(Backbone):
    """A run of ours."""

    name: str
    spec: RunSpec
    state: Weights
    """Its kept weights, hidden1.kernel and so on."""
    shape: tuple[int, ...]
    """Of the examples that it was trained on."""
    classes: tuple[str, ...]

    @property
    def n_layers(self) -> int:  # type: ignore[override]
        """Its hidden layers."""
        return len(self.spec.hidden)

    @property
    def hidden(self) -> int:  # type: ignore[override]
        """All of a run's reused layers are among its hidden ones."""
        return self.n_layers

    def check(self, spec: RunSpec, dataset_shape: tuple[int, ...]) -> None:
        if dataset_shape != self.shape:
            raise InputError(
                f"reuse_from {self.name}: it was trained on examples of shape {self.shape}, these are {dataset_shape}"
            )
        for key in ("scale", "resize"):
            ours = self.spec.scale if key == "scale" else spec.default_of("resize")
            if getattr(spec, key) != ours:
                raise InputError(f"{key} {getattr(spec, key)}: the reused layers need inputs as {self.name} had them")
        count = reused_count(spec, self)
        if spec.hidden[:count] != self.spec.hidden[:count]:
            raise InputError(
                f"hidden {write_hidden(spec.hidden)}: the lowest {count} of {self.name} are "
                f"{write_hidden(self.spec.hidden[:count])}; give them, then new ones"
            )
        self._check_layers(spec, count)

    def _check_layers(self, spec: RunSpec, count: int) -> None:
        """Raise InputError where a reused layer would not be what the run's settings say.

        Batch norm may be that of new layers alone: above frozen ones that have none, or have it.
        """
        for layer in range(1, count + 1):
            if spec.activations[layer - 1] != self.spec.activations[layer - 1]:
                raise InputError(
                    f"act {spec.activations[layer - 1]}: layer {layer} of {self.name} has "
                    f"{self.spec.activations[layer - 1]}"
                )
        first = count - min(spec.unfreeze_layers, count) + 1 if count < len(spec.hidden) else 1
        names = tensor_names(layer_specs(spec, self.n_inputs, 2))
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
        """Raise InputError where one of the two has images and the other columns, which are scaled differently."""
        measured = self.measured()
        on_columns = "input.fill" in measured
        on_images = not measured and self.spec.scale != "raw"
        if (dataset.is_image and on_columns) or (on_images and not dataset.is_image):
            kinds = ("images", "columns of numbers")
            before, now = kinds if on_images else reversed(kinds)
            raise InputError(f"reuse_from {self.name}: it was trained on {before}, these are {now}")

    def reused(
        self, dataset: Dataset, spec: RunSpec, frozen: int, rows: np.ndarray, device: torch.device
    ) -> FrozenFeatures:
        self._check_kind(dataset)
        every = np.arange(len(dataset.train_targets))
        if frozen == 0 and not self.measured() and (self.spec.scale != "auto" or dataset.is_image):
            return FrozenFeatures(dataset, every, self.spec.scale)
        train, test = (self._outputs(part, frozen, device) for part in (dataset.train_inputs, dataset.test_inputs))
        return FrozenFeatures(replace(dataset, train_inputs=train, test_inputs=test), every, "raw")

    def _outputs(self, inputs: np.ndarray, frozen: int, device: torch.device) -> np.ndarray:
        """float32 (N, units) of layer `frozen`; of the scaled inputs where that is 0.

        InputError where the layers give values that are nan or infinite, as examples on a very different scale may.
        """
        below = self.below(frozen, device) if frozen else lambda x: x
        parts = []
        with torch.no_grad():
            for start in range(0, len(inputs), ROWS):
                chunk = torch.from_numpy(np.ascontiguousarray(inputs[start : start + ROWS]).reshape(-1, self.n_inputs))
                parts.append(below(self._scaled(chunk.to(device)).unsqueeze(0))[0].cpu().numpy())
        outputs = np.concatenate(parts)
        bad = ~np.isfinite(outputs).all(1)
        if frozen and bad.any():
            raise InputError(
                f"reuse_from {self.name}: the outputs of layer {frozen} are nan or infinite for {bad.sum():,} of "
                f"{len(bad):,} examples (the first is number {bad.argmax()}, counted from 0)"
            )
        return outputs

    @property
    def n_inputs(self) -> int:
        """Numbers in one example."""
        return int(np.prod(self.shape))

    def _scaled(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, features), filled and scaled as for its own training, float32."""
        measured = {name: torch.from_numpy(value).to(x.device) for name, value in self.measured().items()}
        images = x.dtype == torch.uint8
        if "input.fill" in measured:
            x = torch.where(x.isnan(), measured["input.fill"].to(x.dtype), x)
        if "input.offset" in measured:
            scaled = ((x - measured["input.offset"]) * measured["input.factor"]).to(torch.float32)
            return torch.nan_to_num(scaled)  # records of engines before 5 have no fill: a gap is the mean, 0
        return x.to(torch.float32) * (1.0 / 255.0 if self.spec.scale in ("auto", "unit") and images else 1.0)

    def below(self, frozen: int, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
        """The lowest layers as a function of inputs (1, rows, features), in test mode."""
        layers = load_layers(self.layers_below(frozen), self.state, device)
        return lambda x: layers.forward(x, EVAL)

    def layers_below(self, frozen: int) -> LayerSpecs:
        """The lowest `frozen` of its hidden layers, and what normalizes its inputs."""
        layers = layer_specs(self.spec, self.n_inputs, 1)
        last = max(i for i, layer in enumerate(layers) if layer.name == f"hidden{frozen}")
        return layers[: last + 1]

    def weights(self, first: int, last: int) -> dict[str, np.ndarray]:
        chosen = {f"hidden{layer}": f"hidden{layer - first}" for layer in range(first + 1, last + 1)}
        chosen |= {"input": "input"} if first == 0 else {}
        return {
            f"{chosen[layer]}.{what}": value
            for (layer, what), value in ((tuple(name.split(".", 1)), value) for name, value in self.state.items())
            if layer in chosen and f"{layer}.{what}" not in MEASURED
        }

    def measured(self) -> dict[str, np.ndarray]:
        return {name: value for name, value in self.state.items() if name in MEASURED}

    def upper_layers(self, frozen: int, spec: RunSpec) -> None:
        return None


def reused_count(spec: RunSpec, base: Backbone) -> int:
    """How many of the base's layers a run reuses; InputError where it has fewer."""
    if spec.transfer_layers in (None, ALL):
        return base.n_layers
    assert spec.transfer_layers is not None
    if spec.transfer_layers > base.n_layers:
        raise InputError(f"transfer_layers {spec.transfer_layers}: {base.name} has {base.n_layers} layers to reuse")
    return spec.transfer_layers


def unfrozen_count(spec: RunSpec, base: Backbone) -> int:
    """How many of the reused layers are trained again in the end; InputError where there are fewer."""
    count = reused_count(spec, base)
    if spec.unfreeze_layers not in (0, ALL) and spec.unfreeze_layers > count:
        raise InputError(f"unfreeze_layers {spec.unfreeze_layers}: only {count} layers are reused")
    return min(spec.unfreeze_layers, count)


def slice_layers(spec: RunSpec, first: int, last: int) -> RunSpec:
    """A run with the hidden layers first + 1 to last of this one, that reuses nothing."""
    acts = ",".join(str(act) for act in spec.activations[first:last])
    inputs = {} if first == 0 else {"scale": "raw", "bn_input": False}
    return spec.changed(**NOTHING_REUSED, **inputs, hidden=write_hidden(spec.hidden[first:last]), act=acts or "relu")


NOTHING_REUSED = {name: field.default for name, field in TransferSettings.model_fields.items()}


def subset_dataset(dataset: Dataset, rows: np.ndarray, train: np.ndarray, test: np.ndarray) -> Dataset:
    """The data set with other inputs, (len(rows), …) and (M, …), of some of its training rows."""
    return replace(
        dataset, train_inputs=train, train_targets=dataset.train_targets[rows], test_inputs=test, n_validation=0
    )


def count_overlap(trained: np.ndarray, tested: np.ndarray) -> int:
    """How many of the test examples are among the training ones, byte for byte."""
    if trained.shape[1:] != tested.shape[1:] or trained.dtype != tested.dtype:
        return 0
    known = {hash(row.tobytes()) for row in trained}
    return sum(hash(row.tobytes()) in known for row in tested)
