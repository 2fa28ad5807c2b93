"""Opens NumPy .npz files safely, and knows what the names of their arrays mean."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dnntrain.data.user_data import TEST, TRAIN, VALIDATION
from dnntrain.errors import InputError

Role = tuple[int, int]
"""(part, kind): TRAIN, VALIDATION, or TEST; 0 for inputs or 1 for targets."""

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


def role_of(key: str) -> Role | None:
    """The part and kind that an array's name stands for; None for any other name."""
    return ROLES.get(key.casefold().replace("_", "").replace("-", ""))


@contextmanager
def open_npz(path: Path) -> Iterator[Any]:
    """Open an .npz file as `numpy.load` does, without pickles; InputError if it is damaged."""
    try:
        with zipfile.ZipFile(path) as packed:
            bombs = [member.filename for member in packed.infolist() if is_bomb(member)]
        if bombs:
            raise ValueError(f"{bombs[0]} would unpack to more than {BOMB_RATIO} times its size")
        with np.load(path, allow_pickle=False) as file:  # a pickle could run anything
            yield file
    except DAMAGED as error:
        reason = str(error) or type(error).__name__
        hint = "; save text as array.astype(str)" if "Object arrays" in reason else ""
        raise InputError(f"{path}: damaged, or not an .npz file ({reason}){hint}") from None


def is_bomb(member: zipfile.ZipInfo) -> bool:
    """Whether a member unpacks to an absurd size."""
    return member.file_size > max(BOMB_SIZE, BOMB_RATIO * member.compress_size)
