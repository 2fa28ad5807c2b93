"""NumPy's .npz files: arrays of inputs and targets by the names that people give them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.copies import Rows, copy_groups
from dnntrain.data.dataset import Dataset, Inputs, counted
from dnntrain.data.levels import DEEPEST, MANY_LEVELS, bit_depth, check_scales, scaled_note, to_bytes
from dnntrain.data.source import DataLocation
from dnntrain.data.user_data import (
    FEW_VALUES,
    TEST,
    TRAIN,
    VALIDATION,
    LabelledFileSource,
    build_dataset,
    chosen_rows,
    exclusion_note,
    read_targets,
    split_rows,
)
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
"""Different whole numbers up to which a target is taken for classes, if they are no more than half the examples."""
IMAGE_SHAPES = "(height, width), (height, width, 3) or (3, height, width)"
BOMB_RATIO, BOMB_SIZE = 200, 1 << 30
"""No data pack so well: a member that is larger, in both respects, is there to fill the memory."""
DAMAGED = (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error, MemoryError)


class Npz(LabelledFileSource):
    """Arrays x_train, y_train, x_test, y_test, perhaps x_val, y_val; or x, y; or under similar names."""

    name: ClassVar[str] = "npz"
    summary: ClassVar[str] = "an .npz file with x_train, y_train, x_test, y_test, or x, y"

    @classmethod
    def reads(cls, path: str) -> bool:
        return path.casefold().endswith(".npz")

    def read(self, home: DataLocation) -> Dataset:
        (path,) = self.files(home)
        arrays, ignored = read_arrays(path)
        (inputs_at, values), (targets_at, labels), given = joined(arrays, path)
        column, notes = as_column(labels, targets_at, path)
        few = max(FEW_VALUES, min(MANY_VALUES, len(column) // 2))
        targets, classes = read_targets(column, self.task, f"{path}: {targets_at}", few, self.classes)
        if self.task == "auto" and column.dtype.kind in "iuf" and not self.classes and len(classes) > FEW_VALUES:
            hint = "--task regression predicts the number"
            notes += (f"{targets_at}: {len(classes)} different whole numbers are taken for classes; {hint}",)
        kept = chosen_rows(self.classes, targets, classes)
        inputs, more = as_inputs(values, inputs_at, path, kept)
        parts = split_rows(targets, given, self.test, path, copy_groups(inputs), kept)
        notes += exclusion_note(ignored, "array", "neither inputs nor targets by its name") + more
        if inputs.dtype.kind == "f" and (gaps := int(np.isnan(inputs[kept]).sum())):
            notes += (
                f"{inputs_at}: {counted(gaps, 'value')} missing (nan); the mean of the column takes each one's place",
            )
        return build_dataset(self, home, inputs, targets, classes, parts, notes)


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
    """The inputs (N, ...) and the targets (N, ...) of all parts, and their keys; each row's part (N,)."""
    parts = sorted({part for part, _ in arrays})
    found = []
    for kind in (0, 1):
        keys = [arrays[part, kind][0] for part in parts]
        where = ", ".join(keys)
        values = [as_text(arrays[part, kind][1], f"{path}: {where}") for part in parts]
        shapes = [array.shape[1:] if array.ndim else None for array in values]
        if None in shapes or len(set(shapes)) > 1:
            raise InputError(f"{path}: {where}: examples of shapes {', '.join(map(str, shapes))}")
        check_types(values, f"{path}: {where}")
        if kind == 0:
            check_scales(dict(zip(keys, values, strict=True)), str(path))
        found.append((where, np.concatenate(values) if len(values) > 1 else values[0]))
    counts = [[len(arrays[part, kind][1]) for part in parts] for kind in (0, 1)]
    if counts[0] != counts[1]:
        raise InputError(f"{path}: {counts[0]} inputs, but {counts[1]} targets (in each part)")
    return found[0], found[1], np.repeat(parts, counts[0])


def as_text(values: Array, where: str) -> Array:
    """Bytes as text; anything else as it is."""
    try:
        return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    except UnicodeDecodeError:
        raise InputError(f"{where}: text that is not UTF-8") from None


def check_types(values: Sequence[Array], where: str) -> None:
    """Raise InputError where the parts' values cannot mean the same: text and numbers, or levels and fractions."""
    if len({array.dtype.kind in "UO" for array in values}) > 1:
        raise InputError(f"{where}: text and numbers")
    if values[0].ndim > 2 and len({array.dtype.kind == "f" for array in values}) > 1:
        types = ", ".join(str(array.dtype) for array in values)
        raise InputError(f"{where}: {types}; images must be whole numbers in each part, or floats in each part")


def as_inputs(values: Array, name: str, path: Path, kept: NDArray[np.bool_]) -> tuple[Inputs, tuple[str, ...]]:
    """Examples (N, *shape) as a data set has them, and notes on what they are taken for.

    Whole numbers in the shape of images are images: uint8, channels first. All else is columns. The shape decides, and
    not the type, since the same numbers come in any type.
    """
    where = f"{path}: {name}"
    if values.dtype.kind not in "iufb":
        raise InputError(f"{where}: {values.dtype}, where numbers are needed")
    values = values.reshape(-1, 1) if values.ndim == 1 else channels_first(values)
    if 0 in values.shape:
        raise InputError(f"{where}: empty, of shape {values.shape}")
    inputs: Inputs
    if values.ndim > 2 and values.dtype.kind != "f":
        inputs, note = as_images(values, where)
    else:
        inputs, note = as_columns(values, where, kept)
    return inputs, (f"{name}: {note}",) if note else ()


def channels_first(values: Array) -> Array:
    """(N, height, width, 3) → (N, 3, height, width); a single channel, first or last, is dropped; others stay."""
    if values.ndim != 4:
        return values
    if values.shape[3] == 1 or values.shape[1] == 1:
        return values[..., 0] if values.shape[3] == 1 else values[:, 0]
    return values.transpose(0, 3, 1, 2) if values.shape[3] == 3 and values.shape[1] != 3 else values


def as_images(values: Array, where: str) -> tuple[NDArray[np.uint8], str]:
    """Whole numbers (N, height, width) or (N, 3, height, width) as levels from 0 to 255; a note if they were not.

    Raises InputError for other shapes, and for numbers that cannot be levels.
    """
    instead = "save them as floats, array.astype(float), to train on them as columns"
    if values.ndim > 4 or (values.ndim == 4 and values.shape[1] != 3):
        raise InputError(f"{where}: images of shape {values.shape[1:]}; must be {IMAGE_SHAPES}; or {instead}")
    least, most = int(values.min()), int(values.max())
    if least < 0 or most >= 2**DEEPEST:
        levels = f"levels of images are 0 to {2**DEEPEST - 1:,} at most"
        raise InputError(
            f"{where}: whole numbers from {least:,} to {most:,}, but {levels}; shift or scale them, or {instead}"
        )
    depth, note = bit_depth(most), ""
    if depth != 8:
        note = scaled_note(most, depth)
    elif values.dtype != np.uint8:
        note = f"{values.dtype}, read as images with levels from 0 to 255"
    return to_bytes(values, depth), note


def as_columns(values: Array, where: str, kept: NDArray[np.bool_]) -> tuple[Inputs, str]:
    """Numbers (N, ...) as float32 where that holds them exactly, else float64; and a note if they may be images.

    Raises InputError for an infinite value in a row that is kept, or one that is too large for float32.
    """
    kind = np.float32 if np.can_cast(values.dtype, np.float32) else np.float64
    with np.errstate(over="ignore"):  # from long double
        numbers: Array = np.ascontiguousarray(values, kind)
    checked, limit = numbers if kept.all() else numbers[kept], np.finfo(np.float32).max
    # fmin and fmax pass over missing values, and take no memory
    if np.fmin.reduce(checked, axis=None) < -limit or np.fmax.reduce(checked, axis=None) > limit:
        raise InputError(f"{where}: a value is infinite, or too large for float32")
    if values.ndim > 2:
        return numbers, f"{values.dtype}, read as columns of numbers; images are whole numbers from 0 to 255"
    if values.dtype == np.uint8 and values.shape[1] >= MANY_LEVELS:
        return numbers, f"rows of {values.shape[1]} numbers, read as columns; images have the shape {IMAGE_SHAPES}"
    return numbers, ""


def is_one_hot(values: Array) -> bool:
    """Whether each row of (N, K) is zeros but for a single one."""
    return bool(((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all())


def as_column(values: Array, name: str, path: Path) -> tuple[Array, tuple[str, ...]]:
    """Targets (N,), (N, 1) or one-hot (N, K) → (N,), and notes on what is changed.

    Text loses the blanks at its ends, as in a table. Raises InputError for other shapes or types.
    """
    notes: tuple[str, ...] = ()
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "iufb" and is_one_hot(values):
        notes = (f"{name}: one-hot rows of {values.shape[1]}, read as classes by the column of the 1",)
        values = values.argmax(axis=1)
    if values.ndim != 1 or values.dtype.kind not in "iufbU":
        what = f"{values.dtype} of shape {values.shape}"
        raise InputError(f"{path}: {name}: {what}; must be one number or class for each example")
    if values.dtype.kind == "U":
        padded, values = values, np.char.strip(values)
        if len(np.unique(padded)) > len(np.unique(values)):
            notes = (f"{name}: blanks at the ends of texts are left out, which makes some equal",)
    return values, notes
