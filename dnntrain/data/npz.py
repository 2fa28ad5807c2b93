"""NumPy .npz files: arrays of inputs and targets, under their usual names."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from dnntrain.data.arrays import Arrays, ArraySource
from dnntrain.data.dataset import Dataset
from dnntrain.data.npz_file import Role, open_npz, role_of
from dnntrain.data.source import DataLocation, FileSource
from dnntrain.data.user_data import TEST, TRAIN, VALIDATION, exclusion_note
from dnntrain.errors import InputError, did_you_mean


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
    with open_npz(path) as file:
        roles = {key: role_of(key) for key in file.files}
        check_roles(path, roles)
        arrays = {role: (key, np.asarray(file[key])) for key, role in roles.items() if role}
    return arrays, [key for key, role in roles.items() if not role]


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
