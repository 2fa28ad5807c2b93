"""NumPy .npz files: arrays of inputs and targets, under their usual names."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dnntrain.data.copies import Indices, copy_groups
from dnntrain.data.dataset import Dataset, InputArray, count_noun
from dnntrain.data.levels import MAX_BIT_DEPTH, MIN_IMAGE_VALUES, bit_depth, check_scales, scaled_note, to_bytes
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

AnyArray = NDArray[Any]
Role = tuple[int, int]
"""(part, kind): TRAIN, VALIDATION, or TEST; 0 for inputs or 1 for targets."""
Arrays = dict[Role, tuple[str, AnyArray]]
"""Maps roles to keys and arrays."""

INPUTS = ("x", "images", "image", "data", "features", "inputs")
TARGETS = ("y", "labels", "label", "targets", "target")
PART_NAMES = {"": TRAIN, "train": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION, "test": TEST}
ROLES = {
    name: (part, kind)
    for kind, words in enumerate((INPUTS, TARGETS))
    for part_name, part in PART_NAMES.items()
    for word in words
    for name in (word + part_name, part_name + word)
}
"""Maps keys without underscores to roles: xtrain and trainimages are (TRAIN, 0), ytrain is (TRAIN, 1)."""

MANY_VALUES = 1000
"""A target with up to this many distinct whole numbers is classes, if there are twice as many examples."""
IMAGE_SHAPES = "(height, width), (height, width, 3) or (3, height, width)"
BOMB_RATIO, BOMB_SIZE = 200, 1 << 30
"""Real data do not compress this well: a member above both limits is a zip bomb."""
DAMAGED = (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error, MemoryError)


class Npz(LabelledFileSource):
    """Arrays x_train, y_train, x_test, y_test and, optionally, x_val, y_val; or x, y; or similar names."""

    name: ClassVar[str] = "npz"
    summary: ClassVar[str] = "an .npz file with x_train, y_train, x_test, y_test, or x, y"

    @classmethod
    def reads(cls, path: str) -> bool:
        return path.casefold().endswith(".npz")

    def read(self, location: DataLocation) -> Dataset:
        (path,) = self.files(location)
        arrays, ignored = read_arrays(path)
        (inputs_key, values), (targets_key, labels), given = concatenate_parts(arrays, path)
        column, notes = as_column(labels, targets_key, path)
        few = max(FEW_VALUES, min(MANY_VALUES, len(column) // 2))
        targets, classes = read_targets(column, self.task, f"{path}: {targets_key}", few, self.classes)
        if self.task == "auto" and column.dtype.kind in "iuf" and not self.classes and len(classes) > FEW_VALUES:
            hint = "--task regression predicts the number"
            notes += (f"{targets_key}: {len(classes)} different whole numbers, read as classes; {hint}",)
        kept = chosen_rows(self.classes, targets, classes)
        inputs, more = as_inputs(values, inputs_key, path, kept)
        parts = split_rows(targets, given, self.test, path, copy_groups(inputs), kept)
        notes += exclusion_note(ignored, "array", "its name means neither inputs nor targets") + more
        if inputs.dtype.kind == "f" and (gaps := int(np.isnan(inputs[kept]).sum())):
            notes += (f"{inputs_key}: {count_noun(gaps, 'value')} missing (nan); replaced by the column's mean",)
        return build_dataset(self, location, inputs, targets, classes, parts, notes)


def read_arrays(path: Path) -> tuple[Arrays, list[str]]:
    """Read the arrays with a role, and the keys of the others; InputError if the file is damaged."""
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
        raise InputError(f"{path}: damaged, or not an .npz file ({reason}){hint}") from None
    return arrays, [key for key, role in roles.items() if not role]


def is_bomb(member: zipfile.ZipInfo) -> bool:
    """Whether a member unpacks to an absurd size."""
    return member.file_size > max(BOMB_SIZE, BOMB_RATIO * member.compress_size)


def check_roles(path: Path, roles: dict[str, Role | None]) -> None:
    """Raise InputError if training arrays are missing, one has no partner, or two have the same role."""
    present = [role for role in roles.values() if role]
    for part, part_name in ((TRAIN, "train"), (VALIDATION, "val"), (TEST, "test")):
        for kind, letter in enumerate("xy"):
            same = [key for key, role in roles.items() if role == (part, kind)]
            if len(same) > 1:
                raise InputError(f"{path}: {' and '.join(same)} mean the same; leave one out")
            if not same and (part == TRAIN or (part, 1 - kind) in present):
                expected = f"{letter}_{part_name}"
                alone = f" (or {letter})" if part == TRAIN else ""
                others = [key for key, role in roles.items() if not role] or roles
                raise InputError(
                    f"{path}: no array {expected}{alone}{did_you_mean(expected, others) or '; it has no arrays'}"
                )


def concatenate_parts(arrays: Arrays, path: Path) -> tuple[tuple[str, AnyArray], tuple[str, AnyArray], Indices]:
    """Concatenate the parts.

    Returns:
        The keys and values of the inputs, (N, ...); those of the targets, (N, ...); and each row's part, (N,).
    """
    parts = sorted({part for part, _ in arrays})
    result = []
    for kind in (0, 1):
        keys = [arrays[part, kind][0] for part in parts]
        where = ", ".join(keys)
        values = [decode_bytes(arrays[part, kind][1], f"{path}: {where}") for part in parts]
        shapes = [array.shape[1:] if array.ndim else None for array in values]
        if None in shapes or len(set(shapes)) > 1:
            raise InputError(f"{path}: {where}: examples of shapes {', '.join(map(str, shapes))}")
        check_types(values, f"{path}: {where}")
        if kind == 0:
            check_scales(dict(zip(keys, values, strict=True)), str(path))
        result.append((where, np.concatenate(values) if len(values) > 1 else values[0]))
    counts = [[len(arrays[part, kind][1]) for part in parts] for kind in (0, 1)]
    if counts[0] != counts[1]:
        raise InputError(f"{path}: {counts[0]} inputs, but {counts[1]} targets (in each part)")
    return result[0], result[1], np.repeat(parts, counts[0])


def decode_bytes(values: AnyArray, where: str) -> AnyArray:
    """Decode bytes as UTF-8; other types stay as they are."""
    try:
        return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    except UnicodeDecodeError:
        raise InputError(f"{where}: text is not UTF-8") from None


def check_types(values: Sequence[AnyArray], where: str) -> None:
    """Raise InputError if the parts mix text and numbers, or integer and float images."""
    if len({array.dtype.kind in "UO" for array in values}) > 1:
        raise InputError(f"{where}: both text and numbers")
    if values[0].ndim > 2 and len({array.dtype.kind == "f" for array in values}) > 1:
        types = ", ".join(str(array.dtype) for array in values)
        raise InputError(f"{where}: {types}; images must be whole numbers in each part, or floats in each part")


def as_inputs(values: AnyArray, name: str, path: Path, kept: NDArray[np.bool_]) -> tuple[InputArray, tuple[str, ...]]:
    """Convert inputs to images or columns.

    Whole numbers in the shape of images become uint8 images, channels first. Everything else becomes columns. The
    shape decides, not the type, since the same numbers may be stored in any type.

    Args:
        values: (N, ...).
        name: The array's key, for messages.
        path: The file, for messages.
        kept: The rows that are used, (N,).

    Returns:
        The inputs, (N, *shape), and notes on how they were read.
    """
    where = f"{path}: {name}"
    if values.dtype.kind not in "iufb":
        raise InputError(f"{where}: {values.dtype}; must be numbers")
    values = values.reshape(-1, 1) if values.ndim == 1 else channels_first(values)
    if 0 in values.shape:
        raise InputError(f"{where}: empty, of shape {values.shape}")
    inputs: InputArray
    if values.ndim > 2 and values.dtype.kind != "f":
        inputs, note = as_images(values, where)
    else:
        inputs, note = as_columns(values, where, kept)
    return inputs, (f"{name}: {note}",) if note else ()


def channels_first(values: AnyArray) -> AnyArray:
    """(N, height, width, 3) → (N, 3, height, width). A single channel is dropped; other shapes stay."""
    if values.ndim != 4:
        return values
    if values.shape[3] == 1 or values.shape[1] == 1:
        return values[..., 0] if values.shape[3] == 1 else values[:, 0]
    return values.transpose(0, 3, 1, 2) if values.shape[3] == 3 and values.shape[1] != 3 else values


def as_images(values: AnyArray, where: str) -> tuple[NDArray[np.uint8], str]:
    """Convert whole numbers to levels from 0 to 255, with a note if they had another range or type.

    Raises:
        InputError: The shape is not (N, height, width) or (N, 3, height, width), or a number cannot be a level.
    """
    instead = "save them as floats, array.astype(float), to train on them as columns"
    if values.ndim > 4 or (values.ndim == 4 and values.shape[1] != 3):
        raise InputError(f"{where}: images of shape {values.shape[1:]}; must be {IMAGE_SHAPES}; or {instead}")
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest >= 2**MAX_BIT_DEPTH:
        levels = f"image levels are 0 to {2**MAX_BIT_DEPTH - 1:,} at most"
        raise InputError(
            f"{where}: whole numbers from {lowest:,} to {highest:,}, but {levels}; shift or scale them, or {instead}"
        )
    depth, note = bit_depth(highest), ""
    if depth != 8:
        note = scaled_note(highest, depth)
    elif values.dtype != np.uint8:
        note = f"{values.dtype}, read as images with levels from 0 to 255"
    return to_bytes(values, depth), note


def as_columns(values: AnyArray, where: str, kept: NDArray[np.bool_]) -> tuple[InputArray, str]:
    """Convert numbers, (N, ...), to float32 if that is exact, else to float64, with a note if they may be images.

    Raises:
        InputError: A value in a kept row is infinite or too large for float32.
    """
    kind = np.float32 if np.can_cast(values.dtype, np.float32) else np.float64
    with np.errstate(over="ignore"):  # long double
        numbers: AnyArray = np.ascontiguousarray(values, kind)
    checked, limit = numbers if kept.all() else numbers[kept], np.finfo(np.float32).max
    # fmin and fmax skip missing values and need no memory
    if np.fmin.reduce(checked, axis=None) < -limit or np.fmax.reduce(checked, axis=None) > limit:
        raise InputError(f"{where}: a value is infinite, or too large for float32")
    if values.ndim > 2:
        return numbers, f"{values.dtype}, read as columns of numbers; images are whole numbers from 0 to 255"
    if values.dtype == np.uint8 and values.shape[1] >= MIN_IMAGE_VALUES:
        return numbers, f"rows of {values.shape[1]} numbers, read as columns; images have the shape {IMAGE_SHAPES}"
    return numbers, ""


def is_one_hot(values: AnyArray) -> bool:
    """Whether each row of (N, K) has a single 1 and zeros otherwise."""
    return bool(((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all())


def as_column(values: AnyArray, name: str, path: Path) -> tuple[AnyArray, tuple[str, ...]]:
    """Convert targets, (N,), (N, 1), or one-hot (N, K), to (N,), with notes on what was changed.

    Blanks around texts are dropped, as in a table.

    Raises:
        InputError: The shape or type is another.
    """
    notes: tuple[str, ...] = ()
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "iufb" and is_one_hot(values):
        notes = (f"{name}: one-hot rows of {values.shape[1]}, read as classes by the column of the 1",)
        values = values.argmax(axis=1)
    if values.ndim != 1 or values.dtype.kind not in "iufbU":
        what = f"{values.dtype} of shape {values.shape}"
        raise InputError(f"{path}: {name}: {what}; must be one number or class per example")
    if values.dtype.kind == "U":
        padded, values = values, np.char.strip(values)
        if len(np.unique(padded)) > len(np.unique(values)):
            notes = (f"{name}: blanks around texts are dropped, which makes some of them equal",)
    return values, notes
