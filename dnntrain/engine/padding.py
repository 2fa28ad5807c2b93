"""How many rows a batch has: as many as its examples, and padding that fills whole SIMD registers."""

from __future__ import annotations

from collections.abc import Collection
from math import gcd

from dnntrain.engine.network import LayerSpecs
from dnntrain.nn.layer_spec import walk
from dnntrain.utils.memory import EVALUATION_ROWS

SIMD_WIDTH = 32
"""Elements that vectorized exp, tanh and the like process at once (two AVX-512 vectors). The remainder at the end is
computed one by one, which rounds differently."""

LARGEST_MAPS = 2**22
"""Numbers in the largest maps of an evaluation batch. A CNN of 32 maps of 28 × 28 takes 220 µs an example at 128
examples, 410 at 512."""


def padded_rows(rows: int, widths: Collection[int]) -> int:
    """The smallest number of rows ≥ `rows` for which rows × width is a multiple of SIMD_WIDTH for every width.

    Then each member fills whole SIMD registers, so its numbers do not depend on its neighbors.
    """
    multiple = SIMD_WIDTH // gcd(SIMD_WIDTH, *widths)
    # one row would be a vector, whose products use another kernel
    return max(2, -(-rows // multiple) * multiple)


def evaluation_rows(layers: LayerSpecs) -> int:
    """Examples per evaluation batch: fewer where layers make maps, so that these stay in the caches."""
    if all(len(layer.shape_out) == 1 for layer in walk(layers)):
        return EVALUATION_ROWS
    rows = LARGEST_MAPS // max(layer.activations for layer in walk(layers))
    return min(EVALUATION_ROWS, max(SIMD_WIDTH, rows // SIMD_WIDTH * SIMD_WIDTH))
