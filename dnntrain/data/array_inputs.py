"""Converts arrays to what a data set holds: images, numbers, or tokens; and a column of targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.dataset import InputArray
from dnntrain.data.levels import MAX_BIT_DEPTH, MIN_IMAGE_VALUES, bit_depth, scaled_note, to_bytes
from dnntrain.errors import InputError

AnyArray = NDArray[Any]
Reading = Literal["auto", "numbers", "tokens"]

IMAGE_SHAPES = "(height, width), (height, width, 3) or (3, height, width)"
MAX_TOKEN = 2**31 - 1


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


def as_array(value: Any, where: str) -> AnyArray:
    """Convert an array, tensor, gray or RGB image, number, text, or list of these; InputError for anything else."""
    if isinstance(value, np.ma.MaskedArray) and value.mask.any():
        raise InputError(f"{where} is a masked array; must have nan where a value is missing: array.filled(nan)")
    if hasattr(value, "getbands") and value.mode not in ("L", "RGB"):
        raise InputError(
            f"{where} is an image of mode {value.mode}; must be L (gray) or RGB, as of image.convert('RGB')"
        )
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{where} cannot become an array: {str(error).splitlines()[0]}") from None
    if array.dtype == object:
        hint = (
            "array.astype(str) makes names text, array.astype(float) makes numbers, and examples of different shapes "
            "need padding"
        )
        raise InputError(f"{where} is {type_and_shape(value)} of Python objects; must be numbers or text ({hint})")
    return array


def type_and_shape(value: Any) -> str:
    """A value's type and, for arrays, shape: 'a tuple of 2 (float32 (100, 4), int64 (100,))'."""
    if value is None:
        return "None"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    name = type(value).__name__
    article = "an" if name[0] in "aeiouAEIOU" else "a"
    if isinstance(value, Mapping):
        return f"{article} {name} with the keys {', '.join(map(str, value))[:200]}"
    if isinstance(value, tuple | list):
        inner = ", ".join(type_and_shape(each) for each in value[:6]) + (", …" if len(value) > 6 else "")
        return f"{article} {name} of {len(value)} ({inner})"
    return f"{article} {name}"
