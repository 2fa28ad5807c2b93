"""Numbers that are nan or infinite: refused in weights that are loaded, and null in JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dnntrain.errors import InputError


def check_finite(tensors: Mapping[str, Any], where: str, why: str = "") -> None:
    """Raise InputError that names the first tensor (NumPy's, or PyTorch's on the CPU) with a value that is not finite.

    The message begins with `where`; `why` says what cannot be done with it.
    """
    for name, tensor in tensors.items():
        values = np.asarray(tensor)
        bad = int(np.count_nonzero(~np.isfinite(values))) if values.dtype.kind == "f" else 0
        if bad:
            said = f"{where}: tensor {name} has nan or infinite values ({bad:,} of {values.size:,})"
            raise InputError(f"{said}; {why}" if why else said)


def nan_to_none(value: Any) -> Any:
    """A record with None for every number that is not finite: JSON has no nan."""
    if isinstance(value, dict):
        return {key: nan_to_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [nan_to_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
