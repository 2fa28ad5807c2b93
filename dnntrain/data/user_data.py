"""The user's own data: reading the targets, and splitting the rows into parts."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.copies import Indices, copy_notes, groups_kept_together, has_later_copy, hold_out
from dnntrain.data.dataset import Dataset, InputArray, Targets, class_numbers, join_names, renumber
from dnntrain.data.preprocessing import class_name
from dnntrain.data.source import DataLocation, OwnSource
from dnntrain.errors import InputError
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.words import count_noun

TaskOption = Literal["auto", "classification", "regression"]

TRAIN, VALIDATION, TEST = 0, 1, 2
SPLIT_KEY = int.from_bytes(b"dnntrain's split", "little")
"""The split belongs to the data, not to a run, so its random numbers never change."""
FEW_VALUES = 20
"""A target with up to this many distinct whole numbers is read as classes."""


class LabelledSource(OwnSource):
    """Data whose target is either a class or a number."""

    task: TaskOption = hyperparameter(
        "auto", "what to predict: classification, regression, or as the target's values suggest"
    )


class Split(NamedTuple):
    """The rows of each part; no row is in two."""

    train: Indices
    """Training rows in an order with stratified tails, then the data's own validation rows, if any."""
    test: Indices
    n_validation: int
    """The number of validation rows at the end of `train`."""
    notes: tuple[str, ...] = ()
    """Notes on copies."""


def chosen_rows(chosen: str | None, targets: Targets, classes: tuple[str, ...]) -> NDArray[np.bool_]:
    """Whether the class of each target, (N,), is chosen; all True if no classes are given."""
    return np.isin(targets, class_numbers(chosen, classes)) if chosen else np.full(len(targets), True)


def stratified_order(targets: Targets, groups: Indices) -> Indices:
    """Order the rows so that every contiguous part has each class with its share.

    The rows of a class are shuffled and spaced evenly. The rows of a group are adjacent, at their mean position. If
    the targets are numbers, the groups are in random order.

    Args:
        targets: Class numbers (int64) or numbers, (N,).
        groups: Each row's group, (N,).

    Returns:
        The row numbers in order, (N,).
    """
    rng = np.random.Generator(np.random.Philox(key=SPLIT_KEY))
    _, first, members = np.unique(groups, return_index=True, return_inverse=True)
    draws = rng.random(len(targets))[first[members]]
    if targets.dtype != np.int64:
        return np.argsort(draws, kind="stable")
    counts = np.bincount(targets)
    order = np.lexsort((draws, targets))  # class by class, shuffled within each
    rank = np.arange(len(targets)) - np.repeat(np.cumsum(counts) - counts, counts)  # 0, 1, 2, ... in each class
    start = rng.random(len(counts))  # otherwise all classes would start at the same place
    place = (rank + np.repeat(start, counts)) / np.repeat(counts, counts)
    members = members[order]
    mean_place = np.bincount(members, place) / np.bincount(members)
    return order[np.argsort(mean_place[members], kind="stable")]


def split_rows(
    targets: Targets, given: Indices | None, share: float, where: object, groups: Indices | None = None,
    kept: NDArray[np.bool_] | None = None,
) -> Split:  # fmt: skip
    """Split the rows into parts, reproducibly: the same data always give the same split.

    Args:
        targets: Class numbers (int64) or numbers, (N,).
        given: TRAIN, VALIDATION, or TEST for each row, (N,); all TRAIN if None.
        share: If no row is TEST, this share of the training rows is held out: the end of their stratified order, as
            closely as whole groups allow (`hold_out`).
        where: The start of error messages.
        groups: Rows of a group (`copy_groups`) stay in one part, (N,). If `given` has them in several parts, they are
            left out of all but the last one. No groups if None.
        kept: The rows to keep, (N,); all if None. The others still take part in the ordering, so a test example of
            some classes is also a test example of all classes, unseen by a network trained on all of them.

    Raises:
        InputError: A part would be empty.
    """
    given = np.full(len(targets), TRAIN) if given is None else given
    groups = np.arange(len(targets)) if groups is None else groups
    kept = np.full(len(targets), True) if kept is None else kept
    # a row that is not kept is not a copy; renumber each group by its first row, as `groups_kept_together` expects
    alone = np.where(kept, groups, -1 - np.arange(len(targets)))
    _, first, inverse = np.unique(alone, return_index=True, return_inverse=True)
    groups = first[inverse.ravel()]
    apart = groups_kept_together(groups, targets, kept)
    copied = has_later_copy(apart, given)
    train, validation, test = (np.flatnonzero((given == part) & ~copied) for part in (TRAIN, VALIDATION, TEST))
    train = train[stratified_order(targets[train], apart[train])]
    if not len(test):
        labels = targets[train].astype(np.int64) if targets.dtype == np.int64 else np.zeros(len(train), np.int64)
        tail = stratified_order(labels, np.arange(len(train)))[len(train) - round(share * len(train)) :]
        out = hold_out(apart[train], labels, np.bincount(labels[tail], minlength=labels.max(initial=0) + 1))
        train, test = train[~out], train[out]
    train, validation, test = (part[kept[part]] for part in (train, validation, test))
    if not len(train) or not len(test):
        parts = f"{len(train)} examples to train with, {len(test)} to test"
        raise InputError(f"{where}: {parts}; needs at least one of each (test = {share})")
    notes = copy_notes(groups[kept], targets[kept], copied[kept])
    return Split(np.concatenate([train, validation]), test, len(validation), notes)


def build_dataset(
    source: OwnSource, location: DataLocation, inputs: InputArray, targets: Targets, classes: tuple[str, ...],
    parts: Split, notes: tuple[str, ...],
) -> Dataset:  # fmt: skip
    """Build a data set of the chosen classes from inputs, (N, *shape), targets, (N,), and their split."""
    if source.classes:
        numbers = class_numbers(source.classes, classes)
        targets, classes = renumber(targets, numbers), tuple(classes[number] for number in numbers)
    return Dataset(
        name=source.display_name(),
        train_inputs=inputs[parts.train],
        train_targets=targets[parts.train],
        test_inputs=inputs[parts.test],
        test_targets=targets[parts.test],
        classes=classes,
        fingerprint=source.fingerprint(location),
        license=source.license,
        n_validation=parts.n_validation,
        notes=(*notes, *parts.notes),
    )


def read_targets(
    values: NDArray[np.generic], task: TaskOption, where: str, few: int = FEW_VALUES, chosen: str | None = None
) -> tuple[Targets, tuple[str, ...]]:
    """Read targets as classes or as numbers.

    Args:
        values: Numbers, booleans, or text, (N,).
        task: With 'auto', text and up to `few` distinct whole numbers are classes.
        where: The start of error messages.
        few: See `task`.
        chosen: If classes are chosen, all values are classes, however many, and missing values are another class.

    Returns:
        Class numbers, (N,), and the sorted class names; or numbers, (N,), and ().

    Raises:
        InputError: The values do not fit the task.
    """
    is_text = values.dtype.kind not in "iufb"
    if task == "auto" and (chosen or is_text or few_distinct(values, few)):
        task = "classification"
    if not is_text and not chosen and (wrong := len(values) - np.isfinite(values.astype(np.float64)).sum()):
        raise InputError(f"{where}: {wrong} of {len(values)} values are missing or infinite")
    if task == "classification":
        return read_classes(values, where, any_number=bool(chosen))
    if is_text:
        raise InputError(f"{where}: text; regression needs numbers")
    with np.errstate(over="ignore"):
        if not np.isfinite(values.astype(np.float32)).all():
            raise InputError(f"{where}: a value is too large for float32")
    return values.astype(np.float64), ()


def few_distinct(values: NDArray[np.generic], few: int) -> bool:
    """Whether the numbers are whole, with at most `few` distinct values."""
    numbers = values.astype(np.float64)
    return bool((numbers == np.floor(numbers)).all()) and len(np.unique(numbers)) <= few


def read_classes(
    values: NDArray[np.generic], where: str, any_number: bool
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class numbers, (N,), and the sorted class names; InputError if the values cannot be classes."""
    distinct, numbers = np.unique(values, return_inverse=True)
    if len(distinct) < 2:
        raise InputError(f"{where}: fewer than two classes ({', '.join(map(str, distinct))})")
    if not any_number and len(distinct) > FEW_VALUES and 2 * len(distinct) > len(values):
        hint = "; task regression predicts the number" if values.dtype.kind in "iuf" else ""
        raise InputError(f"{where}: {len(distinct)} different values in {len(values)} examples are not classes{hint}")
    return numbers.astype(np.int64), tuple(map(class_name, distinct.tolist()))


def exclusion_note(things: list[str], what: str, why: str) -> tuple[str, ...]:
    """A note on what is left out, if anything: '2 images left out, exact copies of others: a.png, b.png'."""
    if not things:
        return ()
    return (f"{count_noun(len(things), what)} left out, {why}: {join_names(things)}",)
