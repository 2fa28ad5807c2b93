"""Turns what a function of the user's returned into arrays: a tuple or dict of arrays, or torch data sets."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
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
RIGHT = (
    f"must return ({', '.join(NAMES[:4])}), with {' and '.join(NAMES[4:])} or without, as a tuple or a dict; or a pair "
    "(train, test) or triple (train, val, test) of torch data sets with a length and items (input, target)"
)
INSTEAD = {
    "DataLoader": "return the data set that it loads, as dnntrain makes the batches",
    "IterableDataset": "its items have no numbers; return a map-style data set",
    "generator": "return all examples at once",
}
"""What to return instead of objects of these classes."""


def read_returned(returned: object, where: str, home: str | None = None) -> Arrays:
    """Read what a function returned.

    Args:
        returned: Arrays, tensors, or lists, as a dict by the names in `PART_ARRAYS` or a tuple in that order;
            or two or three map-style data sets, whose items are read one by one.
        where: The function, which starts error messages.
        home: The folder of the user's code, for tracebacks.

    Raises:
        InputError: It is something else, an item cannot be read, or the arrays of a part differ in length.
    """
    named = name_arrays(returned, where, home)
    arrays = {PART_ARRAYS[name]: (name, as_array(value, f"{where}: returned {name}")) for name, value in named.items()}
    for part in sorted({part for part, _ in arrays}):
        (x_name, x), (y_name, y) = arrays[part, 0], arrays[part, 1]
        if not x.ndim or not y.ndim or not 0 < len(x) == len(y):
            shapes = f"{x_name} of shape {x.shape} and {y_name} of shape {y.shape}"
            raise InputError(f"{where}: returned {shapes}; must have equally many examples, at least one")
    return arrays


def name_arrays(returned: object, where: str, home: str | None) -> dict[str, Any]:
    """The arrays by name, still of any type; InputError if something else was returned."""
    if isinstance(returned, Mapping):
        for key in returned:
            if key not in PART_ARRAYS:
                raise InputError(f"{where}: returned a dict with the key {key!r}{did_you_mean(str(key), NAMES)}")
        missing = [name for name in NAMES[:4] if name not in returned]
        missing += [
            name for name in NAMES[4:] if any(other in returned for other in NAMES[4:]) and name not in returned
        ]
        if missing:
            raise InputError(f"{where}: returned a dict without {missing[0]}; {RIGHT}")
        return {name: returned[name] for name in NAMES if name in returned}
    if isinstance(returned, tuple | list):
        if len(returned) in (4, 6) and not any(map(is_dataset, returned)):
            return dict(zip(NAMES, returned, strict=False))
        if len(returned) in (2, 3) and all(map(is_dataset, returned)):
            parts = ("train", "test") if len(returned) == 2 else ("train", "val", "test")
            read = {
                part: read_items(items, f"{where}: {part}", home) for part, items in zip(parts, returned, strict=True)
            }
            return {
                f"{letter}_{part}": values
                for part, pair in read.items()
                for letter, values in zip("xy", pair, strict=True)
            }
    inner = returned if isinstance(returned, tuple | list) else [returned]
    classes = {base.__name__ for value in inner for base in type(value).__mro__}
    instead = next((f"; {hint}" for name, hint in INSTEAD.items() if name in classes), "")
    raise InputError(f"{where}: returned {type_and_shape(returned)}{instead}\n{RIGHT}")


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
