"""A transfer in stages: train on top of frozen layers; then unfreeze the upper ones and go on.

A stage computes the outputs of the frozen `layers[:k]` once. On these it trains `layers[k:]` with the same loop as any
other run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.health import layer_names
from dnntrain.engine.network import LayerSpecs, tensor_names, tensor_shapes, weight_names
from dnntrain.engine.probe import ACTIVATION_FIGURES, FIGURES, WEIGHT_FIGURES, RunProbes
from dnntrain.engine.run import OnEpoch, Run, TakeCheckpoints, ignore
from dnntrain.engine.splits import Splits, splits_of
from dnntrain.nn.layer_spec import walk
from dnntrain.store.checkpoint import Checkpoint
from dnntrain.store.records import LayerNames
from dnntrain.techniques.activations import ActivationSpec
from dnntrain.transfer_learning.backbone import Backbone, reused_count, unfrozen_count
from dnntrain.utils.lazy import torch

if TYPE_CHECKING:
    from dnntrain.engine.population import StartState


@dataclass(frozen=True)
class TransferStage:
    """Some epochs in which the lowest layers of the backbone are frozen."""

    number: int
    frozen: int
    """How many of the backbone's layers are frozen."""
    first_epoch: int
    epochs: int
    last: bool

    def spec(self, spec: RunSpec, scale: str) -> RunSpec:
        """The settings of one run in this stage, whose inputs are scaled as `scale` says."""
        lr = spec.lr if self.first_epoch == 0 or spec.unfreeze_lr is None else spec.unfreeze_lr
        stopping = spec.early_stopping if self.last else None
        select = spec.select if self.last else "last"  # the next stage goes on from there
        # copied without validation: the learning rate after unfreezing may be 0, that of a whole run may not
        changes = {"lr": lr, "epochs": self.epochs, "early_stopping": stopping, "select": select, "scale": scale}
        return spec.model_copy(update=changes)


def stages_of(spec: RunSpec, backbone: Backbone) -> list[TransferStage]:
    """The stages of a run: first all reused layers are frozen, then fewer."""
    count, unfrozen = reused_count(spec, backbone), unfrozen_count(spec, backbone)
    if spec.frozen_to_the_end or spec.freeze_epochs is None:
        return [TransferStage(0, count, 0, spec.epochs, last=True)]
    rest = TransferStage(1, count - unfrozen, spec.freeze_epochs, spec.epochs - spec.freeze_epochs, last=True)
    return [TransferStage(0, count, 0, spec.freeze_epochs, last=False), rest] if spec.freeze_epochs else [rest]


def train_transfer(
    specs: Sequence[RunSpec],
    dataset: Dataset,
    backbone: Backbone,
    device: torch.device | None = None,
    on_epoch: OnEpoch = ignore,
    checkpoints: Sequence[Checkpoint] = (),
    keep_predictions: bool = True,
) -> list[Run]:
    """Train runs of one graph that reuse a backbone, stage by stage.

    Args:
        specs: The runs.
        dataset: Their data.
        backbone: The network that they reuse.
        device: Where to train; the CPU by default.
        on_epoch: Called after each epoch.
        checkpoints: Where the runs were interrupted, one for each run; empty to train from the start.
        keep_predictions: Whether the finished runs hold their predictions on held-out examples.

    Returns:
        The runs, in the order of their specs.
    """
    device = device or torch.device("cpu")
    backbone = backbone.for_run(specs[0])
    runs = [Run(spec, index) for index, spec in enumerate(specs)]
    stages = stages_of(specs[0], backbone)
    if checkpoints:
        remaining = [stage for stage in stages if stage.number >= checkpoints[0].stage]
        frozen = {f"now.{name}" for name in backbone.frozen_weights(remaining[0].frozen)}
        if frozen & checkpoints[0].tensors.keys():
            checkpoints = ()  # from a version that named a stage's layers from hidden1 on: start anew
        else:
            stages = remaining
    for run, checkpoint in zip(runs, checkpoints, strict=False):
        run.history = list(checkpoint.earlier)
        run.seconds, run.cpu_seconds = checkpoint.earlier_seconds, checkpoint.earlier_cpu_seconds
        run.probes = RunProbes(**checkpoint.earlier_probes)
    splits = splits_of(dataset, specs)
    for stage in stages:
        active = [run for run in runs if run.status == "running"]
        if active:
            own_splits = [splits[run.index] for run in active]
            begun = [checkpoint for checkpoint in checkpoints if checkpoint.stage == stage.number]
            keep = keep_predictions and stage.last
            train_stage(active, stage, dataset, own_splits, backbone, device, on_epoch, begun, keep)
    return runs


def train_stage(
    runs: list[Run],
    stage: TransferStage,
    dataset: Dataset,
    splits: Splits,
    backbone: Backbone,
    device: torch.device,
    on_epoch: OnEpoch,
    checkpoints: Sequence[Checkpoint],
    keep_predictions: bool,
) -> None:
    """Train the runs for one stage, and update their history and weights."""
    from dnntrain.engine.loop import train_population  # imports torch

    started, cpu_started = time.perf_counter(), time.process_time()
    specs, features, start = prepare_stage(
        stage, [run.spec for run in runs], dataset, splits, backbone, device, [run.weights for run in runs]
    )
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    for run in runs:  # the features are computed for all runs at once
        run.seconds += seconds / len(runs)
        run.cpu_seconds += cpu_seconds / len(runs)
    frozen_weights = backbone.frozen_weights(stage.frozen)
    network = backbone.whole_network(runs[0].spec, stage.frozen, start.layers[0])
    callback = StageCallback(runs, stage, network, start.layers[0], frozen_weights, checkpoints, on_epoch)
    start = replace(start, checkpoints=checkpoints)
    train_population(specs, features, device, callback, start, keep_predictions)


def prepare_stage(
    stage: TransferStage,
    specs: Sequence[RunSpec],
    dataset: Dataset,
    splits: Splits,
    backbone: Backbone,
    device: torch.device,
    known: Sequence[Mapping[str, np.ndarray]],
) -> tuple[list[RunSpec], Dataset, StartState]:
    """What a stage trains: each run's settings in it, the frozen features as its data, and where it starts from.

    Args:
        stage: The stage.
        specs: The runs.
        dataset: The original data.
        splits: Each run's training and validation examples.
        backbone: The network that the runs reuse.
        device: Where the features are computed.
        known: Each run's weights from earlier stages, by name. All others are the backbone's, or new.
    """
    from dnntrain.engine.population import StartState  # imports torch

    spec = specs[0]
    rows = np.unique(np.concatenate([part for split in splits for part in split]))
    training_part = np.setdiff1d(np.arange(len(dataset.train_targets)), splits[0][1])
    features = backbone.features(dataset, spec, stage.frozen, rows, device)
    layers = [backbone.trained_layers(each, stage.frozen, features.dataset.outline) for each in specs]
    pretrained, shapes = backbone.weights(stage.frozen, reused_count(spec, backbone)), tensor_shapes(layers[0])
    start = StartState(
        weights=[
            {name: value for name, value in {**pretrained, **own}.items() if shapes.get(name) == value.shape}
            for own in known
        ],
        layers=layers,
        splits=[(np.searchsorted(features.rows, train), np.searchsorted(features.rows, val)) for train, val in splits],
        # the features' rows depend on the population, the whole training part does not
        fitted_targets=dataset.train_targets[training_part],
        epochs=stage.first_epoch,
    )
    return [stage.spec(each, features.scale) for each in specs], features.dataset, start


class StageCallback:
    """Passes what happens in a stage on to the runs that it is a part of. It is the stage's `on_epoch`."""

    def __init__(
        self,
        runs: list[Run],
        stage: TransferStage,
        network: LayerSpecs,
        layers: LayerSpecs,
        frozen_weights: Mapping[str, np.ndarray],
        checkpoints: Sequence[Checkpoint],
        on_epoch: OnEpoch,
    ) -> None:
        self.runs, self.stage, self.frozen_weights, self.on_epoch = runs, stage, frozen_weights, on_epoch
        self.trained_names = frozenset(tensor_names(layers))
        self.weights, trained = weight_names(network), weight_names(layers)
        self.places = [self.weights.index(name) for name in trained]
        """Where the stage's weights stand among those of the runs' own networks."""
        whole, part = (
            [layer.name for layer in walk(each) if isinstance(layer, ActivationSpec)] for each in (network, layers)
        )
        self.names = layer_names(runs[0].spec.net, network, whole[: len(whole) - len(part)])
        """The names of all weights, and of the activations of the frozen layers."""
        self.earlier = [(list(run.history), run.seconds, run.cpu_seconds, run.probes) for run in runs]
        for run, checkpoint in zip(runs, checkpoints, strict=False):
            run.history += map(self.whole_row, checkpoint.history)

    def __call__(self, trained: list[Run], take: TakeCheckpoints) -> None:
        """Add each run's newest row of history, and finish the runs that are over."""
        for part in trained:
            run = self.runs[part.index]
            run.history.append(self.whole_row(part.history[-1]))
            activations = [*self.names.activations, *part.layers.activations]
            run.layers = LayerNames(
                weights=self.names.weights, activations=activations, unobserved=part.layers.unobserved
            )
            # the parts of a module show their activations only from the stage on that unfreezes them
            run.history[:] = [with_activations(row, len(activations)) for row in run.history]
            if part.status != "running":
                self.finish(run, part)
        self.on_epoch([self.runs[part.index] for part in trained], lambda: self.whole_checkpoints(take()))

    def whole_row(self, row: dict[str, Any]) -> dict[str, Any]:
        """A stage's row of history as the whole run's: epochs count from its start, frozen layers have no figures."""
        return self.whole_figures(row) | {"epoch": row["epoch"] + self.stage.first_epoch}

    def whole_figures(self, row: dict[str, Any]) -> dict[str, Any]:
        """The figures of a stage's layers as those of the whole run's, whose frozen layers have none."""
        nan = float("nan")
        figures: dict[str, list[float]] = {name: row[name] for name in FIGURES if name in row}
        for name, values in figures.items():
            if name in WEIGHT_FIGURES:
                by_place = dict(zip(self.places, values, strict=True))
                figures[name] = [by_place.get(place, nan) for place in range(len(self.weights))]
            else:
                figures[name] = [*[nan] * len(self.names.activations), *values]
        return row | figures

    def finish(self, run: Run, part: Run) -> None:
        """Copy what the stage ended with to the whole run."""
        trained = {name: value for name, value in part.weights.items() if name in self.trained_names}
        run.weights = dict(self.frozen_weights) | trained
        run.kept_epoch = part.kept_epoch and part.kept_epoch + self.stage.first_epoch
        run.test = part.test if self.stage.last else {}
        run.constant, run.target_info, run.predictions = part.constant, part.target_info, part.predictions
        own = replace(
            part.probes,
            start=self.whole_figures(part.probes.start),
            last=[self.whole_row(figures) for figures in part.probes.last],
        )
        run.probes = run.probes.followed_by(own)
        run.seconds += part.seconds
        run.cpu_seconds += part.cpu_seconds
        run.status = part.status if self.stage.last or part.status == "diverged" else "running"

    def whole_checkpoints(self, parts: dict[int, Checkpoint]) -> dict[int, Checkpoint]:
        """A stage's checkpoints as the whole runs'."""
        checkpoints = {}
        for index, part in parts.items():
            history, seconds, cpu_seconds, probes = self.earlier[index]
            checkpoints[self.runs[index].index] = replace(
                part,
                stage=self.stage.number,
                earlier=history,
                earlier_seconds=seconds,
                earlier_probes=probes.content(),
                earlier_cpu_seconds=cpu_seconds,
            )
        return checkpoints


def with_activations(row: dict[str, Any], number: int) -> dict[str, Any]:
    """A row of history with a figure for so many activations; the lowest ones, which it lacks, have none."""
    seen = {name: row[name] for name in ACTIVATION_FIGURES if name in row}
    return row | {name: [float("nan")] * (number - len(values)) + values for name, values in seen.items()}
