"""A person's own data: what the numbers to be predicted are, and how the rows are cut into parts."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.copies import Rows, copied_later, copy_notes, held_out, separable
from dnntrain.data.dataset import Dataset, Inputs, Targets, counted, join_names, numbers_of, renumbered
from dnntrain.data.source import DataLocation, FileSource
from dnntrain.errors import InputError
from dnntrain.utils.fields import hyperparameter

Task = Literal["auto", "classification", "regression"]

TRAIN, VALIDATION, TEST = 0, 1, 2
SPLIT_KEY = int.from_bytes(b"dnntrain's split", "little")
"""The split is a property of the data, not of a run: its random numbers never change."""
FEW_VALUES = 20
"""Different whole numbers up to which a target is taken for classes."""


class LabelledFileSource(FileSource):
    """Data whose target may be a class or a number."""

    task: Task = hyperparameter(
        "auto", "what to predict: classification, regression, or as the target's values suggest"
    )


class Split(NamedTuple):
    """Row numbers of each part; no row is in two."""

    train: Rows
    """In an order of which every tail is stratified, then the validation part, where the data have one."""
    test: Rows
    n_validation: int
    """How many rows of `train`, the last ones, are the data's own validation part."""
    notes: tuple[str, ...] = ()
    """What was done about copies."""


def chosen_rows(chosen: str | None, targets: Targets, classes: tuple[str, ...]) -> NDArray[np.bool_]:
    """Whether the class of each row of targets (N,) is chosen; all are where no classes are given."""
    return np.isin(targets, numbers_of(chosen, classes)) if chosen else np.full(len(targets), True)


def stratified_order(targets: Targets, groups: Rows) -> Rows:
    """An order of the rows of targets (N,) in which every contiguous part has each class with its share.

    The rows of a class, shuffled, stand at equal distances. Rows of the same group (N,) stand side by side, at the mean
    of the places that they would have. Where the targets are numbers, the groups are in random order.
    """
    rng = np.random.Generator(np.random.Philox(key=SPLIT_KEY))
    _, first, members = np.unique(groups, return_index=True, return_inverse=True)
    draws = rng.random(len(targets))[first[members]]
    if targets.dtype != np.int64:
        return np.argsort(draws, kind="stable")
    counts = np.bincount(targets)
    order = np.lexsort((draws, targets))  # class by class, shuffled within each
    rank = np.arange(len(targets)) - np.repeat(np.cumsum(counts) - counts, counts)  # 0, 1, 2, ... in each class
    start = rng.random(len(counts))  # else every class would begin at the same place
    place = (rank + np.repeat(start, counts)) / np.repeat(counts, counts)
    members = members[order]
    mean_place = np.bincount(members, place) / np.bincount(members)
    return order[np.argsort(mean_place[members], kind="stable")]


def split_rows(
    targets: Targets, given: Rows | None, share: float, where: object, groups: Rows | None = None,
    kept: NDArray[np.bool_] | None = None,
) -> Split:  # fmt: skip
    """The rows of targets (N,) in their parts, the same for everybody who has the same data.

    `given` (N,) holds TRAIN, VALIDATION or TEST for each row; without it all are TRAIN. Where none is TEST, the last
    `share` of the training rows in their stratified order is held out, as nearly as whole groups allow (`held_out`).
    Rows of the same group (`copy_groups`) stay in one part; where given parts have them in several, they are left out
    of all but the last of these parts.
    Only the `kept` rows (N,) stay. The others still have their places in the order, so that a test example of some
    classes is also a test example of all classes, which a network trained on all of them has not seen.
    Raises InputError, which names `where`, if a part would be empty.
    """
    given = np.full(len(targets), TRAIN) if given is None else given
    groups = np.arange(len(targets)) if groups is None else groups
    kept = np.full(len(targets), True) if kept is None else kept
    # a row that is not kept is no copy of any; a group's number is its first row's again, as `separable` expects
    alone = np.where(kept, groups, -1 - np.arange(len(targets)))
    _, first, inverse = np.unique(alone, return_index=True, return_inverse=True)
    groups = first[inverse.ravel()]
    apart = separable(groups, targets, kept)
    copied = copied_later(apart, given)
    train, validation, test = (np.flatnonzero((given == part) & ~copied) for part in (TRAIN, VALIDATION, TEST))
    train = train[stratified_order(targets[train], apart[train])]
    if not len(test):
        labels = targets[train].astype(np.int64) if targets.dtype == np.int64 else np.zeros(len(train), np.int64)
        tail = stratified_order(labels, np.arange(len(train)))[len(train) - round(share * len(train)) :]
        out = held_out(apart[train], labels, np.bincount(labels[tail], minlength=labels.max(initial=0) + 1))
        train, test = train[~out], train[out]
    train, validation, test = (part[kept[part]] for part in (train, validation, test))
    if not len(train) or not len(test):
        parts = f"{len(train)} examples to train with, {len(test)} to test"
        raise InputError(f"{where}: {parts}; needs at least one of each (test = {share})")
    notes = copy_notes(groups[kept], targets[kept], copied[kept])
    return Split(np.concatenate([train, validation]), test, len(validation), notes)


def build_dataset(
    source: FileSource, home: DataLocation, inputs: Inputs, targets: Targets, classes: tuple[str, ...],
    parts: Split, notes: tuple[str, ...],
) -> Dataset:  # fmt: skip
    """The data set of inputs (N, *shape) and targets (N,), cut into its parts; its classes are those chosen."""
    if source.classes:
        numbers = numbers_of(source.classes, classes)
        targets, classes = renumbered(targets, numbers), tuple(classes[number] for number in numbers)
    return Dataset(
        name=source.path.resolve().name,
        train_inputs=inputs[parts.train],
        train_targets=targets[parts.train],
        test_inputs=inputs[parts.test],
        test_targets=targets[parts.test],
        classes=classes,
        fingerprint=source.fingerprint(home),
        licence=source.licence,
        n_validation=parts.n_validation,
        notes=(*notes, *parts.notes),
    )


def read_targets(
    values: NDArray[np.generic], task: Task, where: str, few: int = FEW_VALUES, chosen: str | None = None
) -> tuple[Targets, tuple[str, ...]]:
    """Class numbers (N,) and the classes' names, sorted; or numbers (N,) and ().

    The values (N,) are numbers, yes or no, or text. By itself (`auto`), text and up to `few` different whole numbers
    are classes. Where some classes are `chosen`, all values are classes, however many there are, and a missing value is
    one of its own. Raises InputError, which begins with `where`, for values that do not fit the task.
    """
    is_text = values.dtype.kind not in "iufb"
    if task == "auto" and (chosen or is_text or few_distinct(values, few)):
        task = "classification"
    if not is_text and not chosen and (wrong := len(values) - np.isfinite(values.astype(np.float64)).sum()):
        raise InputError(f"{where}: {wrong} of {len(values)} values are missing or infinite")
    if task == "classification":
        return read_classes(values, where, any_number=bool(chosen))
    if is_text:
        raise InputError(f"{where}: text, where a regression needs numbers")
    with np.errstate(over="ignore"):
        if not np.isfinite(values.astype(np.float32)).all():
            raise InputError(f"{where}: a value is too large for float32")
    return values.astype(np.float64), ()


def few_distinct(values: NDArray[np.generic], few: int) -> bool:
    """Whether the numbers are whole, and at most `few` different ones."""
    numbers = values.astype(np.float64)
    return bool((numbers == np.floor(numbers)).all()) and len(np.unique(numbers)) <= few


def read_classes(
    values: NDArray[np.generic], where: str, any_number: bool
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class numbers (N,) and the classes' names, sorted; InputError where they cannot be classes."""
    different, numbers = np.unique(values, return_inverse=True)
    if len(different) < 2:
        raise InputError(f"{where}: fewer than two classes ({', '.join(map(str, different))})")
    if not any_number and len(different) > FEW_VALUES and 2 * len(different) > len(values):
        raise InputError(f"{where}: {len(different)} different values in {len(values)} examples are no classes")
    names = (int(name) if isinstance(name, float) and name.is_integer() else name for name in different.tolist())
    return numbers.astype(np.int64), tuple(map(str, names))


def exclusion_note(things: list[str], what: str, why: str) -> tuple[str, ...]:
    """A note on what is left out, if anything: '3 images left out, exact copies of others: a.png, b.png, c.png'."""
    if not things:
        return ()
    return (f"{counted(len(things), what)} left out, {why}: {join_names(things)}",)
