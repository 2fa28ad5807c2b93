"""A transfer, stage by stage: freeze what is reused and train the rest; then unfreeze the top and go on.

What is frozen is computed once: each stage trains the layers above its boundary, by the same engine, on the outputs of
the layers below.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import Splits, splits_of
from dnntrain.engine.health import FIGURES
from dnntrain.engine.loop import train
from dnntrain.engine.network import layer_specs
from dnntrain.engine.population import StartState
from dnntrain.engine.run import OnEpoch, Run, TakeCheckpoints, ignore
from dnntrain.store.checkpoint import Checkpoint
from dnntrain.transfer_learning.mlp_backbone import MEASURED, Backbone, reused_count, slice_layers, unfrozen_count
from dnntrain.utils.lazy import torch


@dataclass(frozen=True)
class TransferStage:
    """Some epochs in which the lowest layers of the base are frozen."""

    number: int
    frozen: int
    """Layers of the base below the boundary."""
    first_epoch: int
    epochs: int
    last: bool

    def spec(self, spec: RunSpec, dense: int) -> RunSpec:
        """What one run trains in it: its hidden layers above the lowest `dense`."""
        stage = slice_layers(spec, dense, len(spec.hidden))
        lr = spec.lr if self.first_epoch == 0 or spec.unfreeze_lr is None else spec.unfreeze_lr
        stopping = stage.early_stopping if self.last else None
        # copied without validation: the rate of an unfrozen stage may be 0, which a run by itself may not have
        return stage.model_copy(update={"lr": lr, "epochs": self.epochs, "early_stopping": stopping})


def stages_of(spec: RunSpec, base: Backbone) -> list[TransferStage]:
    """The stages of a run: frozen, then unfrozen."""
    count, thawed = reused_count(spec, base), unfrozen_count(spec, base)
    if spec.frozen_to_the_end or spec.freeze_epochs is None:
        return [TransferStage(0, count, 0, spec.epochs, last=True)]
    rest = TransferStage(1, count - thawed, spec.freeze_epochs, spec.epochs - spec.freeze_epochs, last=True)
    return [TransferStage(0, count, 0, spec.freeze_epochs, last=False), rest] if spec.freeze_epochs else [rest]


def train_transfer(
    specs: Sequence[RunSpec],
    dataset: Dataset,
    base: Backbone,
    device: torch.device | None = None,
    on_epoch: OnEpoch = ignore,
    checkpoints: Sequence[Checkpoint] = (),
) -> list[Run]:
    """Train runs of one graph that reuse the base, stage by stage; the runs, in the order of their specs.

    The checkpoints, one for each run, say where they were when this was cut off.
    """
    device = device or torch.device("cpu")
    runs = [Run(spec, index) for index, spec in enumerate(specs)]
    for run, made in zip(runs, checkpoints, strict=False):
        run.history, run.seconds = list(made.earlier), made.earlier_seconds
    splits = splits_of(dataset, specs)
    for stage in stages_of(specs[0], base):
        begun = [made for made in checkpoints if made.stage == stage.number]
        if checkpoints and stage.number < checkpoints[0].stage:
            continue
        going = [run for run in runs if run.status == "running"]
        train_stage(going, stage, dataset, [splits[run.index] for run in going], base, device, on_epoch, begun)
    return runs


def train_stage(
    runs: list[Run],
    stage: TransferStage,
    dataset: Dataset,
    splits: Splits,
    base: Backbone,
    device: torch.device,
    on_epoch: OnEpoch,
    checkpoints: Sequence[Checkpoint],
) -> None:
    """Train the runs for one stage, and bring their history and weights up to date."""
    if not runs:
        return
    spec = runs[0].spec
    rows = np.unique(np.concatenate([part for split in splits for part in split]))
    training_part = np.setdiff1d(np.arange(len(dataset.train_targets)), splits[0][1])
    started = time.perf_counter()
    reused = base.reused(dataset, spec, stage.frozen, rows, device)
    seconds = (time.perf_counter() - started) / len(runs)  # what is frozen is computed for all of them at once
    for run in runs:
        run.seconds += seconds
    dense = min(stage.frozen, base.hidden)
    specs = [stage.spec(run.spec, dense).model_copy(update={"scale": reused.scale}) for run in runs]
    upper = base.upper_layers(stage.frozen, spec) if stage.frozen < reused_count(spec, base) else None
    n_outputs = spec.n_outputs(dataset.outline)
    start = StartState(
        weights=[weights_at(run, stage, base, dense) for run in runs],
        layers=[[upper, *layer_specs(one, prod(upper.shape_out), n_outputs)] for one in specs] if upper else (),
        splits=[tuple(np.searchsorted(reused.rows, part) for part in split) for split in splits],  # type: ignore[misc]
        # the rows that are left may differ from one population to the next
        fitted_targets=dataset.train_targets[training_part],
        epochs=stage.first_epoch,
        checkpoints=checkpoints,
    )
    train(specs, reused.dataset, device, StageCallback(runs, stage, dense, base, checkpoints, on_epoch), start)


def weights_at(run: Run, stage: TransferStage, base: Backbone, dense: int) -> dict[str, np.ndarray]:
    """What a run's layers above the boundary start the stage with: the base's, and what it has trained so far."""
    known = base.weights(stage.frozen, reused_count(run.spec, base))
    return known | {name: value for name, value in shift_layers(run.weights, -dense).items() if name not in known}


def shift_layers(weights: dict[str, np.ndarray], by: int) -> dict[str, np.ndarray]:
    """The weights with every hidden layer's number changed; what falls below 1 is left out.

    So is what was measured of a stage's inputs, and batch norm on the inputs where these are others.
    """
    moved = {}
    for name, value in weights.items():
        layer, what = name.split(".", 1)
        if layer.startswith("hidden"):
            number = int(layer.removeprefix("hidden")) + by
            if number >= 1:
                moved[f"hidden{number}.{what}"] = value
        elif layer != "input" or (by == 0 and name not in MEASURED):
            moved[name] = value
    return moved


class StageCallback:
    """Carries what happens in a stage over to the runs that it is a part of."""

    def __init__(
        self,
        runs: list[Run],
        stage: TransferStage,
        dense: int,
        base: Backbone,
        checkpoints: Sequence[Checkpoint],
        on_epoch: OnEpoch,
    ) -> None:
        self.runs, self.stage, self.dense, self.base, self.on_epoch = runs, stage, dense, base, on_epoch
        self.earlier = [(list(run.history), run.seconds) for run in runs]
        for run, made in zip(runs, checkpoints, strict=False):
            run.history += map(self.row, made.history)

    def __call__(self, trained: list[Run], take: TakeCheckpoints) -> None:
        """Take over each run's newest row of history, and what those that are over ended with."""
        for part in trained:
            run = self.runs[part.index]
            run.history.append(self.row(part.history[-1]))
            if part.status != "running":
                self.finish(run, part)
        self.on_epoch([self.runs[part.index] for part in trained], lambda: self.checkpoints(take()))

    def row(self, row: dict[str, object]) -> dict[str, object]:
        """A row of the stage as one of the run: counted from its start, with nothing to say of frozen layers."""
        blank = [float("nan")] * self.dense
        layers = {name: [*blank, *row[name]] for name in FIGURES if name in row}  # type: ignore[misc]
        return row | layers | {"epoch": int(str(row["epoch"])) + self.stage.first_epoch}

    def finish(self, run: Run, part: Run) -> None:
        """Take over what the stage ended with."""
        below = self.base.measured() | self.base.weights(0, self.dense)
        run.weights = below | shift_layers(part.weights, self.dense)
        run.kept_epoch = part.kept_epoch and part.kept_epoch + self.stage.first_epoch
        run.test = part.test if self.stage.last else {}
        run.seconds += part.seconds
        run.status = part.status if self.stage.last or part.status == "diverged" else "running"

    def checkpoints(self, parts: dict[int, Checkpoint]) -> dict[int, Checkpoint]:
        """The stage's checkpoints as those of the whole runs."""
        made = {}
        for index, part in parts.items():
            rows, seconds = self.earlier[index]
            made[self.runs[index].index] = replace(part, stage=self.stage.number, earlier=rows, earlier_seconds=seconds)
        return made
