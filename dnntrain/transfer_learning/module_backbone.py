"""A recorded run of a user's module as the backbone of a transfer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.config.transfer import ALL
from dnntrain.data import Dataset, DatasetInfo
from dnntrain.engine.network import LayerSpecs, layer_specs, network_settings, tensor_shapes
from dnntrain.engine.scaling import MEASURED
from dnntrain.errors import InputError, did_you_mean
from dnntrain.nn.modules.parts import structure
from dnntrain.nn.modules.spec import ModuleSpec
from dnntrain.techniques.networks.module import Module, module_spec, parts_of
from dnntrain.transfer_learning.backbone import FrozenFeatures, reused_count
from dnntrain.transfer_learning.run_backbone import RunBackbone, first_difference
from dnntrain.utils.lazy import torch


@dataclass(frozen=True)
class ModuleBackbone(RunBackbone):
    """A recorded run of a module with parts (`nn.modules.parts`), which is cut between them like any other network.

    `for_run` makes a `WholeModuleBackbone` of a module without parts.
    """

    def for_run(self, spec: RunSpec) -> RunBackbone:
        """The backbone with the run's code: its own may have changed since, or be gone."""
        if spec.net.kind != self.spec.net.kind:
            return self  # which `check` refuses
        ours = replace(self, spec=self.spec.model_copy(update={"net": spec.net}))
        if ours.parts:
            return ours
        return WholeModuleBackbone(self.name, ours.spec, self.state, self.shape, self.classes, self.kind, self.n_tokens)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts, from the lowest; empty if the module has none."""
        assert isinstance(self.spec.net, Module)
        return parts_of(module_spec(self.spec.net, self.settings))

    @property
    def n_layers(self) -> int:
        return max(1, len(self.parts) - 1)

    def _check_layers(self, spec: RunSpec, count: int) -> None:
        ours = spec.net.layers(self.settings_of(spec), 1, count + 1)
        modules = [layer.module for layer in (*ours, *self._layers(0, count)) if isinstance(layer, ModuleSpec)]
        if difference := first_difference(*map(structure, modules)):
            raise InputError(f"net {spec.net}: the lowest {count} parts of {self.name} have {difference}")
        for name, shape in tensor_shapes(ours).items():  # the code may be another than that of the record
            if name not in self.state:
                raise InputError(f"net {spec.net}: {self.name} was trained without {name}")
            if self.state[name].shape != shape:
                raise InputError(f"net {spec.net}: {name} has shape {shape}, in {self.name} {self.state[name].shape}")

    def notes(self, spec: RunSpec, data: DatasetInfo) -> list[str]:
        count = reused_count(spec, self)
        return [f"{', '.join(self.parts[:count])}: from {self.name}; {', '.join(self.parts[count:])}: new"]

    def exported_layers(self, spec: RunSpec, frozen: int, data: DatasetInfo) -> LayerSpecs:
        return layer_specs(spec, data)  # its lower parts are those of the backbone, and have the same names


@dataclass(frozen=True)
class WholeModuleBackbone(RunBackbone):
    """A recorded run of a module that nothing says how to cut.

    All tensors of the same name and shape are reused. Parameters are frozen by name, in the module that trains as a
    whole, so no features are computed in advance. It counts as one layer.
    """

    @property
    def n_layers(self) -> int:
        return 1

    def check(self, spec: RunSpec, data: DatasetInfo) -> None:
        self._check_inputs(spec, data)
        no_parts = f"{spec.net} has no parts to count (nn.Sequential, or names in `blocks`)"
        for key in ("transfer_layers", "unfreeze_layers"):
            if getattr(spec, key) not in (None, 0, ALL):
                raise InputError(f"{key} {getattr(spec, key)}: {no_parts}; give freeze_parameters")
        if spec.freeze_parameters is None and spec.freeze_epochs != 0:
            raise InputError(
                f"reuse_from {self.name}: {no_parts}; say by freeze_parameters what stays frozen, or train all of it "
                "by freeze_epochs 0 and unfreeze_layers all"
            )
        if spec.freeze_parameters is not None and spec.freeze_epochs == 0:
            raise InputError(f"freeze_parameters {spec.freeze_parameters}: freeze_epochs 0 freezes nothing")
        network = self._network(spec, data)
        if not (reused := self._reused(network)):
            raise InputError(f"net {spec.net}: has no tensor of the same name and shape as {self.name}")
        if new := [name for name in frozen_names(spec, network) if name not in reused]:
            raise InputError(
                f"freeze_parameters {spec.freeze_parameters}: {new[0]} is new, since {self.name} has none of that name "
                "and shape, so it has to train"
            )

    def notes(self, spec: RunSpec, data: DatasetInfo) -> list[str]:
        network = self._network(spec, data)
        names, reused = [*network.parameters, *network.buffers], self._reused(network)
        new = ", ".join(name for name in names if name not in reused) or "none"
        notes = [f"{len(reused)} of {len(names)} tensors: from {self.name}; {new}: new"]
        if frozen := [name for name in frozen_names(spec, network) if name in network.parameters]:
            notes.append(f"{len(frozen)} of {len(network.parameters)} parameters are frozen: {', '.join(frozen)}")
        return notes

    def features(
        self, dataset: Dataset, spec: RunSpec, frozen: int, rows: np.ndarray, device: torch.device
    ) -> FrozenFeatures:
        """The inputs, scaled as in the backbone's own training."""
        return super().features(dataset, spec, 0, rows, device)

    def outputs(self, inputs: np.ndarray, spec: RunSpec, frozen: int, device: torch.device) -> np.ndarray:
        return super().outputs(inputs, spec, 0, device)

    def weights(self, first: int, last: int) -> dict[str, np.ndarray]:
        return {name: value for name, value in self.state.items() if name not in MEASURED}

    def frozen_weights(self, frozen: int) -> dict[str, np.ndarray]:
        return {name: value for name, value in self.state.items() if name in MEASURED}

    def trained_layers(self, spec: RunSpec, frozen: int, features: DatasetInfo) -> LayerSpecs:
        """All layers; frozen parameters are held in the module itself."""
        layers = super().trained_layers(spec, 0, features)
        held = frozenset(frozen_names(spec, self._network(spec, features))) if frozen else frozenset()
        return [replace(layer, frozen=held) if isinstance(layer, ModuleSpec) and held else layer for layer in layers]

    def whole_network(self, spec: RunSpec, frozen: int, trained: LayerSpecs) -> LayerSpecs:
        return [replace(layer, frozen=frozenset()) if isinstance(layer, ModuleSpec) else layer for layer in trained]

    def exported_layers(self, spec: RunSpec, frozen: int, data: DatasetInfo) -> LayerSpecs:
        return layer_specs(spec, data)

    def _network(self, spec: RunSpec, data: DatasetInfo) -> ModuleSpec:
        """The run's module."""
        data = data._replace(shape=self.shape, kind=self.kind, n_tokens=self.n_tokens)
        [network] = (layer for layer in spec.net.layers(network_settings(spec, data)) if isinstance(layer, ModuleSpec))
        return network

    def _reused(self, network: ModuleSpec) -> set[str]:
        """The names of the module's tensors that start from recorded ones."""
        recorded = {name: value.shape for name, value in self.state.items()}
        prefix, shapes = f"{network.name}.", network.parameters | network.buffers
        return {key for key, shape in shapes.items() if recorded.get(prefix + key) == shape}


def frozen_names(spec: RunSpec, network: ModuleSpec) -> list[str]:
    """The parameters and buffers that `freeze_parameters` names; InputError for a pattern without any parameter."""
    names: dict[str, None] = {}
    for pattern in spec.freeze_parameters.split(",") if spec.freeze_parameters else ():
        if not matching(network.parameters, pattern):
            near = did_you_mean(pattern.rstrip(".*"), network.parameters)
            raise InputError(f"freeze_parameters {pattern}: matches no parameter of {spec.net}{near}")
        names |= dict.fromkeys(matching((*network.parameters, *network.buffers), pattern))
    return list(names)


def matching(names: Iterable[str], pattern: str) -> list[str]:
    """The names that a pattern matches; * is any text, dots included."""
    return [name for name in names if fnmatchcase(name, pattern)]
