"""Copies: examples with equal inputs. They belong in the same part, or the test would measure what was memorized."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.dataset import counted

Rows = NDArray[np.int64]

CHUNK = 4096
"""Examples that are copied in memory at a time; of each, a digest of 128 bits is kept."""

FEWEST = 10
"""With fewer distinct inputs, copies are not kept in one part, since most parts would lack most inputs."""


def copy_groups(inputs: NDArray[Any]) -> Rows:
    """For each example of inputs (N, ...), the index of the first one that equals it: (N,).

    0.0 equals -0.0, and nan, a missing value, equals nan.
    """
    flat = inputs.reshape(len(inputs), -1)
    digests = []
    for start in range(0, len(flat), CHUNK):
        chunk = np.ascontiguousarray(flat[start : start + CHUNK])
        if chunk.dtype.kind == "f":
            chunk = np.where(np.isnan(chunk), np.nan, chunk + 0.0).astype(chunk.dtype)
        digests += [blake2b(row, digest_size=16).digest() for row in chunk]
    _, first, inverse = np.unique(np.frombuffer(b"".join(digests), "V16"), return_index=True, return_inverse=True)
    return np.asarray(first[inverse.ravel()], np.int64)


def held_out(groups: Rows, labels: Rows, wanted: Rows) -> NDArray[np.bool_]:
    """Which rows of labels (N,) are held out, in whole groups, the rows of which are neighbors.

    From the end on, a group is held out where that brings the number of rows of each class nearer to that `wanted`
    (classes,), unless it has all that is left of a class. Without copies, this takes the last rows of each class.
    """
    missing, left = wanted.tolist(), np.bincount(labels, minlength=len(wanted)).tolist()
    found = np.zeros(len(labels), bool)
    label_of, spare = labels.tolist(), []
    for _, rows in groupby(range(len(labels) - 1, -1, -1), groups.tolist().__getitem__):
        if max(missing) <= 0:
            break
        members = list(rows)
        sizes = Counter([label_of[row] for row in members])
        is_nearer = sum(size * (2 * missing[label] - size) for label, size in sizes.items()) > 0  # in squared distance
        leaves_some = all(left[label] > size for label, size in sizes.items())
        if is_nearer and (leaves_some or len(members) == 1):
            found[members] = True
            for label, size in sizes.items():
                missing[label] -= size
                left[label] -= size
        elif leaves_some:
            spare.append(members)
    if spare and wanted.any() and not found.any():  # every group is large
        found[min(spare, key=len)] = True
    return found


def between_copies(inputs: NDArray[Any], targets: NDArray[Any], boundary: int) -> int:
    """The index `boundary`, moved to the nearest end of a series of adjacent copies if it would split one.

    Neighbors with equal inputs (N, ...) are copies if they share a target (N,) too.
    """
    if not 0 < boundary < len(inputs):
        return boundary
    start = end = boundary
    while start > 0 and np.array_equal(inputs[start - 1], inputs[boundary - 1], equal_nan=True):
        start -= 1
    while end < len(inputs) and np.array_equal(inputs[end], inputs[boundary - 1], equal_nan=True):
        end += 1
    if end == boundary or len(np.unique(targets[start:end])) == end - start:
        return boundary
    ends = [index for index in (start, end) if 0 < index < len(inputs)]
    return min(ends, key=lambda index: abs(index - boundary), default=boundary)


def copied_later(groups: Rows, given: Rows) -> NDArray[np.bool_]:
    """Whether a part with a higher number (TRAIN < VALIDATION < TEST) has a copy of each example: (N,)."""
    highest = np.zeros(len(groups), np.int64)
    np.maximum.at(highest, groups, given)
    return np.asarray(given < highest[groups])


def separable(groups: Rows, targets: NDArray[Any], kept: NDArray[np.bool_]) -> Rows:
    """The groups whose rows must stay in one part; a row that may go anywhere is a group of its own.

    That holds for a group in which no two rows share a target (N,), so that none is a copy; and for every row where
    the kept ones have fewer than FEWEST groups.
    """
    alone = np.arange(len(groups))
    if len(np.unique(groups[kept])) < FEWEST:
        return alone
    rows = np.bincount(groups, minlength=len(groups))
    return np.where((rows > different_targets(groups, targets))[groups], groups, alone)


def pairs_of(groups: Rows, targets: NDArray[Any]) -> Rows:
    """A number for each row's inputs and target together, equal for exact copies: (N,)."""
    _, numbers = np.unique(targets, return_inverse=True)
    return np.unique(np.stack([groups, numbers.ravel()], axis=1), axis=0, return_inverse=True)[1].ravel()


def different_targets(groups: Rows, targets: NDArray[Any]) -> Rows:
    """How many different targets each group has, by its number: (N,)."""
    _, first = np.unique(pairs_of(groups, targets), return_index=True)
    return np.bincount(groups[first], minlength=len(groups))


def copy_notes(groups: Rows, targets: NDArray[Any], dropped: NDArray[np.bool_]) -> tuple[str, ...]:
    """Notes on rows that are dropped (`copied_later`), on exact copies among the others, and on different targets."""
    pairs, notes = pairs_of(groups, targets), []
    if count := int(dropped.sum()):
        what = "a row" if count == 1 else "rows"
        notes.append(
            f"{counted(count, 'row')} left out of training or validation, "
            f"with the same inputs as {what} of a later part"
        )
    if count := int((~dropped).sum()) - len(np.unique(pairs[~dropped])):
        are = "is an exact copy of another" if count == 1 else "are exact copies of others"
        different_inputs = len(np.unique(groups))
        where = "copies are kept in the same part"
        if different_inputs < FEWEST:
            where = f"with only {different_inputs} different inputs, copies are in training and test"
        notes.append(f"{counted(count, 'row')} {are}; {where}")
    if count := int((different_targets(groups, targets) > 1)[groups].sum()):
        kind = "labels" if targets.dtype.kind == "i" else "targets"
        notes.append(f"{counted(count, 'row')} have equal inputs but different {kind}")
    return tuple(notes)
