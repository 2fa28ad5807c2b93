"""Which runs train together: runs of one graph share a population; populations are split to keep workers busy."""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import NamedTuple, Self

from dnntrain.config.spec import RunSpec
from dnntrain.engine.network import layer_specs
from dnntrain.nn.layer_spec import walk
from dnntrain.techniques.averaging import Averaging
from dnntrain.techniques.sam import SAM
from dnntrain.utils.memory import EVALUATION_ROWS, available, available_on

Specs = Sequence[RunSpec]

FIXED_SHARE = 0.05
"""The share of a step's cost that does not depend on the number of members. Below it, more members save nothing."""

MEMORY_SHARE = 0.6
"""The share of the free memory that populations may fill; the data and torch itself need the rest."""

COPIES_OF_WEIGHTS = 8
"""Weights, gradients, an optimizer's two moments, the best weights, a checkpoint being sent, and scratch space."""

COPIES_OF_AVERAGE = 2
"""The averaged weights, and their checkpoint being sent."""

COPIES_OF_ACTIVATIONS = 4
"""For each layer: before and after the activation, batch norm, and the gradient."""

PRICED_ON = "on a recent processor (up to four times that on an older or busy one)"
"""Where predicted seconds were measured: one core with AVX-512."""

WORTHWHILE = 0.98
"""A population is split for balance only if all work then takes at most this share of the time."""


@dataclass(frozen=True)
class StepCost:
    """The predicted cost of a training step, in seconds.

    Fitted to populations of 1 to 32 members on one core with AVX-512. Only the ratios matter.
    """

    step: float
    """The fixed part, for any number of members."""
    member: float
    """The part of each member."""
    least_members: int = 8
    """The number of members up to which they cost less together."""

    @classmethod
    def of(cls, spec: RunSpec) -> StepCost:
        """The cost of a step of runs like this one."""
        size = NetworkSize.of(spec)
        dropout, normalized = spec.dropout is not None, spec.norm is not None
        clipped = bool(spec.clipping or spec.regularizers)
        moments = len(spec.optimizer.remembers)
        layer = 32e-6 + 75e-6 * normalized + 45e-6 * dropout + 33e-6 * clipped + 20e-6 * moments
        # the backward pass has two products for each one of the forward pass
        products = 3 * spec.batch_size * (size.batched_flops / 120e9 + size.single_flops / 45e9)
        elements = spec.batch_size * size.units * (1.6e-9 + 3.4e-9 * normalized + 1.3e-9 * dropout)
        gradients = size.weights * (0.9e-9 * (clipped or moments > 0) + 1.5e-9 * moments)
        calls = 60e-6 * size.single_tensors
        least = 1 if size.single_tensors else 8
        passes = 1 + bool(spec.techniques(SAM))
        return cls(passes * (50e-6 + layer * size.layers), passes * (products + elements + gradients + calls), least)

    @property
    def most_members(self) -> int:
        """The number of members at which the fixed part is small enough."""
        return max(self.least_members, math.ceil(self.step / (FIXED_SHARE * self.member)))


class NetworkSize(NamedTuple):
    """What the cost of a network depends on."""

    layers: int
    """Layers with weights."""
    weights: int
    units: int
    """Numbers in one example and in the outputs of these layers."""
    activations: int
    """Numbers that the forward pass makes for one example, the inputs included."""
    batched_flops: int
    """Of the forward pass of one example, in layers that all members pass at once."""
    single_flops: int
    """Of the forward pass of one example, in layers that members pass one after the other."""
    single_tensors: int
    """Parameter tensors of those layers."""
    n_parameters: int

    @property
    def flops(self) -> int:
        """Of the forward pass of one example."""
        return self.batched_flops + self.single_flops

    @classmethod
    def of(cls, spec: RunSpec) -> Self:
        """The size of a run's network."""
        info = spec.source.outline()
        every = list(walk(layer_specs(spec, info)))
        layers = [layer for layer in every if layer.weights]
        single = [layer for layer in every if layer.one_by_one]
        return cls(
            layers=len(layers),
            weights=sum(layer.n_weights for layer in layers),
            units=info.n_features + sum(prod(layer.shape_out) for layer in layers),
            activations=info.n_features + sum(layer.activations for layer in every),
            batched_flops=sum(layer.flops for layer in layers if not layer.one_by_one),
            single_flops=sum(layer.flops for layer in single),
            single_tensors=sum(len(layer.parameters) for layer in single),
            n_parameters=sum(layer.n_parameters for layer in every),
        )


def cost(group: Specs, price: StepCost | None = None) -> float:
    """The predicted seconds that one population takes per 1,000 training examples.

    Args:
        group: The population's runs.
        price: The cost of its steps, if it is known already.
    """
    price, epochs = price or StepCost.of(group[0]), [spec.epochs for spec in group]
    return 1000 / group[0].batch_size * (max(epochs) * price.step + sum(epochs) * price.member)


def populations(
    specs: Specs, workers: int, trained_epochs: Mapping[RunSpec, int] | None = None, gpus: Collection[str] | None = None
) -> list[list[RunSpec]]:
    """Group runs into populations, the most expensive first.

    Groups are split so that all workers finish at about the same time. Which runs share a population never changes
    their numbers.

    Args:
        specs: The runs.
        workers: How many populations train at the same time.
        trained_epochs: How many epochs some of the runs have been trained before; only equals can train together.
        gpus: Names of the GPUs that train them, as in $CUDA_VISIBLE_DEVICES; empty for another accelerator, None for
            CPUs. An accelerator takes as many members at once as fit into its memory and the host's. If a GPU's is not
            known, a population that is too large for it fails, and is tried again in halves.
    """
    groups: dict[tuple[str, int], list[RunSpec]] = {}
    for spec in specs:
        groups.setdefault((spec.graph(), (trained_epochs or {}).get(spec, 0)), []).append(spec)
    room = MEMORY_SHARE * memory_of_worker(workers, gpus or ())
    batches = [batch for group in groups.values() for batch in split_group(group, room, gpus is not None)]
    return [list(batch.specs) for batch in balance(batches, workers)]


def memory_of_worker(workers: int, gpus: Collection[str] = ()) -> float:
    """The free memory that one of the workers may use, in bytes: of the machine, and of its GPU if that has less."""
    on_host = (available() or math.inf) / workers
    on_gpu = available_on(gpus)
    return on_host if on_gpu is None else min(on_host, on_gpu / math.ceil(workers / len(gpus)))


def predicted_seconds(specs: Specs, workers: int, n_train: int, n_evaluated: int) -> float:
    """A rough prediction of how long some runs take, without starting up and testing.

    Args:
        specs: The runs.
        workers: How many populations train at the same time.
        n_train: Training examples of each run.
        n_evaluated: Validation examples of each run.
    """
    batches = [RunBatch(group, StepCost.of(group[0])) for group in populations(specs, workers)]
    thousands = (n_train + n_evaluated / 3) / 1000  # the forward pass is a third of a step
    return thousands * max(map(total, assign(batches, workers)))


def predicted_bytes(specs: Specs, workers: int) -> int:
    """An upper estimate of the memory that the populations fill at the same time, without the data and libraries.

    Args:
        specs: The runs.
        workers: How many populations train at the same time.
    """
    sizes = sorted((len(group) * member_bytes(group[0]) for group in populations(specs, workers)), reverse=True)
    return sum(sizes[:workers])


@dataclass(frozen=True)
class RunBatch:
    """Runs that train together."""

    specs: Specs
    price: StepCost

    @property
    def cost(self) -> float:
        """Its predicted cost."""
        return cost(self.specs, self.price)

    def splits(self) -> list[tuple[RunBatch, RunBatch]]:
        """All ways to split it in two. The second part has the runs with the most epochs."""
        count = len(self.specs)
        return [(replace(self, specs=self.specs[:n]), replace(self, specs=self.specs[n:])) for n in range(1, count)]


@dataclass(frozen=True)
class CandidateSplit:
    """A batch of the worker that finishes last, split in two; the first part moves to the first worker to finish."""

    batch: RunBatch
    parts: tuple[RunBatch, RunBatch]
    end: float
    """When both workers have finished."""


def split_group(group: Specs, room: float = math.inf, accelerated: bool = False) -> list[RunBatch]:
    """Split a group into batches of nearly equal size.

    Args:
        group: Runs of one graph.
        room: The memory for one population, in bytes.
        accelerated: Whether a GPU trains them. On a CPU larger populations soon stop being faster.
    """
    price = StepCost.of(group[0])
    worthwhile = len(group) if accelerated else price.most_members
    most = max(1, int(min(worthwhile, room / member_bytes(group[0]))))
    count = math.ceil(len(group) / most)
    bounds = [round(i * len(group) / count) for i in range(count + 1)]
    # runs with many epochs train together, so that a population does not shrink to a single run early on
    ordered = sorted(group, key=lambda spec: spec.epochs)
    return [RunBatch(ordered[a:b], price) for a, b in pairwise(bounds)]


def balance(batches: Sequence[RunBatch], workers: int) -> list[RunBatch]:
    """Sort batches by cost, the most expensive first, and split some while that makes the last worker finish sooner."""
    while True:
        batches = sorted(batches, key=lambda batch: batch.cost, reverse=True)
        loads = sorted(assign(batches, workers), key=total)
        best = min(candidate_splits(loads[-1], loads[0]), key=lambda split: split.end, default=None)
        if best is None or best.end > WORTHWHILE * total(loads[-1]):
            return batches
        batches = [batch for batch in batches if batch is not best.batch] + list(best.parts)


def candidate_splits(last: Sequence[RunBatch], first: Sequence[RunBatch]) -> Iterator[CandidateSplit]:
    """The ways in which the worker that finishes last could pass part of a batch to the one that finishes first."""
    for batch in last:
        for moved, remaining in batch.splits():
            end = max(total(last) - batch.cost + remaining.cost, total(first) + moved.cost)
            yield CandidateSplit(batch, (moved, remaining), end)


def assign(batches: Sequence[RunBatch], workers: int) -> list[list[RunBatch]]:
    """The batches of each worker, if a worker takes the next one whenever it is free."""
    loads: list[list[RunBatch]] = [[] for _ in range(workers)]
    free = [(0.0, worker) for worker in range(workers)]
    for batch in batches:
        end, worker = heapq.heappop(free)
        loads[worker].append(batch)
        heapq.heappush(free, (end + batch.cost, worker))
    return loads


def total(load: Sequence[RunBatch]) -> float:
    """When a worker with these batches finishes."""
    return sum(batch.cost for batch in load)


def member_bytes(spec: RunSpec) -> int:
    """An upper estimate of the memory that one member takes."""
    size, rows = NetworkSize.of(spec), max(spec.batch_size, EVALUATION_ROWS)
    if size.single_tensors:  # smaller evaluation batches, and maps of every size
        rows, activations = spec.batch_size, size.activations
    else:
        activations = size.units
    copies = COPIES_OF_WEIGHTS + COPIES_OF_AVERAGE * bool(spec.techniques(Averaging))
    return 4 * (copies * size.weights + COPIES_OF_ACTIVATIONS * rows * activations)
