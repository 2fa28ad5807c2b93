"""Levels of images: whole numbers of any bit depth, scaled to 0 to 255."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DEEPEST = 16
"""Bits of the deepest images that are read; more would lose too much in 8 bits."""
DARK = 32
"""If all levels of a data set are below this, its depth is less than 8 bits: masks of 0 and 1, digits in 17 shades."""


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
