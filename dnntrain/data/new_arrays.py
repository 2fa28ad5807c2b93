"""New arrays for a trained network: from an .npz file, or in memory."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnntrain.data.array_inputs import AnyArray, as_array, as_column
from dnntrain.data.npz_file import INPUTS, open_npz, role_of
from dnntrain.data.preprocessing import existing_path
from dnntrain.errors import InputError


class NewArray(NamedTuple):
    """Inputs as they are stored."""

    where: str
    """Starts messages: 'new.npz: x', or 'data'."""
    values: AnyArray
    """(N, ...)."""
    labels: AnyArray | None = None
    """(N,)."""


def read_new_array(data: object, shape: tuple[int, ...]) -> NewArray:
    """Read an array of inputs from an .npz file, an array, a tensor, a DataFrame, or lists of numbers.

    A single example of this shape becomes an array of one.

    Raises:
        InputError: The file is damaged, has no array of inputs or several, or the values cannot become an array.
    """
    path = existing_path(data)
    if path and path.suffix.casefold() != ".npz":
        raise InputError(f"{path}: the run was trained on arrays; give an .npz file")
    array = read_new_npz(path) if path else NewArray("data", as_array(data, "data"))
    if array.values.dtype.kind not in "iufb":
        raise InputError(f"{array.where}: {array.values.dtype}; must be numbers")
    if array.values.shape == shape and shape != (1,):  # an array (1,) may be one number for each example
        return array._replace(values=array.values[np.newaxis])
    if not array.values.size:
        raise InputError(f"{array.where}: empty, of shape {array.values.shape}")
    return array


def read_new_npz(path: Path) -> NewArray:
    """The inputs of an .npz file, under a usual name or as the only array, and the targets, if they are there."""
    with open_npz(path) as file:
        roles = {key: role_of(key) for key in file.files}
        inputs = [key for key, role in roles.items() if role and role[1] == 0]
        inputs = inputs or (file.files if len(file.files) == 1 else [])
        if not inputs:
            raise InputError(f"{path}: no array called {' or '.join(INPUTS)}; it has {', '.join(file.files) or 'none'}")
        if len(inputs) > 1:
            raise InputError(f"{path}: {' and '.join(inputs)} are inputs; give a file with one array of them, as x")
        [key] = inputs
        part = (roles[key] or (0, 0))[0]
        targets = next((name for name, role in roles.items() if role == (part, 1)), "")
        values, labels = np.asarray(file[key]), np.asarray(file[targets]) if targets else None
    if labels is None:
        return NewArray(f"{path}: {key}", values)
    if not labels.ndim or not values.ndim or len(labels) != len(values):
        raise InputError(f"{path}: {key} of shape {values.shape}, but {targets} of shape {labels.shape}")
    return NewArray(f"{path}: {key}", values, as_column(labels, targets, str(path))[0])


def check_shape(array: NewArray, values: AnyArray, shape: tuple[int, ...]) -> None:
    """Raise InputError if the examples among `values`, (N, *shape), have another shape than in training."""
    if values.shape[1:] != shape:
        raise InputError(f"{array.where}: examples of shape {values.shape[1:]}; the run was trained on {shape}")
