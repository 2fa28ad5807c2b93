"""NumPy .npz files: arrays of inputs and targets, under their usual names."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np

from dnntrain.data.arrays import Arrays, ArraySource, Role
from dnntrain.data.dataset import Dataset
from dnntrain.data.source import DataLocation, FileSource
from dnntrain.data.user_data import TEST, TRAIN, VALIDATION, exclusion_note
from dnntrain.errors import InputError, did_you_mean

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

BOMB_RATIO, BOMB_SIZE = 200, 1 << 30
"""Real data do not compress this well: a member above both limits is a zip bomb."""
DAMAGED = (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error, MemoryError)


class Npz(ArraySource, FileSource):
    """Arrays x_train, y_train, x_test, y_test and, optionally, x_val, y_val; or x, y; or similar names."""

    name: ClassVar[str] = "npz"
    summary: ClassVar[str] = "an .npz file with x_train, y_train, x_test, y_test, or x, y"

    @classmethod
    def reads(cls, path: str) -> bool:
        return path.casefold().endswith(".npz")

    def read(self, location: DataLocation) -> Dataset:
        (path,) = self.files(location)
        arrays, ignored = read_arrays(path)
        notes = exclusion_note(ignored, "array", "its name means neither inputs nor targets")
        return self.build(location, arrays, str(path), notes, self.test)


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
