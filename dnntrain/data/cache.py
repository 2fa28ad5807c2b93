"""A cache of decoded arrays on disk, memory-mapped so that workers share the pages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dnntrain.data.dataset import Dataset
from dnntrain.data.preprocessing import Preprocessing
from dnntrain.utils.files import atomic_folder

ARRAYS = ("train_inputs", "train_targets", "test_inputs", "test_targets")
CACHE_VERSION = 4
"""Raised when the same files would be decoded differently, or more is kept of them."""


def cache_key(source: str, fingerprint: str, options: str) -> str:
    """Hash what the arrays depend on: the source, its files, its options, and the version of this code."""
    return hashlib.sha256(f"{CACHE_VERSION}/{source}/{fingerprint}/{options}".encode()).hexdigest()[:16]


def load_or_decode(folder: Path, decode: Callable[[], Dataset]) -> Dataset:
    """Map the arrays in a cache folder, or decode the data and save them there.

    If the folder cannot be written, the decoded data are returned from memory.
    """
    try:
        return load_mapped(folder)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # missing, damaged, or of an older format
    dataset = decode()
    try:
        save_arrays(dataset, folder)
        return load_mapped(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return dataset


def load_mapped(folder: Path) -> Dataset:
    """Load a cached data set with copy-on-write arrays; OSError, ValueError, KeyError, or TypeError if damaged."""
    about = json.loads((folder / "about.json").read_text("utf-8"))
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False) for name in ARRAYS}
    preprocessing = Preprocessing.parse(about.pop("preprocessing"))
    about |= {name: tuple(about[name]) for name in ("classes", "notes")}
    return Dataset(**about, **arrays, preprocessing=preprocessing)


def save_arrays(dataset: Dataset, folder: Path) -> None:
    """Write the data set's arrays to a folder, atomically; OSError if that fails."""
    with atomic_folder(folder) as scratch:
        for name in ARRAYS:
            np.save(scratch / f"{name}.npy", getattr(dataset, name), allow_pickle=False)
        about = {name: getattr(dataset, name) for name in ("name", "classes", "fingerprint", "license", "notes")}
        assert dataset.preprocessing is not None  # a source that decodes its data says how
        about |= {"n_validation": dataset.n_validation, "preprocessing": dataset.preprocessing.content()}
        text = json.dumps(about)
        (scratch / "about.json").write_text(text, encoding="utf-8")
