"""The runs that train together, and all their tensors with the axis P."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import BatchSource
from dnntrain.engine.evaluation import check_watched_metrics, constant_metrics
from dnntrain.engine.network import LayerSpecs, Network, initialize, member_layers
from dnntrain.engine.probe import RunProbes
from dnntrain.engine.run import Run
from dnntrain.engine.splits import Splits
from dnntrain.errors import InputError
from dnntrain.nn.layer import Tensors
from dnntrain.nn.layer_spec import ParameterRole, parameter_roles
from dnntrain.nn.precision import set_float32_precision
from dnntrain.store.checkpoint import Checkpoint
from dnntrain.techniques.averaging import Averaging
from dnntrain.techniques.base import Switch, select, stack
from dnntrain.techniques.centralization import GradientCentralization
from dnntrain.techniques.clipping import Clipping
from dnntrain.techniques.optimizers.base import Optimizer, State
from dnntrain.techniques.regularization import WeightRegularizer
from dnntrain.techniques.sam import SAM

S = TypeVar("S", bound=Switch)


@dataclass(frozen=True)
class StartState:
    """What a population starts from. By default its specs say everything."""

    weights: Sequence[Mapping[str, np.ndarray]] = ()
    """Each member's known parameters and buffers, by name, without the axis P; the others are drawn."""
    layers: Sequence[LayerSpecs] = ()
    """Each member's layers, from the lowest; by default the dense network that its spec describes."""
    splits: Splits | None = None
    """Each member's training and validation examples; by default the split that its spec describes."""
    fitted_targets: np.ndarray | None = None
    """The targets of the full training part, if the data set holds only some of its rows."""
    epochs: int = 0
    """Epochs trained in earlier stages: the random streams continue from there."""
    checkpoints: Sequence[Checkpoint] = ()
    """Each member's checkpoint of this training, to resume it."""


@dataclass(frozen=True)
class ParameterUpdate:
    """How one parameter is updated."""

    role: ParameterRole
    optimizer: Optimizer
    lr: float | None
    """Its own base learning rate; None for each run's."""


@dataclass
class Population:
    """The runs that are still training."""

    runs: list[Run]
    network: Network
    inputs: BatchSource
    updates: dict[str, ParameterUpdate]
    """How each parameter is updated."""
    states: dict[str, State]
    """The optimizer's state for each parameter."""
    averaged: Network | None
    """The network with averaged weights; None if nothing is averaged."""
    resets: bool
    """Whether training goes on from the averaged weights each time that they have moved."""
    best: Tensors
    """Each member's best weights so far; empty if no member keeps its best epoch."""
    centralization: GradientCentralization | None
    clipping: Clipping | None
    sam: SAM | None
    rules: list[WeightRegularizer]
    start_state: StartState
    steps: int = 0
    """Steps taken so far."""

    @classmethod
    def start(cls, runs: list[Run], dataset: Dataset, device: torch.device, start: StartState) -> Self:
        """The population before its first step."""
        specs = [run.spec for run in runs]
        set_float32_precision(specs[0].precision, device)
        n_outputs = specs[0].n_outputs(dataset.outline)
        layers = start.layers or member_layers(specs, dataset.outline)
        if layers[0][-1].shape_out != (n_outputs,):
            raise InputError(f"the last layer's shape is {layers[0][-1].shape_out}; the data need ({n_outputs},)")
        inputs = BatchSource(dataset, specs, device, start.splits, start.fitted_targets, layers[0])
        check_watched_metrics(inputs, specs)
        for run, values in zip(runs, constant_metrics(inputs), strict=True):
            run.constant, run.target_info = values, inputs.target_info["train"]
        network = initialize(specs, layers, device, start.weights)
        updates = {
            name: ParameterUpdate(role, specs[0].optimizer.for_parameter(role), specs[0].optimizer.own_lr(role))
            for name, role in parameter_roles(layers[0]).items()
        }
        states = {name: updates[name].optimizer.state(p) for name, p in network.parameters.items()}
        everyone = torch.arange(len(specs), device=device)
        averages = specs[0].techniques(Averaging)
        averaged = network.select(everyone) if averages or specs[0].optimizer.averages else None
        resets = any(averaging.resets for averaging in averages)
        best = {name: t.clone() for name, t in network.state().items()} if any(s.best_epoch for s in specs) else {}
        centralization = next(iter(specs[0].techniques(GradientCentralization)), None)
        clipping = next(iter(stacked(specs, Clipping, device)), None)
        sam, rules = next(iter(stacked(specs, SAM, device)), None), stacked(specs, WeightRegularizer, device)
        population = cls(
            runs, network, inputs, updates, states, averaged, resets, best, centralization, clipping, sam, rules, start
        )
        if start.checkpoints:
            population.restore(start.checkpoints)
        return population

    @property
    def seeds(self) -> list[int]:
        """The seed of each member's random streams."""
        return [run.spec.stream_seed for run in self.runs]

    def evaluated_network(self) -> Network:
        """The network that is validated, kept and tested: the averaged one if there is one."""
        return self.averaged or self.network

    def update_best(self) -> None:
        """Copy the weights of the members that keep their best epoch and have just improved."""
        improved = []
        for m, run in enumerate(self.runs):
            best_epoch = run.spec.best_epoch
            if best_epoch is None:
                run.kept_epoch = 0 if run.status == "diverged" else len(run.history)
            elif run.status == "diverged":
                continue
            elif best_epoch.improvements(run.values(best_epoch.metric))[-1:] == [len(run.history) - 1]:
                run.kept_epoch = len(run.history)
                improved.append(m)
        if improved and self.best:
            index = torch.tensor(improved, device=self.inputs.device)
            for name, tensor in self.evaluated_network().state().items():
                self.best[name][index] = tensor[index]

    def best_network(self, members: list[int]) -> Network:
        """The network of some members, with the weights that they keep."""
        network = self.evaluated_network().select(torch.tensor(members, device=self.inputs.device))
        for k, m in enumerate(members):
            if self.runs[m].spec.best_epoch and self.runs[m].kept_epoch:
                for name, tensor in network.state().items():
                    tensor[k] = self.best[name][m]
        return network

    def tensors(self) -> Tensors:
        """All tensors that training changes, by name; the storage is shared."""
        now = {f"now.{name}": tensor for name, tensor in self.network.state().items()}
        average = {f"average.{name}": tensor for name, tensor in self.averaged.state().items()} if self.averaged else {}
        best = {f"best.{name}": tensor for name, tensor in self.best.items()}
        states = {f"optimizer.{k}.{name}": t for k, state in self.states.items() for name, t in state.items()}
        return now | average | best | states

    def checkpoints(self) -> dict[int, Checkpoint]:
        """A checkpoint of each run that is still training, by the run's index."""
        arrays = {name: tensor.cpu().numpy() for name, tensor in self.tensors().items()} if self.runs else {}
        return {
            run.index: Checkpoint(
                list(run.history),
                run.kept_epoch,
                run.seconds,
                # a module's buffers may have shape (), and then `a[m]` is a scalar and not an array
                {k: np.array(a[m]) for k, a in arrays.items()},
                probes=run.probes.content(),
                cpu_seconds=run.cpu_seconds,
            )
            for m, run in enumerate(self.runs)
        }

    def restore(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Continue from the checkpoints, one for each member, all of the same epoch."""
        for run, point in zip(self.runs, checkpoints, strict=True):
            run.history, run.kept_epoch = list(point.history), point.kept_epoch
            run.seconds, run.cpu_seconds = point.seconds, point.cpu_seconds
            steps = len(point.history) * self.inputs.steps_per_epoch  # all finite, since the run went on
            run.probes = RunProbes(**(point.probes or {"finite_steps": steps}))
        for name, tensor in self.tensors().items():
            now = name.replace("best.", "now.", 1)  # stands for the best weights of a member that does not keep them
            members = [point.tensors[name if name in point.tensors else now] for point in checkpoints]
            tensor.copy_(torch.from_numpy(np.stack(members)))
        self.steps = len(checkpoints[0].history) * self.inputs.steps_per_epoch

    def select(self, members: list[int]) -> None:
        """Continue with these members only; their numbers do not change."""
        self.runs = [self.runs[m] for m in members]
        if not members:
            return
        index = torch.tensor(members, device=self.inputs.device)
        self.network = self.network.select(index)
        self.averaged = self.averaged and self.averaged.select(index)
        self.inputs = self.inputs.select(members)
        self.states = {k: {n: t[index] for n, t in state.items()} for k, state in self.states.items()}
        self.best = {k: t[index] for k, t in self.best.items()}
        self.clipping = self.clipping and select(self.clipping, index)
        self.sam = self.sam and select(self.sam, index)
        self.rules = [select(rule, index) for rule in self.rules]


def stacked(specs: Sequence[RunSpec], family: type[S], device: torch.device) -> list[S]:
    """The family's switches that are on (the same in all specs), each with its values of all members."""
    return [stack(members, device) for members in zip(*(spec.techniques(family) for spec in specs), strict=True)]
