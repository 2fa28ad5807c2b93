"""Arrays that were decoded once, kept beside the data and mapped into memory, so that workers share their pages."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dnntrain.data.dataset import Dataset
from dnntrain.utils.files import atomic_folder

if TYPE_CHECKING:
    from dnntrain.data.source import DataLocation, DataSource

ARRAYS = ("train_inputs", "train_targets", "test_inputs", "test_targets")
VERSION = 2
"""Raised when the same files would be decoded otherwise."""


def decoded(source: DataSource, home: DataLocation) -> Dataset:
    """The source's data: mapped from disk where it was decoded before, else decoded and kept there.

    Where nothing can be written, the data are decoded in memory.
    """
    fingerprint = source.fingerprint(home)
    folder = home.folder / "decoded" / key(source, fingerprint)
    try:
        return replace(mapped(folder), name=source.display_name())  # a copy of the same bytes may lie elsewhere
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or damaged
    dataset = source.read(home)
    try:
        keep(dataset, folder)
        return mapped(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return dataset


def key(source: DataSource, fingerprint: str) -> str:
    """The folder's name: what the arrays depend on is the files, the options and this code."""
    options = source.model_dump_json(exclude={"path"} if source.reads_chosen else {"path", "classes"})
    return hashlib.sha256(f"{VERSION}/{source.name}/{fingerprint}/{options}".encode()).hexdigest()[:16]


def mapped(folder: Path) -> Dataset:
    """The data set in a folder, its arrays copied on writing only; OSError or ValueError where it is not whole."""
    about = json.loads((folder / "about.json").read_text("utf-8"))
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False) for name in ARRAYS}
    return Dataset(**about | {name: tuple(about[name]) for name in ("classes", "notes")}, **arrays)


def keep(dataset: Dataset, folder: Path) -> None:
    """Write the data set's arrays; the folder appears whole. OSError where that cannot be."""
    with atomic_folder(folder) as scratch:
        for name in ARRAYS:
            np.save(scratch / f"{name}.npy", getattr(dataset, name), allow_pickle=False)
        about = {name: getattr(dataset, name) for name in ("name", "classes", "fingerprint", "licence", "notes")}
        text = json.dumps(about | {"n_validation": dataset.n_validation})
        (scratch / "about.json").write_text(text, encoding="utf-8")
