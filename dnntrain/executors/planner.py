"""Which runs train together: runs of one graph share a population; populations are split to keep workers busy."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import NamedTuple, Self

from dnntrain.config.spec import RunSpec
from dnntrain.engine.network import layer_specs
from dnntrain.utils.memory import EVALUATION_ROWS, available

Specs = Sequence[RunSpec]

FIXED_SHARE = 0.05
"""Of a step's cost, what is there for any number of members: where it is less, more members bring no more."""

MEMORY_SHARE = 0.6
"""How much of the memory that is there populations may fill: the data and torch itself need some."""

COPIES_OF_WEIGHTS = 8
"""Weights, gradients, an optimizer's two moments, the best weights, a checkpoint on its way, and scratch."""

COPIES_OF_ACTIVATIONS = 4
"""Of each layer: before and after the nonlinearity, batch norm, the gradient."""

WORTHWHILE = 0.98
"""A population is cut for the sake of balance where all work then ends in at most this share of the time."""


@dataclass(frozen=True)
class StepCost:
    """The predicted seconds of a step: those of any number of members, and those of each member.

    From measurements of populations of 1 to 32 on one core with AVX-512; what counts is how they compare.
    """

    step: float
    member: float

    @classmethod
    def of(cls, spec: RunSpec) -> StepCost:
        """The price of a step of runs like this one."""
        size = NetworkSize.of(spec)
        dropout, normalized = spec.dropout is not None, spec.batch_norm is not None
        clipped = bool(spec.clipping or spec.regularizers)
        moments = len(spec.optimizer.remembers)
        layer = 32e-6 + 75e-6 * normalized + 45e-6 * dropout + 33e-6 * clipped + 20e-6 * moments
        # the backward pass has two products for each one of the forward pass
        products = 3 * spec.batch_size * size.flops / 120e9
        elements = spec.batch_size * size.units * (1.6e-9 + 3.4e-9 * normalized + 1.3e-9 * dropout)
        gradients = size.weights * (0.9e-9 * (clipped or moments > 0) + 1.5e-9 * moments)
        return cls(50e-6 + layer * size.layers, products + elements + gradients)

    @property
    def most_members(self) -> int:
        """How many members bring the fixed part down to its share."""
        return max(8, math.ceil(self.step / (FIXED_SHARE * self.member)))


class NetworkSize(NamedTuple):
    """What the cost of a network depends on."""

    layers: int
    """Layers with weights."""
    weights: int
    units: int
    """Numbers in one example and in the outputs of these layers."""
    flops: int
    """Of the forward pass of one example."""

    @classmethod
    def of(cls, spec: RunSpec) -> Self:
        """The size of a run's network."""
        info = spec.source.outline()
        layers = [layer for layer in layer_specs(spec, info.n_features, info.n_outputs) if layer.weights]
        return cls(
            layers=len(layers),
            weights=sum(layer.n_weights for layer in layers),
            units=info.n_features + sum(prod(layer.shape_out) for layer in layers),
            flops=sum(layer.flops for layer in layers),
        )


def cost(group: Specs, price: StepCost | None = None) -> float:
    """The predicted seconds of one population for every 1,000 images that it trains on; `price` where it is known."""
    price, epochs = price or StepCost.of(group[0]), [spec.epochs for spec in group]
    return 1000 / group[0].batch_size * (max(epochs) * price.step + sum(epochs) * price.member)


def populations(
    specs: Specs, workers: int, begun: Mapping[RunSpec, int] | None = None, accelerated: bool = False
) -> list[list[RunSpec]]:
    """The specs in populations, the dearest first; `begun` says how many epochs some were trained already.

    They are cut so that workers who take the next one when they are free end at about the same time. Which runs share
    a population never changes their numbers. An accelerator takes as many members at once as there is memory for;
    where its own is less, the worker tells, and what it was given is tried again in halves.
    """
    groups: dict[tuple[str, int], list[RunSpec]] = {}
    for spec in specs:
        groups.setdefault((spec.graph(), (begun or {}).get(spec, 0)), []).append(spec)
    room = (available() or math.inf) * MEMORY_SHARE / workers
    pieces = [piece for group in groups.values() for piece in split_group(group, room, accelerated)]
    return [list(piece.specs) for piece in balance(pieces, workers)]


@dataclass(frozen=True)
class RunBatch:
    """Runs that train together."""

    specs: Specs
    price: StepCost

    @property
    def cost(self) -> float:
        """Its predicted cost."""
        return cost(self.specs, self.price)

    def cuts(self) -> list[tuple[RunBatch, RunBatch]]:
        """All ways to cut it in two; the long runs are in the second part."""
        count = len(self.specs)
        return [(replace(self, specs=self.specs[:n]), replace(self, specs=self.specs[n:])) for n in range(1, count)]


@dataclass(frozen=True)
class CandidateSplit:
    """A piece of the worker who ends last, cut in two of which the first goes to the worker who ends first."""

    piece: RunBatch
    parts: tuple[RunBatch, RunBatch]
    end: float
    """When both have ended."""


def split_group(group: Specs, room: float = math.inf, accelerated: bool = False) -> list[RunBatch]:
    """The group cut into pieces of nearly equal size, none larger than pays or than there is room for, in bytes."""
    price = StepCost.of(group[0])
    pays = len(group) if accelerated else price.most_members
    most = max(1, int(min(pays, room / member_bytes(group[0]))))
    count = math.ceil(len(group) / most)
    bounds = [round(i * len(group) / count) for i in range(count + 1)]
    # long runs together, so that short ones do not wait in a population that has shrunk to one
    ordered = sorted(group, key=lambda spec: spec.epochs)
    return [RunBatch(ordered[a:b], price) for a, b in pairwise(bounds)]


def balance(pieces: Sequence[RunBatch], workers: int) -> list[RunBatch]:
    """The pieces, the dearest first, some of them cut as long as that lets the worker who ends last end sooner."""
    while True:
        pieces = sorted(pieces, key=lambda piece: piece.cost, reverse=True)
        loads = sorted(assign(pieces, workers), key=total)
        best = min(candidate_splits(loads[-1], loads[0]), key=lambda relief: relief.end, default=None)
        if best is None or best.end > WORTHWHILE * total(loads[-1]):
            return pieces
        pieces = [piece for piece in pieces if piece is not best.piece] + list(best.parts)


def candidate_splits(last: Sequence[RunBatch], first: Sequence[RunBatch]) -> Iterator[CandidateSplit]:
    """What the worker who ends last could leave to the one who ends first."""
    for piece in last:
        for given, kept in piece.cuts():
            end = max(total(last) - piece.cost + kept.cost, total(first) + given.cost)
            yield CandidateSplit(piece, (given, kept), end)


def assign(pieces: Sequence[RunBatch], workers: int) -> list[list[RunBatch]]:
    """What each worker trains if each takes the next piece when it is free."""
    loads: list[list[RunBatch]] = [[] for _ in range(workers)]
    free = [(0.0, worker) for worker in range(workers)]
    for piece in pieces:
        ends, worker = heapq.heappop(free)
        loads[worker].append(piece)
        heapq.heappush(free, (ends + piece.cost, worker))
    return loads


def total(load: Sequence[RunBatch]) -> float:
    """When a worker with this load ends."""
    return sum(piece.cost for piece in load)


def member_bytes(spec: RunSpec) -> int:
    """The memory that one member takes at most, estimated."""
    size, rows = NetworkSize.of(spec), max(spec.batch_size, EVALUATION_ROWS)
    return 4 * (COPIES_OF_WEIGHTS * size.weights + COPIES_OF_ACTIVATIONS * rows * size.units)
