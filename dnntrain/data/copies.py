"""Examples with equal inputs. They must stay in one part, or the test part would measure memorization."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnntrain.utils.words import count_noun

Indices = NDArray[np.int64]

HASH_CHUNK = 4096
"""Examples that are hashed at a time; a 128-bit digest of each is kept."""

MIN_DISTINCT = 10
"""With fewer distinct inputs, copies are not kept together, since each part would lack most of the inputs."""


def copy_groups(inputs: NDArray[Any]) -> Indices:
    """Find equal examples; 0.0 equals -0.0, and nan (a missing value) equals nan.

    Args:
        inputs: (N, ...).

    Returns:
        For each example, the index of the first example equal to it: (N,).
    """
    flat = inputs.reshape(len(inputs), -1)
    digests = []
    for start in range(0, len(flat), HASH_CHUNK):
        chunk = np.ascontiguousarray(flat[start : start + HASH_CHUNK])
        if chunk.dtype.kind == "f":
            chunk = np.where(np.isnan(chunk), np.nan, chunk + 0.0).astype(chunk.dtype)
        digests += [blake2b(row, digest_size=16).digest() for row in chunk]
    _, first, inverse = np.unique(np.frombuffer(b"".join(digests), "V16"), return_index=True, return_inverse=True)
    return np.asarray(first[inverse.ravel()], np.int64)


def hold_out(groups: Indices, labels: Indices, wanted: Indices) -> NDArray[np.bool_]:
    """Choose the test rows, in whole groups, from the end.

    A group is held out if that brings the class counts closer to `wanted`, unless it has all remaining rows of a
    class. Without copies this takes the last rows of each class.

    Args:
        groups: Each row's group, (N,); rows of a group are adjacent.
        labels: Class numbers, (N,).
        wanted: How many rows of each class to hold out, (classes,).

    Returns:
        Whether each row is held out: (N,).
    """
    missing, remaining = wanted.tolist(), np.bincount(labels, minlength=len(wanted)).tolist()
    held = np.zeros(len(labels), bool)
    label_of, spare = labels.tolist(), []
    for _, rows in groupby(range(len(labels) - 1, -1, -1), groups.tolist().__getitem__):
        if max(missing) <= 0:
            break
        members = list(rows)
        sizes = Counter([label_of[row] for row in members])
        is_nearer = sum(size * (2 * missing[label] - size) for label, size in sizes.items()) > 0  # in squared distance
        leaves_some = all(remaining[label] > size for label, size in sizes.items())
        if is_nearer and (leaves_some or len(members) == 1):
            held[members] = True
            for label, size in sizes.items():
                missing[label] -= size
                remaining[label] -= size
        elif leaves_some:
            spare.append(members)
    if spare and wanted.any() and not held.any():  # every group is large
        held[min(spare, key=len)] = True
    return held


def boundary_between_copies(inputs: NDArray[Any], targets: NDArray[Any], boundary: int) -> int:
    """Move a boundary between rows to the nearest end of a run of adjacent copies that it would split.

    Adjacent rows with equal inputs, (N, ...), are copies if they share a target, (N,), too.
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


def has_later_copy(groups: Indices, given: Indices) -> NDArray[np.bool_]:
    """Whether a later part (TRAIN < VALIDATION < TEST) has a copy of each example: (N,)."""
    highest = np.zeros(len(groups), np.int64)
    np.maximum.at(highest, groups, given)
    return np.asarray(given < highest[groups])


def groups_kept_together(groups: Indices, targets: NDArray[Any], kept: NDArray[np.bool_]) -> Indices:
    """Split up the groups whose rows need not stay in one part: each such row becomes a group of its own.

    These are groups in which no two rows share a target, (N,), so that none is a copy; and all groups if the kept rows
    have fewer than MIN_DISTINCT.
    """
    alone = np.arange(len(groups))
    if len(np.unique(groups[kept])) < MIN_DISTINCT:
        return alone
    rows = np.bincount(groups, minlength=len(groups))
    return np.where((rows > count_distinct_targets(groups, targets))[groups], groups, alone)


def pair_ids(groups: Indices, targets: NDArray[Any]) -> Indices:
    """Number the pairs of inputs and target; exact copies get the same number: (N,)."""
    _, numbers = np.unique(targets, return_inverse=True)
    return np.unique(np.stack([groups, numbers.ravel()], axis=1), axis=0, return_inverse=True)[1].ravel()


def count_distinct_targets(groups: Indices, targets: NDArray[Any]) -> Indices:
    """Count the distinct targets of each group, indexed by group: (N,)."""
    _, first = np.unique(pair_ids(groups, targets), return_index=True)
    return np.bincount(groups[first], minlength=len(groups))


def copy_notes(groups: Indices, targets: NDArray[Any], dropped: NDArray[np.bool_]) -> tuple[str, ...]:
    """Notes on dropped rows (`has_later_copy`), exact copies among the others, and equal inputs with other targets."""
    pairs, notes = pair_ids(groups, targets), []
    if count := int(dropped.sum()):
        what = "a row" if count == 1 else "rows"
        notes.append(
            f"{count_noun(count, 'row')} left out of training or validation, "
            f"with the same inputs as {what} of a later part"
        )
    if count := int((~dropped).sum()) - len(np.unique(pairs[~dropped])):
        are = "is an exact copy of another" if count == 1 else "are exact copies of others"
        different_inputs = len(np.unique(groups))
        where = "copies are kept in the same part"
        if different_inputs < MIN_DISTINCT:
            where = f"with only {different_inputs} different inputs, copies are in training and test"
        notes.append(f"{count_noun(count, 'row')} {are}; {where}")
    if count := int((count_distinct_targets(groups, targets) > 1)[groups].sum()):
        kind = "labels" if targets.dtype.kind == "i" else "targets"
        notes.append(f"{count_noun(count, 'row')} have equal inputs but different {kind}")
    return tuple(notes)
