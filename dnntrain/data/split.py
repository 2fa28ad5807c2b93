"""Which examples train and which validate, and how many batches an epoch has: pure functions on numbers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.copies import between_copies
from dnntrain.data.dataset import Dataset
from dnntrain.errors import InputError


def validation_count(val: float | int, n: int) -> int:
    """How many of `n` training examples validate: `val` of them if it is a count, `val` · n, rounded, if below 1.

    Raises InputError where it is neither, or where one of the two parts would be empty.
    """
    if not (math.isfinite(val) and val > 0) or (val > 1 and val != int(val)):
        raise InputError(f"val = {val:g}: must be a fraction between 0 and 1 or a count of examples")
    count = round(val * n) if val < 1 else int(val)
    if count < 1:
        raise InputError(f"val = {val:g}: less than one of {n} examples; must give at least 1")
    if count >= n:
        raise InputError(f"val = {val:g}: leaves no training example; must be at most {n - 1} of {n} examples")
    return count


def training_count(val: float | int, train_size: int | None, n: int) -> int:
    """How many of `n` examples train: all that `val` leaves, or `train_size` of them.

    Raises InputError where a part would be empty or `train_size` is more than there is.
    """
    available = n - validation_count(val, n)
    if train_size is not None and not 1 <= train_size <= available:
        bound = f"must be from 1 to {available}, the training examples that val = {val:g} leaves of {n}"
        raise InputError(f"train_size = {train_size}: {bound}")
    return available if train_size is None else train_size


def batch_counts(examples: int, batch_size: int) -> tuple[int, int]:
    """How many full mini-batches an epoch has, and how many examples the last one has (0 where all are full).

    A single leftover example joins the batch before it, since batch norm can learn nothing from one row and all arms
    should take the same steps.
    """
    full, last = divmod(examples, batch_size)
    return (full - 1, batch_size + 1) if last == 1 and full and batch_size > 1 else (full, last)


def step_count(examples: int, batch_size: int) -> int:
    """How many mini-batches an epoch has, the last one included."""
    full, last = batch_counts(examples, batch_size)
    return full + (last > 0)


def split(
    dataset: Dataset, val: float | int, train_size: int | None, rng: np.random.Generator, *, first: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`split_indices` of a data set: by its own validation part where it has one, unstratified for numbers.

    Where the boundary would fall between copies of one example, it moves to the nearest end of theirs.
    """
    targets = dataset.train_targets
    labels = targets if dataset.classes else np.zeros(len(targets))
    if dataset.n_validation:
        val, first = dataset.n_validation, False
    else:
        count = validation_count(val, len(labels))
        boundary = between_copies(dataset.train_inputs, targets, count if first else len(labels) - count)
        val = boundary if first else len(labels) - boundary
    return split_indices(labels.astype(np.int64), val, train_size, rng, first=first)


def split_indices(
    labels: NDArray[np.int64],
    val: float | int,
    train_size: int | None,
    rng: np.random.Generator,
    *,
    first: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sorted indices, int64, of the examples that train, (T,), and of those that validate, (V,).

    The last `val` (see validation_count) of the `labels`, (N,), validate, unshuffled, as Keras has it, or the `first`;
    the rest trains: all of it, or a stratified part of `train_size` examples drawn with `rng`.
    Raises InputError where a part would be empty or `train_size` is more than there is.
    """
    size = training_count(val, train_size, len(labels))
    count = validation_count(val, len(labels))
    available = len(labels) - count
    begin = count if first else 0
    validation = np.arange(count) if first else np.arange(available, len(labels))
    if train_size is None:
        return np.arange(begin, begin + size), validation
    return begin + _stratified(labels[begin : begin + available], train_size, rng), validation


def _stratified(labels: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Sorted indices of `size` of the `labels`, each class with its share of them, drawn at random within a class."""
    counts = np.bincount(labels)
    order = np.lexsort((rng.random(len(labels)), labels))  # class by class, shuffled within each
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)  # 0, 1, 2, ... in each class
    return np.sort(order[rank < np.repeat(_quotas(counts, size), counts)])


def _quotas(counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """`size` shared out in proportion to `counts` by largest remainder; of equal remainders, the lower class first.

    In whole numbers, so exact. No class gets more than it has: only one with a remainder, so with a share below its
    count, is rounded up.
    """
    quotas, remainders = np.divmod(size * counts, counts.sum())
    left = size - quotas.sum()
    quotas[np.argsort(-remainders, kind="stable")[:left]] += 1
    return quotas
