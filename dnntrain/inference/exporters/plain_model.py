"""A recorded run as a model of plain torch: its modules, its weights, and what it needs besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, DatasetInfo
from dnntrain.data.preprocessing import Preprocessing
from dnntrain.data.table_preprocessing import TablePreprocessing
from dnntrain.engine.network import LayerSpecs, layer_specs, tensor_names
from dnntrain.engine.scaling import MEASURED
from dnntrain.errors import InputError
from dnntrain.inference.recorded import RecordedModel
from dnntrain.nn.layer_spec import LayerSpec, torch_sequence
from dnntrain.nn.torch_code import NamedArrays, TorchCode, unique
from dnntrain.store.code import kept_files
from dnntrain.store.records import RunRecord, TargetScale
from dnntrain.store.run_store import RunStore
from dnntrain.transfer_learning.resolve import resolve_backbone
from dnntrain.transfer_learning.stages import stages_of
from dnntrain.utils.finite import check_finite
from dnntrain.utils.lazy import torch
from dnntrain.utils.user_code.reference import pinned


@dataclass(frozen=True)
class PlainModel:
    """A recorded run as modules of plain torch that follow each other."""

    recorded: RecordedModel
    """The run as dnntrain computes it."""
    parts: Mapping[str, TorchCode]
    """The modules by the names of the attributes that hold them, from the lowest."""
    scaling: NamedArrays
    """What fills and scales its inputs: `fill`, `offset` and `factor`, as far as they were measured in training."""
    scales_itself: bool
    """Whether the lowest module takes raw images."""
    code: Mapping[str, bytes]
    """The user's own code that it imports, by its path in the folder `code`."""
    code_folder: Path
    """Where that code is now."""

    @property
    def record(self) -> RunRecord:
        """The run's record."""
        return self.recorded.record

    @property
    def spec(self) -> RunSpec:
        """The run's settings."""
        return self.recorded.spec

    @property
    def data(self) -> DatasetInfo:
        """The data that it was trained on."""
        return self.recorded.info

    @property
    def target(self) -> TargetScale | None:
        """What turns outputs into numbers in the target's unit; None for classes."""
        return self.recorded.target

    @property
    def table(self) -> TablePreprocessing | None:
        """How rows of a table become inputs; None for other data, and if an old record does not say so."""
        content = self.record.data.preprocessing
        found = None if content is None else Preprocessing.parse(content)
        return found if isinstance(found, TablePreprocessing) else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the model lacks, or does otherwise than in training, as sentences."""
        lacks = (switch.not_exported for switch in self.spec.switches if switch.not_exported)
        precision = f"It was trained in {self.spec.precision}, and computes in float32."
        of_parts = (note for part in self.parts.values() for note in part.notes)
        return unique((*of_parts, *lacks, *([] if self.spec.precision == "fp32" else [precision])))

    def arrays(self) -> dict[str, np.ndarray]:
        """The whole `state_dict` as NumPy arrays."""
        parts = {f"{name}.{key}": array for name, part in self.parts.items() for key, array in part.state.items()}
        arrays = {**self.scaling, **parts}
        if self.target:
            arrays["target_mean"] = np.array(self.target.mean, np.float32)
            arrays["target_deviation"] = np.array(self.target.deviation, np.float32)
        return arrays

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The whole `state_dict`; no two tensors share memory."""
        return {name: torch.from_numpy(np.array(array, order="C")) for name, array in self.arrays().items()}

    def example(self, rows: int) -> torch.Tensor:
        """Raw inputs (rows, *shape) to try the model with: random pixels, tokens, or numbers near the training mean.

        Numbers are float64 if they are columns of a table, which may need it, as time stamps do; else float32.
        """
        rng, shape = np.random.default_rng(0), (rows, *self.data.shape)
        if self.data.kind == "images":
            return torch.from_numpy(rng.integers(0, 256, shape, np.uint8))
        if self.data.kind == "tokens":
            return torch.from_numpy(rng.integers(0, self.data.n_tokens, shape))
        factor, offset = (self.scaling.get(name) for name in ("factor", "offset"))
        x = rng.standard_normal((rows, self.data.n_features))
        if factor is not None and offset is not None:
            x = offset + np.divide(x, factor, out=np.zeros_like(x), where=factor != 0)
        return torch.from_numpy(x.reshape(shape).astype(np.float64 if self.table else np.float32))


def plain_model(run: str, store: RunStore, home: DataLocation, *, trust_code: bool) -> PlainModel:
    """A recorded run as a model of plain torch.

    Args:
        run: The run's id.
        store: Where it is recorded.
        home: Where the image model that it reuses is found.
        trust_code: Whether to run the recorded code of the user's module, if the code here is another.

    Raises:
        InputError: The run has no weights to export, its network cannot be rebuilt, or a layer has no form in plain
            torch.
    """
    recorded = RecordedModel.load(store, run, home, trust_code)
    spec, data, weights = recorded.spec, recorded.info, recorded.weights
    check_finite(weights, str(store.weights_file(run)), "this run cannot be exported")
    if recorded.target is None and not data.classes:
        raise InputError(f"run {run}: recorded without the target's mean; `dnntrain runs evaluate {run}` adds it")
    modules = {reference.module for reference in spec.net.references()}
    own = [each for each in recorded.code if each.module in modules]
    with pinned(recorded.code):
        layers = network_layers(spec, data, store, home)
        if missing := set(tensor_names(layers)) - weights.keys():
            raise InputError(f"{store.weights_file(run)}: has no tensor {min(missing)}, which its network needs")
        parts = named_parts(layers, weights)
    return PlainModel(
        recorded,
        parts,
        scaling={name.removeprefix("input."): weights[name] for name in sorted(MEASURED) if name in weights},
        scales_itself="@" in (spec.reuse_from or ""),
        code={path: content for each in own for path, content in kept_files(each).items()},
        code_folder=next((store.code / each.digest for each in own), store.code).resolve(),
    )


def network_layers(spec: RunSpec, data: DatasetInfo, store: RunStore, home: DataLocation) -> LayerSpecs:
    """All layers of a run's network, those that it froze included."""
    if not spec.reuse_from:
        return layer_specs(spec, data)
    backbone = resolve_backbone(spec.reuse_from, store, home).for_run(spec)
    return backbone.exported_layers(spec, stages_of(spec, backbone)[-1].frozen, data)


def named_parts(layers: LayerSpecs, weights: NamedArrays) -> dict[str, TorchCode]:
    """Layers as modules by attribute name. Layers of the same name, such as a dense layer and its norm, are one."""
    groups: list[tuple[str, list[LayerSpec]]] = []
    for layer in layers:
        name = groups[-1][0] if groups else ""
        if groups and (layer.name == name or layer.name.startswith(f"{name}.")):
            groups[-1][1].append(layer)
        else:
            groups.append((layer.name, [layer]))
    parts: dict[str, TorchCode] = {}
    for name, group in groups:
        attribute = name.replace(".", "_")
        while attribute in parts or hasattr(torch.nn.Module, attribute):
            attribute += "_"
        parts[attribute] = torch_sequence(group, weights)
    return parts
