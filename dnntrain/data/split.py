"""The split into training and validation examples, and the number of batches per epoch."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.copies import boundary_between_copies
from dnntrain.data.dataset import Dataset
from dnntrain.errors import InputError


def validation_count(val: float | int, n: int) -> int:
    """The number of validation examples.

    Args:
        val: A fraction below 1, or a count.
        n: The number of examples to split.

    Raises:
        InputError: `val` is neither a fraction nor a count, or a part would be empty.
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
    """The number of training examples: `train_size`, or all that `val` leaves of `n`.

    Raises:
        InputError: A part would be empty, or `train_size` is more than is left.
    """
    available = n - validation_count(val, n)
    if train_size is not None and not 1 <= train_size <= available:
        bound = f"must be from 1 to {available}, the training examples that val = {val:g} leaves of {n}"
        raise InputError(f"train_size = {train_size}: {bound}")
    return available if train_size is None else train_size


def batch_counts(examples: int, batch_size: int) -> tuple[int, int]:
    """The number of full mini-batches per epoch, and the size of the last one (0 if all are full).

    A single leftover example joins the previous batch: batch norm needs more than one row, and all arms should take
    the same number of steps.
    """
    full, last = divmod(examples, batch_size)
    return (full - 1, batch_size + 1) if last == 1 and full and batch_size > 1 else (full, last)


def batch_count(examples: int, batch_size: int) -> int:
    """The number of mini-batches per epoch, including the last one."""
    full, last = batch_counts(examples, batch_size)
    return full + (last > 0)


def step_count(batches: int, batches_per_step: int) -> int:
    """The number of optimizer steps per epoch, the last of which may have fewer mini-batches."""
    return -(-batches // batches_per_step)


def split(
    dataset: Dataset, val: float | int, train_size: int | None, rng: np.random.Generator, *, first: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split a data set (`split_indices`), by its own validation part if it has one, unstratified for regression.

    A boundary between copies of one example moves to the nearest end of the copies.
    """
    targets = dataset.train_targets
    labels = targets if dataset.classes else np.zeros(len(targets))
    if dataset.n_validation:
        val, first = dataset.n_validation, False
    else:
        count = validation_count(val, len(labels))
        boundary = boundary_between_copies(dataset.train_inputs, targets, count if first else len(labels) - count)
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
    """Split examples into training and validation, without shuffling, as Keras's `validation_split` does.

    Args:
        labels: Class numbers, (N,).
        val: The fraction or the number of validation examples, the last ones.
        train_size: The number of training examples, a stratified random subset of the rest; all of it if None.
        rng: Draws the subset.
        first: Validate on the first examples instead of the last.

    Returns:
        Sorted int64 indices of the training examples, (T,), and of the validation examples, (V,).

    Raises:
        InputError: A part would be empty, or `train_size` is more than is left.
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
    """Sorted indices of a random subset in which each class has its share."""
    counts = np.bincount(labels)
    order = np.lexsort((rng.random(len(labels)), labels))  # class by class, shuffled within each
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)  # 0, 1, 2, ... in each class
    return np.sort(order[rank < np.repeat(_quotas(counts, size), counts)])


def _quotas(counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Apportion `size` in proportion to `counts` by largest remainders; the lower class wins a tie.

    Integer arithmetic keeps it exact. No class gets more than it has, since only fractional shares are rounded up.
    """
    quotas, remainders = np.divmod(size * counts, counts.sum())
    remaining = size - quotas.sum()
    quotas[np.argsort(-remainders, kind="stable")[:remaining]] += 1
    return quotas
