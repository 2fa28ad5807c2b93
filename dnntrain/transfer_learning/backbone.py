"""What every backbone of a transfer offers: frozen features, weights to start from, and the layers above them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.config.transfer import ALL
from dnntrain.data import Dataset, DatasetInfo
from dnntrain.engine.network import LayerSpecs
from dnntrain.errors import InputError
from dnntrain.utils.lazy import torch


@dataclass(frozen=True)
class FrozenFeatures:
    """A data set whose inputs are the outputs of frozen layers."""

    dataset: Dataset
    """Training rows that no run needs may be missing."""
    rows: np.ndarray
    """Its training examples, as ascending indices into the original data."""
    scale: str
    """How the engine scales these inputs: the `scale` of a RunSpec."""


class Backbone(ABC):
    """A trained network whose lower layers a run reuses.

    A stage of a transfer freezes the lowest `frozen` layers of the backbone and trains everything above them.
    """

    name: str
    """The value of `reuse_from`: a run's id, or an image model and its weights as NAME@DIGEST."""

    @property
    @abstractmethod
    def n_layers(self) -> int:
        """How many layers can be reused."""

    def for_run(self, spec: RunSpec) -> Backbone:
        """The backbone as a run uses it."""
        return self

    @abstractmethod
    def check(self, spec: RunSpec, data: DatasetInfo) -> None:
        """Raise InputError if a run on these data cannot reuse the backbone."""

    def notes(self, spec: RunSpec, data: DatasetInfo) -> list[str]:
        """What a run on these data takes from the backbone, where its settings do not say so, as text."""
        return []

    @abstractmethod
    def features(
        self, dataset: Dataset, spec: RunSpec, frozen: int, rows: np.ndarray, device: torch.device
    ) -> FrozenFeatures:
        """The outputs of the frozen layers.

        Args:
            dataset: The original examples.
            spec: The run; all runs of a population share what is read from it.
            frozen: How many of the lowest layers are frozen.
            rows: The training examples that are needed, as ascending indices. All test examples are.
            device: Where the layers compute.

        Raises:
            InputError: If the data are of the wrong kind, or an output is nan or infinite.
        """

    @abstractmethod
    def outputs(self, inputs: np.ndarray, spec: RunSpec, frozen: int, device: torch.device) -> np.ndarray:
        """The same outputs for new examples. They are not kept.

        Args:
            inputs: (N, *shape), as in the data.
            spec: The run.
            frozen: How many of the lowest layers are frozen.
            device: Where the layers compute.

        Returns:
            What enters the trained layers, float32 (N, …).
        """

    @abstractmethod
    def weights(self, first: int, last: int) -> dict[str, np.ndarray]:
        """Parameters and buffers of its layers `first` + 1 to `last`, by full name, without the axis P."""

    def frozen_weights(self, frozen: int) -> dict[str, np.ndarray]:
        """What a run's record holds of the frozen layers. Nothing, unless they are part of the run's own network."""
        return {}

    @abstractmethod
    def trained_layers(self, spec: RunSpec, frozen: int, features: DatasetInfo) -> LayerSpecs:
        """The layers that a run trains, from the lowest.

        Args:
            spec: The run.
            frozen: How many of the lowest layers are frozen.
            features: The frozen features, as data.
        """

    def whole_network(self, spec: RunSpec, frozen: int, trained: LayerSpecs) -> LayerSpecs:
        """All layers of the run's own network, of which `trained` are trained; the backbone's may not be among them."""
        return trained

    @abstractmethod
    def exported_layers(self, spec: RunSpec, frozen: int, data: DatasetInfo) -> LayerSpecs:
        """All layers that make a run's outputs of its scaled inputs, or of raw images if the backbone scales them.

        Args:
            spec: The run.
            frozen: How many of the lowest layers are frozen in its last stage.
            data: Its own data.
        """


def reused_count(spec: RunSpec, backbone: Backbone) -> int:
    """How many of the backbone's layers a run reuses; InputError if it has fewer."""
    if spec.transfer_layers is None or spec.transfer_layers == ALL:
        return backbone.n_layers
    if spec.transfer_layers > backbone.n_layers:
        raise InputError(
            f"transfer_layers {spec.transfer_layers}: {backbone.name} has {backbone.n_layers} layers to reuse"
        )
    return spec.transfer_layers


def unfrozen_count(spec: RunSpec, backbone: Backbone) -> int:
    """How many of the reused layers are trained in the last stage; InputError if fewer are reused."""
    count = reused_count(spec, backbone)
    if spec.unfreeze_layers not in (0, ALL) and spec.unfreeze_layers > count:
        raise InputError(f"unfreeze_layers {spec.unfreeze_layers}: only {count} layers are reused")
    return min(spec.unfreeze_layers, count)
