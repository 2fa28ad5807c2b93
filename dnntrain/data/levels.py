"""Levels of images: whole numbers of any bit depth, scaled to 0 to 255; and whether parts are on one scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnntrain.errors import InputError

DEEPEST = 16
"""Bits of the deepest images that are read; more would lose too much in 8 bits."""
DARK = 32
"""If all levels of a data set are below this, its depth is less than 8 bits: masks of 0 and 1, digits in 17 shades."""

MANY_LEVELS = 64
"""Whole numbers in a row from which on it may be an image that lost its shape."""


def bit_depth(most: int) -> int:
    """The bits of images whose highest level in the whole data set is `most`: 1 for masks, 8, 12 for a CT scan."""
    return 8 if DARK <= most < 256 else max(1, most.bit_length())


def to_bytes(levels: NDArray[Any], depth: int) -> NDArray[np.uint8]:
    """Levels from 0 to 2**depth - 1, of any whole-number type, as levels from 0 to 255."""
    if depth == 8:
        return np.ascontiguousarray(levels, np.uint8)
    table = np.rint(np.arange(2**depth) * (255 / (2**depth - 1))).astype(np.uint8)
    return np.asarray(table[levels.astype(np.uint16)], np.uint8)


def scaled_note(most: int, depth: int) -> str:
    """The note on images that do not have 8 bits."""
    return f"levels up to {most:,}, read as {depth}-bit images, 0 to {2**depth - 1:,} scaled to 0 to 255"


def check_scales(parts: Mapping[str, NDArray[Any]], where: str) -> None:
    """Raise InputError where the inputs (N, ...) of the parts, by their arrays' names, are on different scales.

    They are if one has fractions from -1 to 1 only and another whole numbers beyond; or if one has levels that the
    narrower type of another can not hold, so that 8-bit images would be taken for those of 12 bits.
    """
    parts = {name: values for name, values in parts.items() if values.size and values.dtype.kind in "iufb"}
    # fmin and fmax pass over missing values, and take no memory
    low = {name: np.fmin.reduce(values, axis=None) for name, values in parts.items()}
    high = {name: np.fmax.reduce(values, axis=None) for name, values in parts.items()}
    beyond = [name for name in parts if high[name] > 1]
    within = [name for name in parts if low[name] >= -1 and high[name] <= 1]
    differ = (
        bool(beyond and within)
        and any(map(is_whole, (parts[name] for name in beyond)))
        and not all(map(is_whole, (parts[name] for name in within)))
    )
    levels = [name for name, values in parts.items() if values.dtype.kind != "f" and is_imagelike(values)]
    if differ or any(high[name] > most_level(parts[other]) for name in levels for other in levels):
        said = [
            f"{name} has {values.dtype} from {low[name]:,.6g} to {high[name]:,.6g}" for name, values in parts.items()
        ]
        raise InputError(f"{where}: parts on different scales: {', '.join(said)}; bring them to one scale and type")


def is_whole(values: NDArray[Any]) -> bool:
    """Whether all values are whole numbers, but for missing ones."""
    return values.dtype.kind != "f" or bool(((values == np.floor(values)) | np.isnan(values)).all())


def is_imagelike(values: NDArray[Any]) -> bool:
    """Whether examples (N, ...) of whole numbers may be images, with or without their shape."""
    return values.ndim > 2 or (values.ndim == 2 and values.shape[1] >= MANY_LEVELS)


def most_level(values: NDArray[Any]) -> int:
    """The highest level that the type of whole numbers has room for, signed or not: 1 for bool, 255 for 8 bits."""
    return 1 if values.dtype.kind == "b" else int(2 ** (8 * values.dtype.itemsize) - 1)
