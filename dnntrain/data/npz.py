"""NumPy's .npz files: arrays of inputs and targets by the names that people give them."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.dataset import Dataset, Inputs
from dnntrain.data.own import (
    FEW_VALUES,
    TEST,
    TRAIN,
    VALIDATION,
    OwnTargets,
    Rows,
    assembled,
    cut,
    left_out,
    read_targets,
)
from dnntrain.data.source import DataHome
from dnntrain.errors import InputError, did_you_mean

Array = NDArray[Any]
Role = tuple[int, int]
"""The part, and 0 for inputs or 1 for targets."""
Arrays = dict[Role, tuple[str, Array]]
"""Arrays and their keys."""

INPUTS = ("x", "images", "image", "data", "features", "inputs")
TARGETS = ("y", "labels", "label", "targets", "target")
PARTS = {"": TRAIN, "train": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION, "test": TEST}
ROLES = {
    name: (part, kind)
    for kind, words in enumerate((INPUTS, TARGETS))
    for said, part in PARTS.items()
    for word in words
    for name in (word + said, said + word)
}
"""What an array is by its key, without underscores: xtrain and trainimages are (TRAIN, 0), ytrain is (TRAIN, 1)."""

MANY_VALUES = 1000
"""Different integers up to which a target is taken for classes, if they are no more than half the examples."""
BOMB_RATIO, BOMB_SIZE = 200, 1 << 30
"""No data pack so well: a member that is larger, in both respects, is there to fill the memory."""
DAMAGED = (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error, MemoryError)


class Npz(OwnTargets):
    """Arrays x_train, y_train, x_test, y_test, perhaps x_val, y_val; or x, y; or under similar names."""

    name: ClassVar[str] = "npz"
    summary: ClassVar[str] = "an .npz file with x_train, y_train, x_test, y_test, or x, y"

    @classmethod
    def reads(cls, path: str) -> bool:
        return path.casefold().endswith(".npz")

    def read(self, home: DataHome) -> Dataset:
        (path,) = self.files(home)
        arrays, ignored = read_arrays(path)
        (inputs_at, inputs), (targets_at, values), given = joined(arrays, path)
        column = as_column(values, targets_at)
        most = min(MANY_VALUES, len(column) // 2) if column.dtype.kind in "iu" else 0
        targets, classes = read_targets(column, self.task, targets_at, max(most, FEW_VALUES))
        parts = cut(targets, given, self.test, path)
        notes = left_out(ignored, "array", "neither inputs nor targets by its name")
        return assembled(self, home, as_inputs(inputs, inputs_at), targets, classes, parts, notes)


def read_arrays(path: Path) -> tuple[Arrays, list[str]]:
    """The arrays that ROLES knows; and the keys of the others. InputError if the file is damaged."""
    try:
        with zipfile.ZipFile(path) as packed:
            bombs = [member.filename for member in packed.infolist() if is_bomb(member)]
        if bombs:
            raise ValueError(f"{bombs[0]} would unpack to more than {BOMB_RATIO} times its size")
        with np.load(path, allow_pickle=False) as file:  # a pickle could run anything
            roles = {key: ROLES.get(key.casefold().replace("_", "").replace("-", "")) for key in file.files}
            check_roles(path, roles)
            arrays = {role: (key, np.asarray(file[key])) for key, role in roles.items() if role}
    except DAMAGED as error:
        reason = str(error) or type(error).__name__
        hint = "; save text as array.astype(str)" if "Object arrays" in reason else ""
        raise InputError(f"{path}: not a sound .npz file ({reason}){hint}") from None
    return arrays, [key for key, role in roles.items() if not role]


def is_bomb(member: zipfile.ZipInfo) -> bool:
    """Whether a packed file is absurdly small for what it says it holds."""
    return member.file_size > max(BOMB_SIZE, BOMB_RATIO * member.compress_size)


def check_roles(path: Path, roles: dict[str, Role | None]) -> None:
    """Raise InputError where the training arrays are missing, one has no partner, or two have the same role."""
    known = [role for role in roles.values() if role]
    for part, said in ((TRAIN, "train"), (VALIDATION, "val"), (TEST, "test")):
        for kind, letter in enumerate("xy"):
            same = [key for key, role in roles.items() if role == (part, kind)]
            if len(same) > 1:
                raise InputError(f"{path}: {' and '.join(same)} mean the same; leave one out")
            if not same and (part == TRAIN or (part, 1 - kind) in known):
                one = f"{letter}_{said}"
                alone = f" (or {letter})" if part == TRAIN else ""
                others = [key for key, role in roles.items() if not role] or roles
                raise InputError(f"{path}: no array {one}{alone}{did_you_mean(one, others) or '; it holds none'}")


def joined(arrays: Arrays, path: Path) -> tuple[tuple[str, Array], tuple[str, Array], Rows]:
    """The inputs (N, ...) and the targets (N, ...) of all parts, and where they are from; each row's part (N,)."""
    parts = sorted({part for part, _ in arrays})
    found = []
    for kind in (0, 1):
        keys, values = zip(*(arrays[part, kind] for part in parts), strict=True)
        shapes = [array.shape[1:] if array.ndim else None for array in values]
        if None in shapes or len(set(shapes)) > 1:
            raise InputError(f"{path}: {', '.join(keys)}: examples of shapes {', '.join(map(str, shapes))}")
        if len({array.dtype.kind in "USO" for array in values}) > 1:
            raise InputError(f"{path}: {', '.join(keys)}: text and numbers")
        found.append((f"{path}: {', '.join(keys)}", np.concatenate(values)))
    counts = [[len(arrays[part, kind][1]) for part in parts] for kind in (0, 1)]
    if counts[0] != counts[1]:
        raise InputError(f"{path}: {counts[0]} inputs, but {counts[1]} targets (in each part)")
    return found[0], found[1], np.repeat(parts, counts[0])


def as_inputs(values: Array, where: str) -> Inputs:
    """Examples (N, *shape) as a data set has them: images uint8, channels first; other numbers float32."""
    if values.dtype.kind not in "iufb":
        raise InputError(f"{where}: {values.dtype}, where numbers are needed")
    values = values.reshape(-1, 1) if values.ndim == 1 else channels_first(values)
    if 0 in values.shape:
        raise InputError(f"{where}: empty, of shape {values.shape}")
    is_shaped = values.ndim == 3 or (values.ndim == 4 and values.shape[1] == 3)
    if values.dtype == np.uint8 and values.ndim > 2 and not is_shaped:
        shapes = "(height, width), (height, width, 3) or (3, height, width)"
        raise InputError(f"{where}: images of shape {values.shape[1:]}; must be {shapes}")
    if values.dtype == np.uint8 or (values.dtype.kind in "iu" and is_shaped and are_levels(values)):
        return np.ascontiguousarray(values, np.uint8)
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(values, np.float32)
    if np.isinf(numbers).any():
        raise InputError(f"{where}: a value is infinite, or too large for float32")
    return numbers


def channels_first(values: Array) -> Array:
    """(N, height, width, 3) → (N, 3, height, width); a single channel, first or last, is dropped; others stay."""
    if values.ndim != 4:
        return values
    if values.shape[3] == 1 or values.shape[1] == 1:
        return values[..., 0] if values.shape[3] == 1 else values[:, 0]
    return values.transpose(0, 3, 1, 2) if values.shape[3] == 3 and values.shape[1] != 3 else values


def are_levels(values: Array) -> bool:
    """Whether whole numbers can be levels of an image."""
    return bool(values.min() >= 0 and values.max() <= 255)


def is_one_hot(values: Array) -> bool:
    """Whether each row of (N, K) is zeros but for a single one."""
    return bool(((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all())


def as_column(values: Array, where: str) -> Array:
    """Targets (N,), (N, 1) or one-hot (N, K) → (N,), bytes as text; InputError for other shapes or types."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "iufb" and is_one_hot(values):
        values = values.argmax(axis=1)
    if values.ndim != 1 or values.dtype.kind not in "iufbUS":
        raise InputError(
            f"{where}: {values.dtype} of shape {values.shape}; must be one number or class for each example"
        )
    try:
        return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    except UnicodeDecodeError:
        raise InputError(f"{where}: text that is not UTF-8") from None
