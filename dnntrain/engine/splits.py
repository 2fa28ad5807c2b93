"""Which examples each member trains and validates on, and in which order: drawn for P members at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.data.balance import absent_notes
from dnntrain.data.split import split
from dnntrain.nn.random import generator
from dnntrain.utils.threads import in_threads

Splits = Sequence[tuple[np.ndarray, np.ndarray]]
"""Each member's training and validation examples, as indices."""


class SplitBy(NamedTuple):
    """All that a run's split depends on."""

    val: float
    train_size: int | None
    val_from: str
    seed: int

    @classmethod
    def of(cls, spec: RunSpec) -> Self:
        """That of a run. Only a subset is drawn, so without one the seed does not matter."""
        is_drawn = spec.train_size is not None and spec.subset != "shared"
        return cls(spec.val, spec.train_size, spec.val_from, spec.stream_seed if is_drawn else 0)


def splits_of(dataset: Dataset, specs: Sequence[RunSpec], threads: int = 1) -> Splits:
    """Each run's training and validation examples. Runs that split the data alike share the arrays."""

    def divide(by: SplitBy) -> tuple[np.ndarray, np.ndarray]:
        stream = generator(by.seed, "split")
        return split(dataset, by.val, by.train_size, stream, first=by.val_from == "first")

    wanted = [SplitBy.of(spec) for spec in specs]
    distinct = dict.fromkeys(wanted)
    found = dict(zip(distinct, in_threads(divide, distinct, threads), strict=True))
    return [found[by] for by in wanted]


def validation_notes(dataset: Dataset, spec: RunSpec) -> list[str]:
    """Notes on the classes that a run's settings leave without training or validation examples.

    There are none where the data have a validation part of their own, which the data set's own notes speak of, or where
    the run trains on a sample, whose size says what to expect.
    """
    if not dataset.classes or dataset.n_validation or spec.train_size is not None:
        return []
    ((train, validation),) = splits_of(dataset, [spec])
    parts = {"training": dataset.train_targets[train], "validation": dataset.train_targets[validation]}
    return [note for note in absent_notes(dataset, parts) if note not in dataset.notes]


def training_indices(splits: Splits) -> np.ndarray:
    """Each member's training examples, (P, n). They are stored once, and read-only, where all members share them."""
    first = splits[0][0]
    if all(train is first for train, _ in splits):
        return np.broadcast_to(first, (len(splits), len(first)))
    return np.stack([train for train, _ in splits])


def are_shared(indices: np.ndarray) -> bool:
    """Whether all members have the same training examples, (P, n)."""
    return indices.strides[0] == 0 or all(np.array_equal(row, indices[0]) for row in indices[1:])


def epoch_orders(indices: np.ndarray, seeds: Sequence[int], epoch: int, threads: int = 1) -> np.ndarray:
    """Each member's training examples in the order of an epoch (0-based), int32 (P, n).

    Members of one seed that have the same examples also have them in the same order, which is drawn once.

    Args:
        indices: Each member's training examples, (P, n).
        seeds: The seed of each member's random streams.
        epoch: The epoch, whose draw is one of its own.
        threads: How many threads draw. Each member has a stream of its own, so their number changes no bit.
    """
    orders = np.empty(indices.shape, np.int32)
    first: dict[int, int] = {}
    leaders = [first.setdefault(seed, m) for m, seed in enumerate(seeds)]
    shared = are_shared(indices)
    drawn = [m for m, leader in enumerate(leaders) if m == leader or not shared]

    def draw(member: int) -> None:
        orders[member] = indices[member]
        generator(seeds[member], "shuffle", epoch).shuffle(orders[member])

    in_threads(draw, drawn, threads)
    if shared:
        copies = [m for m, leader in enumerate(leaders) if m != leader]
        orders[copies] = orders[[leaders[m] for m in copies]]
    return orders
