"""What a data set is once it is in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnntrain.errors import InputError, did_you_mean
from dnntrain.utils.fields import read_names

Inputs = NDArray[np.uint8] | NDArray[np.float32] | NDArray[np.float64]
Targets = NDArray[np.int64] | NDArray[np.float64]

LONGEST_NOTE = 5
"""Things that a note names before it says 'and so many more'."""


class DatasetInfo(NamedTuple):
    """What a network must know of its data before it is trained."""

    shape: tuple[int, ...]
    """The shape of one example."""
    classes: tuple[str, ...]
    """The classes' names by class number; empty where the target is a number."""
    n_train: int
    """Training examples, those that will validate included."""
    n_validation: int = 0
    """How many of them, the last ones, the data themselves set apart for validation."""

    @property
    def n_features(self) -> int:
        """Numbers in one example: 784 for Fashion-MNIST."""
        return math.prod(self.shape)

    @property
    def n_outputs(self) -> int:
        """Units of the output layer: one for each class, or one for a number."""
        return len(self.classes) or 1

    @property
    def task(self) -> str:
        """classification or regression."""
        return "classification" if self.classes else "regression"


class ColumnUse(NamedTuple):
    """What a column of a table has become."""

    name: str
    kind: str
    """number, text, or yes or no."""
    missing: int
    """How many of its values are missing."""
    inputs: tuple[str, ...] = ()
    """The inputs made of it, in their order."""
    left_out: str = ""
    """Why no input is made of it, where none is."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples and their targets in memory, as in the files; scaling is the engine's.

    Raises InputError where shapes, types, counts or labels do not fit each other.
    """

    name: str
    train_inputs: Inputs
    """(N, *shape): uint8 levels from 0 to 255 of images, grey (height, width) or colour (3, height, width); or float32
    or float64 columns (features,), nan where a value is missing. The engine centers and scales them in float64."""
    train_targets: Targets
    """(N,): int64 class numbers from 0 to len(classes) - 1, or float64 numbers where there are no classes."""
    test_inputs: Inputs
    """(M, *shape), as train_inputs."""
    test_targets: Targets
    """(M,), as train_targets."""
    classes: tuple[str, ...]
    """The classes' names by class number; empty where the target is a number."""
    fingerprint: str
    """16 hexadecimal digits that name the bytes of the files (DataSource.fingerprint)."""
    licence: str
    n_validation: int = 0
    """How many of the training examples, the last ones, the data themselves set apart for validation."""
    notes: tuple[str, ...] = ()
    """What was left out or changed on reading, one line each."""
    columns: tuple[ColumnUse, ...] = ()
    """The columns of a table, in the file's order."""

    def __post_init__(self) -> None:
        """Check that the four arrays fit each other, and keep each note on one line, whatever names and cells hold."""
        object.__setattr__(self, "notes", tuple(map(on_one_line, self.notes)))
        self._check("training", self.train_inputs, self.train_targets)
        self._check("test", self.test_inputs, self.test_targets)
        if not 0 <= self.n_validation < len(self.train_targets):
            raise InputError(f"data set {self.name}: its validation part leaves no training example")

    @property
    def outline(self) -> DatasetInfo:
        """Shape, classes and counts."""
        shape = tuple(self.train_inputs.shape[1:])
        return DatasetInfo(shape, self.classes, len(self.train_targets), self.n_validation)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example, without the leading count: (28, 28) for Fashion-MNIST."""
        return self.outline.shape

    @property
    def is_image(self) -> bool:
        """Whether the examples are images, with levels from 0 to 255: `_check` sees to it that no other is uint8."""
        return self.train_inputs.dtype == np.uint8

    def description(self) -> dict[str, Any]:
        """What a record says of the data: name, fingerprint, counts, shape, task, classes, licence, notes."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "train_examples": len(self.train_targets),
            "test_examples": len(self.test_targets),
            "own_validation": self.n_validation,  # the name in records
            "shape": list(self.shape),
            "task": self.outline.task,
            "classes": list(self.classes),
            "licence": self.licence,
            "notes": list(self.notes),
        }

    def only(self, chosen: str) -> Dataset:
        """The examples of some classes, as `numbers_of` takes them, numbered in that order.

        Raises InputError for a class that is not there, one given twice, or a part that is left empty.
        """
        numbers = numbers_of(chosen, self.classes)
        train, test = (renumbered(targets, numbers) for targets in (self.train_targets, self.test_targets))
        if not (train >= 0).any() or not (test >= 0).any():
            raise InputError(f"data set {self.name}: classes {chosen} leave no training or no test example")
        own = slice(len(train) - self.n_validation, None)
        return replace(
            self,
            train_inputs=self.train_inputs[train >= 0],
            train_targets=train[train >= 0],
            test_inputs=self.test_inputs[test >= 0],
            test_targets=test[test >= 0],
            classes=tuple(self.classes[number] for number in numbers),
            n_validation=int((train[own] >= 0).sum()) if self.n_validation else 0,
        )

    def _check(self, part: str, inputs: Inputs, targets: Targets) -> None:
        where = f"data set {self.name}, {part} part"
        kind = np.int64 if self.classes else np.float64
        if inputs.dtype not in (np.uint8, np.float32, np.float64) or targets.dtype != kind:
            allowed = f"inputs must be uint8, float32 or float64, targets {kind.__name__}"
            raise InputError(f"{where}: {inputs.dtype} inputs, {targets.dtype} targets; {allowed}")
        if inputs.dtype == np.uint8 and inputs.ndim < 3:
            raise InputError(f"{where}: uint8 inputs {inputs.shape} are no images; float32 columns would be right")
        if inputs.shape[1:] != self.shape or targets.ndim != 1:
            raise InputError(f"{where}: inputs {inputs.shape}, targets {targets.shape}; one example is {self.shape}")
        if not len(inputs) or len(inputs) != len(targets):
            raise InputError(f"{where}: {len(inputs)} inputs and {len(targets)} targets; must be as many, at least one")
        if self.classes and (targets.min() < 0 or targets.max() >= len(self.classes)):
            wrong = next(int(label) for label in targets if not 0 <= label < len(self.classes))
            raise InputError(f"{where}: a label is {wrong}; must be from 0 to {len(self.classes) - 1}")
        if not self.classes and not np.isfinite(targets).all():
            raise InputError(f"{where}: a target is not finite")


def numbers_of(chosen: str, classes: tuple[str, ...]) -> list[int]:
    """The class numbers that 'sandal,shirt' names, in that order; or '5,6', where the names are not numbers.

    Raises InputError for a class that is not there, one given twice, or fewer than two.
    """
    if not classes:
        raise InputError("classes: the target is a number, so there are none")
    numbers: list[int] = []
    for name in read_names(chosen):
        number = number_of(name, classes)
        if number in numbers:
            raise InputError(f"classes: '{name}' is given twice")
        numbers.append(number)
    if len(numbers) < 2:
        raise InputError(f"classes: {chosen} is one class; at least two are needed")
    return numbers


def number_of(name: str, classes: tuple[str, ...]) -> int:
    """The number of the class of that name; in other case if only one has it so; else a position from 0.

    A number is a position only where no class has a number for its name: of the classes 1, 2 and 4, '0' is none.
    """
    if name in classes:
        return classes.index(name)
    similar = [known for known in classes if known.strip().casefold() == name.casefold()]
    if len(similar) > 1:
        raise InputError(f"classes: '{name}' may be {' or '.join(map(repr, similar))}; write it as one of them")
    if similar:
        return classes.index(similar[0])
    has_numbers = any(map(is_number, classes))
    if name.isdecimal() and not has_numbers and len(name) < 9 and int(name) < len(classes):
        return int(name)
    if is_number(name):  # the nearest other number is no better a guess
        first = "" if has_numbers else f" at position {name}, they are 0 to {len(classes) - 1}"
        raise InputError(f"classes: no class '{name}'{first}; known: {join_names(list(classes))}")
    known = {folded.casefold(): folded for folded in classes}
    raise InputError(f"classes: no class '{name}'{did_you_mean(name.casefold(), known)}")


def is_number(name: str) -> bool:
    """Whether a class's name is a number, such as 3 or 0.5."""
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def renumbered(targets: Targets, numbers: list[int]) -> NDArray[np.int64]:
    """Each class number of targets, (N,), as its place in `numbers`; -1 where it is not among them."""
    places = np.full(max(int(targets.max()), *numbers) + 1, -1, np.int64)
    places[numbers] = np.arange(len(numbers))
    return places[targets.astype(np.int64)]


def counted(count: int, noun: str) -> str:
    """The number with its noun: '1 row', '1,200 rows'."""
    return f"{count:,} {noun}{'s' if count > 1 else ''}"


def on_one_line(text: str) -> str:
    """The text with its line breaks, tabs and whatever else does not print as escapes such as \\n."""
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)


def join_names(things: list[str]) -> str:
    """The first few, and how many more."""
    more = len(things) - LONGEST_NOTE
    return ", ".join(things[:LONGEST_NOTE]) + (f" and {more} more" if more > 0 else "")
