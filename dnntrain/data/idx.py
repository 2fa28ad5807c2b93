"""The IDX format of the MNIST family: two zero bytes, a type, a rank, the sizes (big-endian), then the values."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dnntrain.utils.files import GZIP_MAGIC

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzipped or plain.

    Returns:
        The array, in the shape given by the header.

    Raises:
        ValueError: The file is damaged, truncated, or in another format.
        OSError: The file cannot be read.
    """
    data = path.read_bytes()
    if data.startswith(GZIP_MAGIC):
        try:
            data = gzip.decompress(data)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"damaged or truncated gzip file ({error})") from None
    return _parse(data)


def _parse(data: bytes) -> NDArray[np.uint8]:
    if len(data) < 4 or data[:2] != b"\0\0":
        raise ValueError("not an IDX file")
    kind, rank = data[2], data[3]
    if kind != _UNSIGNED_BYTE:
        raise ValueError(f"an IDX file of type 0x{kind:02x}; expected 0x08 (unsigned bytes)")
    start = 4 + 4 * rank
    if rank == 0 or len(data) < start:
        raise ValueError("an IDX file that ends within its header")
    shape = struct.unpack(f">{rank}I", data[4:start])
    if len(data) - start != math.prod(shape):
        raise ValueError(f"{len(data) - start} bytes of values; the header says {math.prod(shape)}")
    # A copy, because an array over `bytes` is read-only, and torch.from_numpy warns about that.
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()
