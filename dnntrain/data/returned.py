"""Turns what Python code gives or returns into arrays: a tuple or dict of arrays, or torch data sets."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnntrain.data.array_inputs import AnyArray, as_array, type_and_shape
from dnntrain.data.arrays import Arrays
from dnntrain.data.images import with_progress
from dnntrain.data.user_data import TEST, TRAIN, VALIDATION
from dnntrain.errors import InputError, did_you_mean
from dnntrain.utils.user_code.tracebacks import cut_traceback

PART_ARRAYS = {
    f"{letter}_{part_name}": (part, kind)
    for part_name, part in (("train", TRAIN), ("test", TEST), ("val", VALIDATION))
    for kind, letter in enumerate("xy")
}
"""The names of the arrays, in the order of a tuple, and their roles."""
NAMES = tuple(PART_ARRAYS)
ONE_PART = {"x": (TRAIN, 0), "y": (TRAIN, 1)}
"""The names of the arrays if there is no test part yet."""
RIGHT = (
    f"must return ({', '.join(NAMES[:4])}), with {' and '.join(NAMES[4:])} or without, as a tuple or a dict; or a pair "
    "(train, test) or triple (train, val, test) of torch data sets with a length and items (input, target)"
)
INSTEAD = {
    "DataLoader": "{verb} the data set that it loads, as dnntrain makes the batches",
    "IterableDataset": "its items have no numbers; {verb} a map-style data set",
    "generator": "{verb} all examples at once",
}
"""What is needed instead of objects of these classes."""


@dataclass(frozen=True)
class ArrayReader:
    """Reads arrays, tensors, lists, or torch data sets, and says what is wrong with them."""

    where: str
    """The function, or the argument, which starts error messages."""
    start: str
    """What follows it, such as 'returned '."""
    verb: str
    """What to do with what is needed instead: return or give it."""
    right: str
    """What would be right, as a line of its own."""
    home: str | None = None
    """The folder of the user's code, for tracebacks."""
    one_part: bool = False
    """Whether arrays without a test part are allowed."""

    def read(self, value: object) -> Arrays:
        """Read the arrays.

        Args:
            value: Arrays, tensors, or lists, as a dict by the names in `PART_ARRAYS` or a tuple in that order;
                or two or three map-style data sets, whose items are read one by one. If `one_part`, (x, y) or a
                single data set as well.

        Raises:
            InputError: It is something else, an item cannot be read, or the arrays of a part differ in length.
        """
        at, roles = f"{self.where}: {self.start}", PART_ARRAYS | ONE_PART
        named = self._by_name(value, at)
        arrays = {roles[name]: (name, as_array(given, f"{at}{name}")) for name, given in named.items()}
        for part in sorted({part for part, _ in arrays}):
            (x_name, x), (y_name, y) = arrays[part, 0], arrays[part, 1]
            if not x.ndim or not y.ndim or not 0 < len(x) == len(y):
                shapes = f"{x_name} of shape {x.shape} and {y_name} of shape {y.shape}"
                raise InputError(f"{at}{shapes}; must have equally many examples, at least one")
        return arrays

    def _by_name(self, value: object, at: str) -> dict[str, Any]:
        """The arrays by name, still of any type; InputError for anything else."""
        if isinstance(value, Mapping):
            return self._from_dict(value, at)
        values = value if isinstance(value, tuple | list) else [value]
        if all(map(is_dataset, values)) and (len(values) in (2, 3) or (self.one_part and len(values) == 1)):
            parts = {1: ("",), 2: ("train", "test"), 3: ("train", "val", "test")}[len(values)]
            found: dict[str, Any] = {}
            for part, items in zip(parts, values, strict=True):
                pair = read_items(items, f"{self.where}: {part}" if part else self.where, self.home)
                found |= {f"{letter}_{part}".strip("_"): array for letter, array in zip("xy", pair, strict=True)}
            return found
        if isinstance(value, tuple | list) and not any(map(is_dataset, value)):
            if len(value) in (4, 6):
                return dict(zip(NAMES, value, strict=False))
            if self.one_part and len(value) == 2 and not is_refused(value):
                return dict(zip(ONE_PART, value, strict=True))
        instead = next((f"; {hint}" for name, hint in INSTEAD.items() if is_refused(values, name)), "")
        raise InputError(f"{at}{type_and_shape(value)}{instead.format(verb=self.verb)}\n{self.right}")

    def _from_dict(self, value: Mapping[Any, Any], at: str) -> dict[str, Any]:
        """The arrays of a dict, in the usual order."""
        names = tuple(ONE_PART) if self.one_part and not {*value}.isdisjoint(ONE_PART) else NAMES
        for key in value:
            if key not in names:
                raise InputError(f"{at}a dict with the key {key!r}{did_you_mean(str(key), names)}")
        has_validation = any(name in value for name in names[4:])
        if missing := [name for name in (names if has_validation else names[:4]) if name not in value]:
            raise InputError(f"{at}a dict without {missing[0]}; {self.right}")
        return {name: value[name] for name in names if name in value}


def read_returned(returned: object, where: str, home: str | None = None) -> Arrays:
    """Read what a function of the user's returned; see `ArrayReader`.

    Args:
        returned: What it returned.
        where: The function, which starts error messages.
        home: The folder of the user's code, for tracebacks.
    """
    return ArrayReader(where, "returned ", "return", RIGHT, home).read(returned)


def is_refused(values: Sequence[object], name: str = "") -> bool:
    """Whether one of the values is of a class in `INSTEAD`, or of the one with this name."""
    classes = {base.__name__ for value in values for base in type(value).__mro__}
    return not classes.isdisjoint([name] if name else INSTEAD)


def is_dataset(value: object) -> bool:
    """Whether a value is a map-style data set: it has a length and items, and is neither array nor container."""
    if isinstance(value, Sequence | Mapping) or hasattr(value, "shape"):
        return False
    is_iterable_only = any(base.__name__ == "IterableDataset" for base in type(value).__mro__)
    return hasattr(value, "__len__") and hasattr(value, "__getitem__") and not is_iterable_only


def read_items(dataset: Any, where: str, home: str | None) -> tuple[AnyArray, AnyArray]:
    """Read a data set item by item: inputs (N, *shape) and targets (N, ...). What its code prints goes to stderr."""
    count, targets = len(dataset), []
    if not count:
        raise InputError(f"{where}: a {type(dataset).__name__} without items")
    with redirect_stdout(sys.stderr):
        for number in with_progress(range(count), count, f"items of {where}"):
            at = f"{where}: item {number}"
            try:
                item = dataset[number]
            except (Exception, SystemExit) as error:
                raise InputError(f"{at} cannot be read\n{cut_traceback(error, home)}") from None
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise InputError(f"{at} is {type_and_shape(item)}; must be a pair (input, target)")
            value, target = as_array(item[0], f"{at}: its input"), as_array(item[1], f"{at}: its target")
            if not number:
                inputs, first = np.empty((count, *value.shape), value.dtype), target
            if (value.dtype, value.shape) != (inputs.dtype, inputs.shape[1:]):
                kinds = f"{type_and_shape(value)}, and that of item 0 {type_and_shape(inputs[0])}"
                raise InputError(f"{at}: its input is {kinds}; all must have one type and shape")
            if (target.dtype.kind, target.shape) != (first.dtype.kind, first.shape):
                kinds = f"{type_and_shape(target)}, and that of item 0 {type_and_shape(first)}"
                raise InputError(f"{at}: its target is {kinds}; all must be numbers, or all classes, one per item")
            inputs[number] = value
            targets.append(target)
    return inputs, np.stack(targets)
