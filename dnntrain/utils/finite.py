"""Numbers that are nan or infinite: an error in loaded weights, null in JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dnntrain.errors import InputError


def check_finite(tensors: Mapping[str, Any], where: str, why: str = "") -> None:
    """Check that all values of some tensors are finite.

    Args:
        tensors: NumPy arrays, or torch tensors on the CPU, by name.
        where: The start of the error message, usually a file.
        why: The end of the message: what such weights cannot be used for.

    Raises:
        InputError: A value is not finite; the message names the first such tensor.
    """
    for name, tensor in tensors.items():
        values = np.asarray(tensor)
        bad = int(np.count_nonzero(~np.isfinite(values))) if values.dtype.kind == "f" else 0
        if bad:
            message = f"{where}: tensor {name} has nan or infinite values ({bad:,} of {values.size:,})"
            raise InputError(f"{message}; {why}" if why else message)


def nan_to_none(value: Any) -> Any:
    """Replace every number that is not finite by None, in nested dicts and lists: JSON has no nan."""
    if isinstance(value, dict):
        return {key: nan_to_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [nan_to_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
