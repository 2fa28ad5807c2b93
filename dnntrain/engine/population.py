"""The runs that train together, and everything of theirs that has the axis P."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import BatchSource, Splits
from dnntrain.engine.network import LayerSpecs, Network, initialize, layer_specs
from dnntrain.engine.run import Run
from dnntrain.errors import InputError
from dnntrain.metrics import VAL_LOSS
from dnntrain.nn.layer import Tensors
from dnntrain.store.checkpoint import Checkpoint
from dnntrain.techniques.base import Switch, select, stack
from dnntrain.techniques.clipping import Clipping
from dnntrain.techniques.optimizers import State
from dnntrain.techniques.regularization import WeightRegularizer
from dnntrain.techniques.schedules import ScheduleContext, learning_rates

S = TypeVar("S", bound=Switch)


@dataclass(frozen=True)
class StartState:
    """Where a population starts from, if not from new weights."""

    weights: Sequence[Mapping[str, np.ndarray]] = ()
    """Each member's parameters and buffers that are not new, by name, without the axis P."""
    layers: Sequence[LayerSpecs] = ()
    """Each member's layers, from the lowest, if not those that its spec describes."""
    splits: Splits | None = None
    """The examples of each member, where its spec does not say which."""
    fitted_targets: np.ndarray | None = None
    """The targets of the whole training part, where the data set has only some of its rows."""
    epochs: int = 0
    """Epochs that it was trained before: its random streams go on from there."""
    checkpoints: Sequence[Checkpoint] = ()
    """Where each member was in this very training when that was cut off."""


@dataclass
class Population:
    """The runs that are still training."""

    runs: list[Run]
    network: Network
    inputs: BatchSource
    states: dict[str, State]
    """What the optimizer remembers of each parameter."""
    best: Tensors
    """The weights to keep of each member, where early stopping restores them."""
    clipping: Clipping | None
    rules: list[WeightRegularizer]
    begun: StartState
    steps: int = 0
    """Steps taken so far."""

    @classmethod
    def start(cls, runs: list[Run], dataset: Dataset, device: torch.device, start: StartState) -> Population:
        """The population before its first step."""
        specs = [run.spec for run in runs]
        n_features, n_outputs = dataset.outline.n_features, specs[0].n_outputs(dataset.outline)
        layers = start.layers or [layer_specs(spec, n_features, n_outputs) for spec in specs]
        if layers[0][-1].shape_out != (n_outputs,):
            raise InputError(f"the last layer's shape is {layers[0][-1].shape_out}; the data need ({n_outputs},)")
        inputs = BatchSource(dataset, specs, device, start.splits, start.fitted_targets, layers[0])
        network = initialize(specs, layers, device, start.weights)
        states = {name: specs[0].optimizer.state(p) for name, p in network.parameters.items()}
        restores = any(spec.early_stopping and spec.early_stopping.restore for spec in specs)
        best = {name: t.clone() for name, t in network.state().items()} if restores else {}
        clipping, rules = stacked(specs, Clipping, device), stacked(specs, WeightRegularizer, device)
        population = cls(runs, network, inputs, states, best, next(iter(clipping), None), rules, start)
        if start.checkpoints:
            population.restore(start.checkpoints)
        return population

    @property
    def seeds(self) -> list[int]:
        """Each member's seed."""
        return [run.spec.seed for run in self.runs]

    def learning_rates(self, epoch: int) -> torch.Tensor:
        """Each member's learning rate at each step of the epoch (0-based), float32 (steps, P)."""
        steps = self.inputs.steps_per_epoch
        rates = []
        for run in self.runs:
            clock = ScheduleContext(steps, run.spec.epochs * steps, run.values(VAL_LOSS))
            rates.append(learning_rates(run.spec.lr, run.spec.schedule, run.spec.warmup, epoch, clock))
        return torch.from_numpy(np.stack(rates, axis=1).astype(np.float32)).to(self.inputs.device)

    def update_best(self) -> None:
        """Note the weights of the members that have just improved, where early stopping asks for it."""
        improved = []
        for m, run in enumerate(self.runs):
            stop = run.spec.early_stopping
            if stop is None or not stop.restore:
                run.kept_epoch = 0 if run.status == "diverged" else len(run.history)
            elif run.status == "diverged":
                continue
            elif stop.improvements(run.values(stop.metric))[-1:] == [len(run.history) - 1]:
                run.kept_epoch = len(run.history)
                improved.append(m)
        if improved and self.best:
            index = torch.tensor(improved, device=self.inputs.device)
            for name, tensor in self.network.state().items():
                self.best[name][index] = tensor[index]

    def best_network(self, members: list[int]) -> Network:
        """The networks of some members with the weights that they keep."""
        network = self.network.select(torch.tensor(members, device=self.inputs.device))
        for k, m in enumerate(members):
            stop = self.runs[m].spec.early_stopping
            if stop and stop.restore and self.runs[m].kept_epoch:
                for name, tensor in network.state().items():
                    tensor[k] = self.best[name][m]
        return network

    def tensors(self) -> Tensors:
        """All that training changes, by name; the storage is shared."""
        now = {f"now.{name}": tensor for name, tensor in self.network.state().items()}
        best = {f"best.{name}": tensor for name, tensor in self.best.items()}
        states = {f"optimizer.{k}.{name}": t for k, state in self.states.items() for name, t in state.items()}
        return now | best | states

    def checkpoints(self) -> dict[int, Checkpoint]:
        """Each run that is still training as it is between two epochs, by its index."""
        arrays = {name: tensor.cpu().numpy() for name, tensor in self.tensors().items()} if self.runs else {}
        return {
            run.index: Checkpoint(
                list(run.history), run.kept_epoch, run.seconds, {k: a[m].copy() for k, a in arrays.items()}
            )
            for m, run in enumerate(self.runs)
        }

    def restore(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Be what the checkpoints, one for each member, say; all are of the same epoch."""
        for run, made in zip(self.runs, checkpoints, strict=True):
            run.history, run.kept_epoch, run.seconds = list(made.history), made.kept_epoch, made.seconds
        for name, tensor in self.tensors().items():
            tensor.copy_(torch.from_numpy(np.stack([made.tensors[name] for made in checkpoints])))
        self.steps = len(checkpoints[0].history) * self.inputs.steps_per_epoch

    def select(self, members: list[int]) -> None:
        """Go on with these members only: what is computed for each does not change."""
        self.runs = [self.runs[m] for m in members]
        if not members:
            return
        index = torch.tensor(members, device=self.inputs.device)
        self.network = self.network.select(index)
        self.inputs = self.inputs.select(members)
        self.states = {k: {n: t[index] for n, t in state.items()} for k, state in self.states.items()}
        self.best = {k: t[index] for k, t in self.best.items()}
        self.clipping = self.clipping and select(self.clipping, index)
        self.rules = [select(rule, index) for rule in self.rules]


def stacked(specs: Sequence[RunSpec], family: type[S], device: torch.device) -> list[S]:
    """The family's techniques that the specs have on (the same for all), each with its values for every member."""
    return [stack(members, device) for members in zip(*(spec.techniques(family) for spec in specs), strict=True)]
