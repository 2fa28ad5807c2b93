"""A disk cache for the outputs of frozen layers, filled row by row and mapped into memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from dnntrain.data.exclusive_write import exclusive_write
from dnntrain.data.source import DataLocation
from dnntrain.errors import DnntrainError, InputError
from dnntrain.utils import locks
from dnntrain.utils.files import atomic_file

BATCH = 256
"""Rows that are computed and written at a time."""
VERSION = 2
"""Increased when the same key would mean other values."""

NOT_FINITE = "nan or infinite values in row"

Key = Mapping[str, Any]
"""What values depend on."""
Rows = NDArray[np.int64]
Values = NDArray[np.float32]
Compute = Callable[[Rows], Values]
"""The values (rows, *shape) of some rows, by their numbers."""
OnProgress = Callable[[int, int], None]
"""Receives how many rows are computed so far, and how many there are to compute."""


def limit() -> float:
    """Bytes that all entries may take together: $DNNTRAIN_CACHE_GB, or 8 GiB; InputError if that is not a number."""
    text = os.environ.get("DNNTRAIN_CACHE_GB") or "8"
    try:
        gib = float(text)
    except ValueError:
        gib = -1
    if not gib >= 0:
        raise InputError(f"DNNTRAIN_CACHE_GB is '{text}'; must be a number of GiB, 0 or more")
    return gib * 2**30


@dataclass(frozen=True)
class CacheEntry:
    """The stored values of one key."""

    path: Path
    about: dict[str, Any]
    """The key, and `n`, how many rows there can be; empty if the entry is damaged."""
    bytes: int
    """Its size on disk; rows that were never computed take no space."""
    last_used: float
    """Seconds since 1970."""


class FeatureCache:
    """Values by key and row, in the folder `features` of a data home.

    An entry is a folder: about.json (its key), values.npy (n, *shape) with holes where rows were never computed, and
    known.npy (n,), which says which rows are there. A row is on disk before known.npy says so.
    """

    def __init__(self, home: DataLocation) -> None:
        self.folder = home.folder / "features"

    def rows(
        self, key: Key, n: int, wanted: Rows, compute: Compute, on_progress: OnProgress, refusal: str = NOT_FINITE
    ) -> Values:
        """The values of some rows. Missing ones are computed, each by one process only.

        If nothing can be written, all wanted rows are computed in memory.

        Args:
            key: Everything that the values depend on.
            n: How many rows there are.
            wanted: Numbers of the wanted rows, from 0 to n - 1; at least one.
            compute: Computes the values of some rows.
            on_progress: Called after each batch of computed rows.
            refusal: The error message for a value that is nan or infinite; the row's number follows it.

        Returns:
            float32 (len(wanted), *shape); consecutive rows are mapped from disk, copy on write.

        Raises:
            InputError: If a value is nan or infinite.
        """
        compute = _checked(compute, refusal)
        about = {"version": VERSION, "n": n, **key}
        path = self.folder / hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
        values = _found(path, about, wanted)
        if values is not None:
            return values
        try:
            with exclusive_write(path, progress=False):
                self._complete(path, about, np.unique(wanted), compute, on_progress)
                values = _found(path, about, wanted)
        except InputError:
            raise
        except DnntrainError:
            pass  # read-only, or no room left
        return _in_memory(wanted, compute, on_progress) if values is None else values

    def entries(self) -> list[CacheEntry]:
        """All entries, the least recently used first."""
        folders = [path for path in self.folder.glob("*") if path.is_dir()]
        found = [entry for entry in map(_entry, folders) if entry]
        return sorted(found, key=lambda entry: entry.last_used)

    def clear(self) -> int:
        """Remove every entry that no process is computing; the number of bytes freed."""
        return sum(entry.bytes for entry in self.entries() if _remove(entry.path))

    def _complete(
        self, path: Path, about: dict[str, Any], wanted: Rows, compute: Compute, progress: OnProgress
    ) -> None:
        """Compute and store the missing rows; the caller holds the entry's lock."""
        stored = _stored(path, about)
        missing = wanted[~stored[1][wanted]] if stored else wanted
        for done, values in _batches(missing, compute, progress):
            if stored is None:
                self._make_room(len(missing) * values[0].nbytes, path)
                stored = _created(path, about, values.shape[1:])
            _write(path, stored, done, values)

    def _make_room(self, needed: int, used: Path) -> None:
        """Remove entries until `needed` bytes fit, the least recently used first, but never the one in use."""
        entries = self.entries()
        excess = sum(entry.bytes for entry in entries) + needed - limit()
        for entry in entries:
            if excess > 0 and entry.path != used and _remove(entry.path):
                excess -= entry.bytes


def _checked(compute: Compute, refusal: str) -> Compute:
    """`compute` with values as float32, and an InputError for the first row that is nan or infinite."""

    def checked(rows: Rows) -> Values:
        values = np.ascontiguousarray(compute(rows), np.float32)
        if (bad := _not_finite(rows, values)) is not None:
            raise InputError(f"{refusal} {bad} (counted from 0)")
        return values

    return checked


def _batches(rows: Rows, compute: Compute, progress: OnProgress) -> Iterator[tuple[Rows, Values]]:
    """The rows in batches, with their values."""
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        yield batch, compute(batch)
        progress(start + len(batch), len(rows))


def _not_finite(rows: Rows, values: Values) -> int | None:
    """The number of the first row whose values are not all finite."""
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(1)
    return int(rows[bad.argmax()]) if bad.any() else None


def _in_memory(wanted: Rows, compute: Compute, progress: OnProgress) -> Values:
    rows, places = np.unique(wanted, return_inverse=True)
    values = np.concatenate([values for _, values in _batches(rows, compute, progress)])
    return values if np.array_equal(rows, wanted) else values[places]


# One entry on disk

Stored = tuple[np.memmap[Any, np.dtype[np.float32]], NDArray[np.bool_]]
"""Values (n, *shape), mapped and copied on writing only, and which rows of them are known (n,)."""


def _stored(path: Path, about: dict[str, Any]) -> Stored | None:
    """The contents of an entry; None if there is none, or it is damaged or has another key."""
    try:
        if json.loads((path / "about.json").read_text("utf-8")) != about:
            return None
        values, known = (np.lib.format.open_memmap(path / name, mode="c") for name in ("values.npy", "known.npy"))
    except (OSError, ValueError):
        return None
    is_valid = values.dtype == np.float32 and known.dtype == np.bool_ and values.flags.c_contiguous
    n = about["n"]
    return (values, np.array(known)) if is_valid and known.shape == (n,) and values.shape[:1] == (n,) else None


def _found(path: Path, about: dict[str, Any], wanted: Rows) -> Values | None:
    """The wanted rows if all are stored, else None; InputError if one is nan or infinite."""
    stored = _stored(path, about)
    if stored is None or not stored[1][wanted].all():
        return None
    with suppress(OSError):
        os.utime(path / "about.json")  # it was used just now
    first, values = int(wanted[0]), stored[0]
    consecutive = np.array_equal(wanted, np.arange(first, first + len(wanted)))
    found = values[first : first + len(wanted)] if consecutive else np.asarray(values[wanted])
    if (bad := _not_finite(wanted, found)) is not None:
        raise InputError(
            f"{path}: row {bad} is nan or infinite; dnntrain data cache --clear removes the cached features"
        )
    return found


def _created(path: Path, about: dict[str, Any], shape: tuple[int, ...]) -> Stored:
    """A new entry without rows, in place of an old one; OSError if it cannot be written."""
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    n = about["n"]
    np.lib.format.open_memmap(path / "values.npy", mode="w+", dtype=np.float32, shape=(n, *shape))
    np.save(path / "known.npy", np.zeros(n, np.bool_))
    (path / "about.json").write_text(json.dumps(about), encoding="utf-8")  # last, as it marks the entry as complete
    stored = _stored(path, about)
    if stored is None:
        raise OSError(f"{path}: reads back other than it was written")
    return stored


def _write(path: Path, stored: Stored, rows: Rows, values: Values) -> None:
    """Write the values of some rows, then mark them as known; OSError if the disk is full."""
    mapped, known = stored
    if values.shape != (len(rows), *mapped.shape[1:]):
        raise ValueError(f"{values.shape} values of {len(rows)} rows, where one row is {mapped.shape[1:]}")
    with (path / "values.npy").open("r+b", buffering=0) as file:  # through the map, a full disk would kill the process
        for row, value in zip(rows, values, strict=True):
            file.seek(mapped.offset + int(row) * value.nbytes)
            _write_all(file, value)
        os.fsync(file.fileno())
    known[rows] = True
    with atomic_file(path / "known.npy") as scratch, scratch.open("wb") as file:
        np.save(file, known)


def _write_all(file: BinaryIO, value: Values) -> None:
    remaining = memoryview(value.tobytes())
    while remaining:
        remaining = remaining[file.write(remaining) :]


def _entry(path: Path) -> CacheEntry | None:
    """The entry in a folder, even a damaged one; None if the folder is gone."""
    about: dict[str, Any] = {}
    try:
        with suppress(ValueError, FileNotFoundError):
            about = dict(json.loads((path / "about.json").read_text("utf-8")))
        stats = [file.stat() for file in path.iterdir()]
        used = max(stat.st_mtime for stat in [path.stat(), *stats])
    except (OSError, TypeError):
        return None
    return CacheEntry(path, about, sum(getattr(stat, "st_blocks", 0) * 512 or stat.st_size for stat in stats), used)


def _remove(path: Path) -> bool:
    """Remove an entry unless a process is computing it; returns whether it is gone."""
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        locks.acquire(lock)
    except (OSError, Timeout, DnntrainError):
        return False
    try:
        scratch = path.with_name(f".old-{path.name}")
        with suppress(OSError):
            path.rename(scratch)  # Windows refuses while a process has the files mapped
        shutil.rmtree(scratch, ignore_errors=True)
        return not path.exists()
    finally:
        locks.release(lock)
