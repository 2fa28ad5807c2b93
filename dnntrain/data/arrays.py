"""Arrays of inputs and targets, from a file or a function: what they hold, and the data set made from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.copies import Indices, copy_groups
from dnntrain.data.dataset import Dataset, InputArray, Targets, count_noun
from dnntrain.data.levels import MAX_BIT_DEPTH, MIN_IMAGE_VALUES, bit_depth, check_scales, scaled_note, to_bytes
from dnntrain.data.source import DataLocation
from dnntrain.data.user_data import (
    FEW_VALUES,
    LabelledSource,
    build_dataset,
    chosen_rows,
    read_targets,
    split_rows,
)
from dnntrain.errors import InputError
from dnntrain.utils.fields import hyperparameter

AnyArray = NDArray[Any]
Role = tuple[int, int]
"""(part, kind): TRAIN, VALIDATION, or TEST; 0 for inputs or 1 for targets."""
Arrays = dict[Role, tuple[str, AnyArray]]
"""Maps roles to names and arrays."""
Reading = Literal["auto", "numbers", "tokens"]

MANY_VALUES = 1000
"""A target with up to this many distinct whole numbers is classes, if there are twice as many examples."""
IMAGE_SHAPES = "(height, width), (height, width, 3) or (3, height, width)"
MAX_TOKEN = 2**31 - 1


class ArraySource(LabelledSource):
    """Arrays of inputs, of any shape, and of targets, one per example."""

    inputs: Reading = hyperparameter(
        "auto", "how arrays of inputs are read: numbers, tokens (indices into an embedding), or as they suggest"
    )

    def reading(self, values: AnyArray, where: str) -> Reading:
        """How inputs, (N, ...), are read; `where` starts error messages."""
        return self.inputs

    def classes_or_numbers(self, column: AnyArray, where: str) -> tuple[Targets, tuple[str, ...]]:
        """Targets, (N,), as class numbers with their names, or as numbers with (); see `read_targets`."""
        few = max(FEW_VALUES, min(MANY_VALUES, len(column) // 2))
        return read_targets(column, self.task, where, few, self.classes)

    def build(
        self, location: DataLocation, arrays: Arrays, where: str, notes: tuple[str, ...] = (), test_share: float = 0
    ) -> Dataset:
        """Build the data set.

        Args:
            location: Where the data are kept.
            arrays: The arrays of each part.
            where: The start of error messages: the file or the function.
            notes: What was left out.
            test_share: The share of the training rows that is held out if there is no test part.

        Raises:
            InputError: The arrays do not fit each other or the options.
        """
        (inputs_key, values), (targets_key, labels), given = concatenate_parts(arrays, where)
        column, target_notes = as_column(labels, targets_key, where)
        targets, classes = self.classes_or_numbers(column, f"{where}: {targets_key}")
        if self.task == "auto" and column.dtype.kind in "iuf" and not self.classes and len(classes) > FEW_VALUES:
            hint = "--task regression predicts the number"
            target_notes += (f"{targets_key}: {len(classes)} different whole numbers, read as classes; {hint}",)
        kept = chosen_rows(self.classes, targets, classes)
        reading = self.reading(values, f"{where}: {inputs_key}")
        inputs, input_notes = as_inputs(values, inputs_key, where, kept, reading)
        parts = split_rows(targets, given, test_share, where, copy_groups(inputs), kept)
        if inputs.dtype.kind == "f" and (gaps := int(np.isnan(inputs[kept]).sum())):
            input_notes += (f"{inputs_key}: {count_noun(gaps, 'value')} missing (nan); replaced by the column's mean",)
        notes = target_notes + notes + input_notes
        return build_dataset(self, location, inputs, targets, classes, parts, notes)


class TypedArraySource(ArraySource):
    """Arrays from Python code, where the type of the targets says what they are: floats are numbers, others classes."""

    def classes_or_numbers(self, column: AnyArray, where: str) -> tuple[Targets, tuple[str, ...]]:
        task = self.task
        if task == "auto":
            task = "regression" if column.dtype.kind == "f" and not self.classes else "classification"
        return read_targets(column, task, where, chosen=self.classes)


def concatenate_parts(arrays: Arrays, where: str) -> tuple[tuple[str, AnyArray], tuple[str, AnyArray], Indices]:
    """Concatenate the parts.

    Returns:
        The keys and values of the inputs, (N, ...); those of the targets, (N, ...); and each row's part, (N,).
    """
    parts = sorted({part for part, _ in arrays})
    result = []
    for kind in (0, 1):
        keys = [arrays[part, kind][0] for part in parts]
        names = ", ".join(keys)
        values = [decode_bytes(arrays[part, kind][1], f"{where}: {names}") for part in parts]
        shapes = [array.shape[1:] if array.ndim else None for array in values]
        if None in shapes or len(set(shapes)) > 1:
            raise InputError(f"{where}: {names}: examples of shapes {', '.join(map(str, shapes))}")
        check_types(values, f"{where}: {names}")
        if kind == 0:
            check_scales(dict(zip(keys, values, strict=True)), where)
        result.append((names, np.concatenate(values) if len(values) > 1 else values[0]))
    counts = [[len(arrays[part, kind][1]) for part in parts] for kind in (0, 1)]
    if counts[0] != counts[1]:
        raise InputError(f"{where}: {counts[0]} inputs, but {counts[1]} targets (in each part)")
    return result[0], result[1], np.repeat(parts, counts[0])


def decode_bytes(values: AnyArray, where: str) -> AnyArray:
    """Decode bytes as UTF-8; other types stay as they are."""
    try:
        return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    except UnicodeDecodeError:
        raise InputError(f"{where}: text is not UTF-8") from None


def check_types(values: Sequence[AnyArray], where: str) -> None:
    """Raise InputError if the parts mix text and numbers, or integer and float images."""
    if len({array.dtype.kind in "UO" for array in values}) > 1:
        raise InputError(f"{where}: both text and numbers")
    if values[0].ndim > 2 and len({array.dtype.kind == "f" for array in values}) > 1:
        types = ", ".join(str(array.dtype) for array in values)
        raise InputError(f"{where}: {types}; images must be whole numbers in each part, or floats in each part")


def as_inputs(
    values: AnyArray, name: str, where: str, kept: NDArray[np.bool_], reading: Reading
) -> tuple[InputArray, tuple[str, ...]]:
    """Convert inputs to images, numbers, or tokens.

    Numbers and tokens keep the shape in which they are stored. With 'auto', whole numbers in the shape of images become
    uint8 images, channels first, and everything else becomes numbers: the shape decides, not the type, since the same
    numbers may be stored in any type.

    Args:
        values: (N, ...).
        name: The array's name, for messages.
        where: The start of error messages.
        kept: The rows that are used, (N,).
        reading: What the values are.

    Returns:
        The inputs, (N, *shape), and notes on how they were read.
    """
    start = f"{where}: {name}"
    if values.dtype.kind not in "iufb":
        raise InputError(f"{start}: {values.dtype}; must be numbers")
    values = values.reshape(-1, 1) if values.ndim == 1 else values
    if 0 in values.shape:
        raise InputError(f"{start}: empty, of shape {values.shape}")
    if reading == "tokens":
        return as_tokens(values, start, kept), ()
    if reading == "numbers":
        return as_numbers(values, start, kept), ()
    values, note = channels_first(values), ""
    inputs: InputArray
    if values.ndim > 2 and values.dtype.kind != "f":
        inputs, note = as_images(values, start)
    else:
        inputs = as_numbers(values, start, kept)
        if values.ndim > 2:
            note = f"{values.dtype}, read as columns of numbers; images are whole numbers from 0 to 255"
        elif values.dtype == np.uint8 and values.shape[1] >= MIN_IMAGE_VALUES:
            note = f"rows of {values.shape[1]} numbers, read as columns; images have the shape {IMAGE_SHAPES}"
    return inputs, (f"{name}: {note}",) if note else ()


def channels_first(values: AnyArray) -> AnyArray:
    """(N, height, width, 3) → (N, 3, height, width). A single channel is dropped; other shapes stay."""
    if values.ndim != 4:
        return values
    if values.shape[3] == 1 or values.shape[1] == 1:
        return values[..., 0] if values.shape[3] == 1 else values[:, 0]
    return values.transpose(0, 3, 1, 2) if values.shape[3] == 3 and values.shape[1] != 3 else values


def as_images(values: AnyArray, where: str) -> tuple[NDArray[np.uint8], str]:
    """Convert whole numbers to levels from 0 to 255, with a note if they had another range or type.

    Raises:
        InputError: The shape is not (N, height, width) or (N, 3, height, width), or a number cannot be a level.
    """
    instead = "save them as floats, array.astype(float), to train on them as columns"
    if values.ndim > 4 or (values.ndim == 4 and values.shape[1] != 3):
        raise InputError(f"{where}: images of shape {values.shape[1:]}; must be {IMAGE_SHAPES}; or {instead}")
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest >= 2**MAX_BIT_DEPTH:
        levels = f"image levels are 0 to {2**MAX_BIT_DEPTH - 1:,} at most"
        raise InputError(
            f"{where}: whole numbers from {lowest:,} to {highest:,}, but {levels}; shift or scale them, or {instead}"
        )
    depth, note = bit_depth(highest), ""
    if depth != 8:
        note = scaled_note(highest, depth)
    elif values.dtype != np.uint8:
        note = f"{values.dtype}, read as images with levels from 0 to 255"
    return to_bytes(values, depth), note


def as_numbers(values: AnyArray, where: str, kept: NDArray[np.bool_]) -> InputArray:
    """Convert numbers, (N, ...), to float32 if that is exact, else to float64.

    Raises:
        InputError: A value in a kept row is infinite or too large for float32.
    """
    kind = np.float32 if np.can_cast(values.dtype, np.float32) else np.float64
    with np.errstate(over="ignore"):  # long double
        numbers: AnyArray = np.ascontiguousarray(values, kind)
    checked, limit = numbers if kept.all() else numbers[kept], np.finfo(np.float32).max
    # fmin and fmax skip missing values and need no memory
    if np.fmin.reduce(checked, axis=None) < -limit or np.fmax.reduce(checked, axis=None) > limit:
        raise InputError(f"{where}: a value is infinite, or too large for float32")
    return numbers


def as_tokens(values: AnyArray, where: str, kept: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Convert tokens, (N, ...), of any integer type to int32; InputError if one in a kept row is not an index."""
    if values.dtype.kind not in "iu":
        raise InputError(f"{where}: {values.dtype}; tokens have an integer type, as of array.astype(int)")
    checked = values if kept.all() else values[kept]
    lowest, highest = int(checked.min()), int(checked.max())
    if lowest < 0 or highest > MAX_TOKEN:
        allowed = f"tokens are indices, from 0 to {MAX_TOKEN:,} at most"
        raise InputError(f"{where}: whole numbers from {lowest:,} to {highest:,}; {allowed}")
    return np.ascontiguousarray(values, np.int32)


def is_one_hot(values: AnyArray) -> bool:
    """Whether each row of (N, K) has a single 1 and zeros otherwise."""
    return bool(((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all())


def as_column(values: AnyArray, name: str, where: str) -> tuple[AnyArray, tuple[str, ...]]:
    """Convert targets, (N,), (N, 1), or one-hot (N, K), to (N,), with notes on what was changed.

    Blanks around texts are dropped, as in a table.

    Raises:
        InputError: The shape or type is another.
    """
    notes: tuple[str, ...] = ()
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "iufb" and is_one_hot(values):
        notes = (f"{name}: one-hot rows of {values.shape[1]}, read as classes by the column of the 1",)
        values = values.argmax(axis=1)
    if values.ndim != 1 or values.dtype.kind not in "iufbU":
        what = f"{values.dtype} of shape {values.shape}"
        if values.ndim > 1:
            is_binary = values.ndim == 2 and values.dtype.kind in "iufb" and bool(((values == 0) | (values == 1)).all())
            several = (
                "multi-label targets are" if is_binary else "several targets per example, or a sequence of them, are"
            )
            what += f": {several} not supported"
        raise InputError(f"{where}: {name}: {what}; must be one number or class per example")
    if values.dtype.kind == "U":
        padded, values = values, np.char.strip(values)
        if len(np.unique(padded)) > len(np.unique(values)):
            notes = (f"{name}: blanks around texts are dropped, which makes some of them equal",)
    return values, notes


def fingerprint(arrays: Mapping[str, AnyArray]) -> str:
    """16 hexadecimal digits of the SHA-256 of the arrays' names, types, shapes, and values, in this order."""
    digest = hashlib.sha256()
    for name, values in arrays.items():
        digest.update(f"{name} {values.dtype.str} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values).view(np.uint8).data)
    return digest.hexdigest()[:16]
