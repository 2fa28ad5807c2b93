"""A recorded run of a user's module as the backbone of a transfer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Self

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.config.transfer import ALL
from dnntrain.data import Dataset, DatasetInfo
from dnntrain.engine.network import LayerSpecs, network_settings, tensor_shapes
from dnntrain.errors import InputError, did_you_mean
from dnntrain.nn.module import ModuleSpec
from dnntrain.nn.module_parts import structure
from dnntrain.techniques.networks.module import Module, module_parts
from dnntrain.transfer_learning.backbone import FrozenFeatures
from dnntrain.transfer_learning.run_backbone import MEASURED, RunBackbone, first_difference
from dnntrain.utils.lazy import torch


@dataclass(frozen=True)
class ModuleBackbone(RunBackbone):
    """A recorded run of a module.

    A module with parts (`nn.module_parts`) is cut between them, like any other network. Of any other module, all
    tensors of the same name and shape are reused, and its parameters are frozen by name while it trains as a whole.
    There it counts as one layer.
    """

    def for_run(self, spec: RunSpec) -> Self:
        """The backbone with the run's code, which may have changed since; its own may be gone."""
        if spec.net.kind != self.spec.net.kind:
            return self  # which `check` refuses
        return replace(self, spec=self.spec.model_copy(update={"net": spec.net}))

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts that it can be cut into; empty if it cannot."""
        assert isinstance(self.spec.net, Module)
        return module_parts(self.spec.net, self.settings)

    @property
    def n_layers(self) -> int:
        return len(self.parts) - 1 if self.parts else 1

    def check(self, spec: RunSpec, data: DatasetInfo) -> None:
        if self.parts:
            super().check(spec, data)
            return
        self._check_inputs(spec, data)
        by_name = f"{spec.net} has no parts to count (nn.Sequential, or a list of names in `blocks`)"
        for key in ("transfer_layers", "unfreeze_layers"):
            if getattr(spec, key) not in (None, 0, ALL):
                raise InputError(f"{key} {getattr(spec, key)}: {by_name}; give freeze_parameters")
        if spec.freeze_parameters is None and spec.freeze_epochs != 0:
            raise InputError(
                f"reuse_from {self.name}: {by_name}; say by freeze_parameters what stays frozen, or train all of it by "
                "freeze_epochs 0 and unfreeze_layers all"
            )
        if spec.freeze_parameters is not None and spec.freeze_epochs == 0:
            raise InputError(f"freeze_parameters {spec.freeze_parameters}: freeze_epochs 0 freezes nothing")
        network = self._network(spec, data)
        taken = self._taken(network)
        if not taken:
            raise InputError(f"net {spec.net}: has no tensor of the same name and shape as {self.name}")
        if missing := sorted(name for name in frozen_names(spec, network) if f"{network.name}.{name}" not in taken):
            raise InputError(
                f"freeze_parameters {spec.freeze_parameters}: {missing[0]} is new, since {self.name} has none of that "
                "name and shape, so it has to train"
            )

    def _check_layers(self, spec: RunSpec, count: int) -> None:
        part = self.spec.net.layers(network_settings(spec, self.info), 1, count + 1)
        modules = [layer.module for layer in (*part, *self._layers(0, count)) if isinstance(layer, ModuleSpec)]
        ours, theirs = map(structure, modules)
        if difference := first_difference(ours, theirs):
            raise InputError(f"net {spec.net}: the lowest {count} parts of {self.name} have {difference}")
        shapes = tensor_shapes(part)
        if wrong := [
            name for name, shape in shapes.items() if name not in self.state or self.state[name].shape != shape
        ]:
            recorded = self.state[wrong[0]].shape if wrong[0] in self.state else "not there"
            raise InputError(
                f"net {spec.net}: {wrong[0]} has shape {shapes[wrong[0]]}, in {self.name} it is {recorded}"
            )

    def notes(self, spec: RunSpec, data: DatasetInfo) -> list[str]:
        if self.parts:
            count = self.n_layers if spec.transfer_layers in (None, ALL) else int(spec.transfer_layers or 0)
            return [f"{', '.join(self.parts[:count])}: from {self.name}; {', '.join(self.parts[count:])}: new"]
        network = self._network(spec, data)
        taken, names = self._taken(network), [*tensor_shapes([network])]
        new = [name.removeprefix(f"{network.name}.") for name in names if name not in taken]
        frozen = [name for name in frozen_names(spec, network) if name in network.parameters]
        return [
            f"{len(taken)} of {len(names)} tensors: from {self.name}; {', '.join(new) or 'none'}: new",
            *(
                [f"{len(frozen)} of {len(network.parameters)} parameters are frozen: {', '.join(frozen)}"]
                if frozen
                else []
            ),
        ]

    def features(
        self, dataset: Dataset, spec: RunSpec, frozen: int, rows: np.ndarray, device: torch.device
    ) -> FrozenFeatures:
        return super().features(dataset, spec, frozen if self.parts else 0, rows, device)

    def weights(self, first: int, last: int) -> dict[str, np.ndarray]:
        if self.parts:
            return super().weights(first, last)
        return {name: value for name, value in self.state.items() if name not in MEASURED}

    def frozen_weights(self, frozen: int) -> dict[str, np.ndarray]:
        if self.parts:
            return super().frozen_weights(frozen)
        return {name: value for name, value in self.state.items() if name in MEASURED}

    def trained_layers(self, spec: RunSpec, frozen: int, features: DatasetInfo) -> LayerSpecs:
        if self.parts:
            return super().trained_layers(spec, frozen, features)
        layers = super().trained_layers(spec, 0, features)
        if not frozen:
            return layers
        return [
            replace(layer, frozen=frozenset(frozen_names(spec, layer))) if isinstance(layer, ModuleSpec) else layer
            for layer in layers
        ]

    def whole_network(self, spec: RunSpec, frozen: int, trained: LayerSpecs) -> LayerSpecs:
        if self.parts:
            return super().whole_network(spec, frozen, trained)
        return [replace(layer, frozen=frozenset()) if isinstance(layer, ModuleSpec) else layer for layer in trained]

    def _network(self, spec: RunSpec, data: DatasetInfo) -> ModuleSpec:
        """The run's module."""
        [network] = (layer for layer in spec.net.layers(network_settings(spec, data)) if isinstance(layer, ModuleSpec))
        return network

    def _taken(self, network: ModuleSpec) -> set[str]:
        """The tensors of a network that start from the recorded ones, by full name."""
        recorded = {name: value.shape for name, value in self.state.items()}
        return {name for name, shape in tensor_shapes([network]).items() if recorded.get(name) == shape}


def frozen_names(spec: RunSpec, network: ModuleSpec) -> list[str]:
    """The parameters and buffers that `freeze_parameters` names; InputError for a pattern without any parameter."""
    patterns = spec.freeze_parameters.split(",") if spec.freeze_parameters else []
    for pattern in patterns:
        if not matching(network.parameters, pattern):
            near = did_you_mean(pattern.rstrip(".*"), network.parameters)
            raise InputError(f"freeze_parameters {pattern}: matches no parameter of {spec.net}{near}")
    return [name for pattern in patterns for name in matching((*network.parameters, *network.buffers), pattern)]


def matching(names: Iterable[str], pattern: str) -> list[str]:
    """The names that a pattern matches; * is any text, dots included."""
    return [name for name in names if fnmatchcase(name, pattern)]
