"""Image levels: whole numbers of any bit depth, scaled to 0 to 255; and a check that parts share one scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnntrain.errors import InputError

MAX_BIT_DEPTH = 16
"""The most bits per level that are accepted; more would lose too much in 8 bits."""
MIN_8_BIT_LEVEL = 32
"""If all levels of a data set are below this, it has fewer than 8 bits: masks of 0 and 1, digits in 17 shades."""

MIN_IMAGE_VALUES = 64
"""A row with at least this many whole numbers may be a flattened image."""


def bit_depth(highest: int) -> int:
    """The bits per level, from the highest level in the data set: 1 for masks, 8, or 12 for a CT scan."""
    return 8 if MIN_8_BIT_LEVEL <= highest < 256 else max(1, highest.bit_length())


def to_bytes(levels: NDArray[Any], depth: int) -> NDArray[np.uint8]:
    """Scale levels from 0 to 2**depth - 1, of any integer type, to 0 to 255."""
    if depth == 8:
        return np.ascontiguousarray(levels, np.uint8)
    table = np.rint(np.arange(2**depth) * (255 / (2**depth - 1))).astype(np.uint8)
    return np.asarray(table[levels.astype(np.uint16)], np.uint8)


def scaled_note(highest: int, depth: int) -> str:
    """A note on images that do not have 8 bits."""
    return f"levels up to {highest:,}, read as {depth}-bit images, 0 to {2**depth - 1:,} scaled to 0 to 255"


def check_scales(parts: Mapping[str, NDArray[Any]], where: str) -> None:
    """Check that the parts' inputs are on the same scale.

    They are not if one part has fractions within -1 to 1 and another has whole numbers beyond; or if one has levels
    that do not fit the narrower type of another, so that 8-bit images would be read as 12-bit images.

    Args:
        parts: Maps the names of arrays to inputs, (N, ...).
        where: The start of the message: the file.

    Raises:
        InputError: The scales differ.
    """
    parts = {name: values for name, values in parts.items() if values.size and values.dtype.kind in "iufb"}
    # fmin and fmax skip missing values and need no memory
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
    if differ or any(high[name] > max_level(parts[other]) for name in levels for other in levels):
        ranges = [
            f"{name} has {values.dtype} from {low[name]:,.6g} to {high[name]:,.6g}" for name, values in parts.items()
        ]
        raise InputError(
            f"{where}: parts on different scales: {', '.join(ranges)}; use the same scale and type for all"
        )


def is_whole(values: NDArray[Any]) -> bool:
    """Whether all values are whole numbers or missing."""
    return values.dtype.kind != "f" or bool(((values == np.floor(values)) | np.isnan(values)).all())


def is_imagelike(values: NDArray[Any]) -> bool:
    """Whether whole numbers, (N, ...), may be images, flattened or not."""
    return values.ndim > 2 or (values.ndim == 2 and values.shape[1] >= MIN_IMAGE_VALUES)


def max_level(values: NDArray[Any]) -> int:
    """The highest level that an integer type's bits can hold: 1 for bool, 255 for 8 bits, signed or not."""
    return 1 if values.dtype.kind == "b" else int(2 ** (8 * values.dtype.itemsize) - 1)
