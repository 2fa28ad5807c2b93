"""A data set in memory, and the choice of some of its classes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.preprocessing import Preprocessing
from dnntrain.errors import InputError, did_you_mean
from dnntrain.utils.fields import read_names
from dnntrain.utils.words import count_noun as count_noun

InputArray = NDArray[np.uint8] | NDArray[np.int32] | NDArray[np.float32] | NDArray[np.float64]
InputKind = Literal["images", "numbers", "tokens"]
KIND_OF_TYPE: dict[str, InputKind] = {"uint8": "images", "int32": "tokens", "float32": "numbers", "float64": "numbers"}
"""The type of the inputs says what they are. Tokens are indices into an embedding."""
Targets = NDArray[np.int64] | NDArray[np.float64]

MAX_LISTED_NAMES = 5
"""A note lists this many names, then says 'and N more'."""


class DatasetInfo(NamedTuple):
    """What a network needs to know about its data before training."""

    shape: tuple[int, ...]
    """The shape of one example."""
    classes: tuple[str, ...]
    """The class names, indexed by class number; empty for regression."""
    n_train: int
    """Training examples, including those that will be used for validation."""
    n_validation: int = 0
    """How many of them, the last ones, are the data set's own validation part."""
    n_test: int = 0
    kind: InputKind = "numbers"
    """What the inputs are: images, numbers, or tokens."""
    n_tokens: int = 0
    """The number of tokens, 1 more than the highest in any part; 0 if the inputs are not tokens."""

    @property
    def n_features(self) -> int:
        """Values per example: 784 for Fashion-MNIST."""
        return math.prod(self.shape)

    @property
    def n_outputs(self) -> int:
        """Units of the output layer: one per class, or one for regression."""
        return len(self.classes) or 1

    @property
    def task(self) -> str:
        """'classification' or 'regression'."""
        return "classification" if self.classes else "regression"


class ColumnUse(NamedTuple):
    """How a column of a table is used."""

    name: str
    kind: str
    """'number', 'text', or 'yes or no'."""
    missing: int
    """Number of missing values."""
    inputs: tuple[str, ...] = ()
    """The names of the inputs made from it, in order."""
    left_out: str = ""
    """Why no input is made from it; empty if there is one."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples and targets as they are in the files. The engine scales them.

    Raises:
        InputError: Shapes, types, counts, or labels do not fit each other.
    """

    name: str
    train_inputs: InputArray
    """(N, *shape). Images are uint8 with levels from 0 to 255, gray (height, width) or color (3, height, width). Tables
    are float32 or float64 columns (features,), nan where a value is missing; other numbers may have any shape. The
    engine scales both in float64. Tokens are int32 from 0, of any shape, and are not scaled."""
    train_targets: Targets
    """(N,). int64 class numbers from 0 to len(classes) - 1, or float64 numbers for regression."""
    test_inputs: InputArray
    """(M, *shape), like `train_inputs`."""
    test_targets: Targets
    """(M,), like `train_targets`."""
    classes: tuple[str, ...]
    """The class names, indexed by class number; empty for regression."""
    fingerprint: str
    """16 hexadecimal digits that identify the files' bytes (`DataSource.fingerprint`)."""
    license: str
    n_validation: int = 0
    """How many training examples, the last ones, are the data set's own validation part."""
    notes: tuple[str, ...] = ()
    """What was left out or changed while reading, one line each."""
    columns: tuple[ColumnUse, ...] = ()
    """The columns of a table, in file order."""
    preprocessing: Preprocessing | None = None
    """How new data become such inputs; None for inputs that are computed, such as features."""

    def __post_init__(self) -> None:
        """Check the arrays, and keep each note on one line, whatever names and cells contain."""
        object.__setattr__(self, "notes", tuple(map(escape_unprintable, self.notes)))
        self._check("training", self.train_inputs, self.train_targets)
        self._check("test", self.test_inputs, self.test_targets)
        if not 0 <= self.n_validation < len(self.train_targets):
            raise InputError(f"data set {self.name}: its validation part leaves no training example")

    @property
    def outline(self) -> DatasetInfo:
        """Shape, classes, counts, and the kind of inputs."""
        return DatasetInfo(
            self.shape,
            self.classes,
            len(self.train_targets),
            self.n_validation,
            len(self.test_targets),
            self.kind,
            self.n_tokens,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example: (28, 28) for Fashion-MNIST."""
        return tuple(self.train_inputs.shape[1:])

    @property
    def kind(self) -> InputKind:
        """What the inputs are: images, numbers, or tokens."""
        return KIND_OF_TYPE[self.train_inputs.dtype.name]

    @property
    def is_image(self) -> bool:
        """Whether the examples are images with levels from 0 to 255."""
        return self.kind == "images"

    @property
    def is_tokens(self) -> bool:
        """Whether the examples are tokens: indices into an embedding, which are never scaled."""
        return self.kind == "tokens"

    @cached_property
    def n_tokens(self) -> int:
        """The number of tokens, 1 more than the highest in any part; 0 if the inputs are not tokens."""
        return 1 + max(int(self.train_inputs.max()), int(self.test_inputs.max())) if self.is_tokens else 0

    def description(self) -> dict[str, Any]:
        """The data set's entry in a run record, as plain JSON values."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "train_examples": len(self.train_targets),
            "test_examples": len(self.test_targets),
            "n_validation": self.n_validation,
            "shape": list(self.shape),
            "kind": self.kind,
            **({"n_tokens": self.n_tokens} if self.is_tokens else {}),
            "task": self.outline.task,
            "classes": list(self.classes),
            "license": self.license,
            "notes": list(self.notes),
            **({"preprocessing": self.preprocessing.content()} if self.preprocessing else {}),
        }

    def only(self, chosen: str) -> Dataset:
        """Keep only some classes, renumbered in the given order.

        Args:
            chosen: Names or positions with commas between them, as in `class_numbers`.

        Raises:
            InputError: A class does not exist or is given twice, or a part would be empty.
        """
        numbers = class_numbers(chosen, self.classes)
        train, test = (renumber(targets, numbers) for targets in (self.train_targets, self.test_targets))
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

    def _check(self, part: str, inputs: InputArray, targets: Targets) -> None:
        where = f"data set {self.name}, {part} part"
        kind = np.int64 if self.classes else np.float64
        if inputs.dtype.name not in KIND_OF_TYPE or targets.dtype != kind:
            allowed = f"inputs must be {', '.join(KIND_OF_TYPE)}, targets {kind.__name__}"
            raise InputError(f"{where}: {inputs.dtype} inputs, {targets.dtype} targets; {allowed}")
        if inputs.dtype == np.uint8 and inputs.ndim < 3:
            instead = "use float32 for columns, int32 for tokens"
            raise InputError(f"{where}: uint8 inputs {inputs.shape} are not images; {instead}")
        if inputs.shape[1:] != self.shape or targets.ndim != 1:
            raise InputError(f"{where}: inputs {inputs.shape}, targets {targets.shape}; one example is {self.shape}")
        if not len(inputs) or len(inputs) != len(targets):
            raise InputError(
                f"{where}: {len(inputs)} inputs and {len(targets)} targets; must be equally many, at least one"
            )
        if inputs.dtype == np.int32 and inputs.min(initial=0) < 0:
            raise InputError(f"{where}: a token is {inputs.min()}; tokens are indices, from 0")
        if self.classes and (targets.min() < 0 or targets.max() >= len(self.classes)):
            wrong = next(int(label) for label in targets if not 0 <= label < len(self.classes))
            raise InputError(f"{where}: a label is {wrong}; must be from 0 to {len(self.classes) - 1}")
        if not self.classes and not np.isfinite(targets).all():
            raise InputError(f"{where}: a target is not finite")


def class_numbers(chosen: str, classes: tuple[str, ...]) -> list[int]:
    """Parse a choice of classes: 'sandal,shirt' by name, or '5,6' by position if no name is a number.

    Returns:
        The class numbers, in the given order.

    Raises:
        InputError: A class does not exist or is given twice, or fewer than two are given.
    """
    if not classes:
        raise InputError("classes: the target is a number, so there are no classes")
    numbers: list[int] = []
    for name in read_names(chosen):
        number = class_number(name, classes)
        if number in numbers:
            raise InputError(f"classes: '{name}' is given twice")
        numbers.append(number)
    if len(numbers) < 2:
        raise InputError(f"classes: {chosen} is only one class; give at least two")
    return numbers


def class_number(name: str, classes: tuple[str, ...]) -> int:
    """Find a class by its exact name, else by its name in another case, else by its position from 0.

    A number is a position only if no class name is a number: among the classes 1, 2, and 4, '0' is no class.

    Raises:
        InputError: No class or several classes match.
    """
    if name in classes:
        return classes.index(name)
    similar = [other for other in classes if other.strip().casefold() == name.casefold()]
    if len(similar) > 1:
        raise InputError(f"classes: '{name}' matches {' and '.join(map(repr, similar))}; use the exact name")
    if similar:
        return classes.index(similar[0])
    has_numbers = any(map(is_number, classes))
    if name.isdecimal() and not has_numbers and len(name) < 9 and int(name) < len(classes):
        return int(name)
    if is_number(name):  # another number that looks similar is not a useful suggestion
        positions = "" if has_numbers else f" at position {name}, they are 0 to {len(classes) - 1}"
        raise InputError(f"classes: no class '{name}'{positions}; known: {join_names(list(classes))}")
    by_folded_name = {other.casefold(): other for other in classes}
    raise InputError(f"classes: no class '{name}'{did_you_mean(name.casefold(), by_folded_name)}")


def is_number(name: str) -> bool:
    """Whether a class name is a number, such as 3 or 0.5."""
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def renumber(targets: Targets, numbers: list[int]) -> NDArray[np.int64]:
    """Map class numbers, (N,), to their positions in `numbers`; -1 for all others."""
    places = np.full(max(int(targets.max()), *numbers) + 1, -1, np.int64)
    places[numbers] = np.arange(len(numbers))
    return places[targets.astype(np.int64)]


def escape_unprintable(text: str) -> str:
    """Escape line breaks, tabs, and other characters that do not print."""
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)


def join_names(things: list[str]) -> str:
    """Join the first few names: 'a, b, c, d, e and 3 more'."""
    more = len(things) - MAX_LISTED_NAMES
    return ", ".join(things[:MAX_LISTED_NAMES]) + (f" and {more} more" if more > 0 else "")
