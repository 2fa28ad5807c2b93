"""What is frozen is computed once: outputs of frozen layers, kept on disk row by row and mapped into memory."""

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

from dnntrain.data.download import exclusive_write
from dnntrain.data.source import DataLocation
from dnntrain.errors import DnntrainError, InputError
from dnntrain.utils import locks
from dnntrain.utils.files import atomic_file

BATCH = 256
"""Rows that are computed, and then kept, at a time."""
VERSION = 2
"""Raised when the same key would mean other values."""

NOT_FINITE = "nan or infinite values in row"

Key = Mapping[str, Any]
"""What values depend on."""
Rows = NDArray[np.int64]
Values = NDArray[np.float32]
Compute = Callable[[Rows], Values]
"""The values (rows, *shape) of some rows, by their numbers."""
Progress = Callable[[int, int], None]
"""Is told how many rows were computed so far, and how many are to be."""


def limit() -> float:
    """Bytes that all entries may take together: $DNNTRAIN_CACHE_GB, or 8 GiB; InputError where that is no number."""
    said = os.environ.get("DNNTRAIN_CACHE_GB") or "8"
    try:
        gib = float(said)
    except ValueError:
        gib = -1
    if not gib >= 0:
        raise InputError(f"DNNTRAIN_CACHE_GB is '{said}'; must be a number of GiB, 0 or more")
    return gib * 2**30


@dataclass(frozen=True)
class CacheEntry:
    """The kept values of one key."""

    path: Path
    about: dict[str, Any]
    """The key, and `n`, how many rows there can be; empty where the entry is damaged."""
    bytes: int
    """What it takes on disk; rows that were never computed take nothing."""
    last_used: float
    """Seconds since 1970."""


class FeatureCache:
    """Values by key and row, in the folder `features` of a data home.

    An entry is a folder: about.json (its key), values.npy (n, *shape) with holes where rows were never computed, and
    known.npy (n,), which says which rows are there. A row is on the disk before known.npy says so.
    """

    def __init__(self, home: DataLocation) -> None:
        self.folder = home.folder / "features"

    def rows(
        self, key: Key, n: int, wanted: Rows, compute: Compute, on_progress: Progress, refusal: str = NOT_FINITE
    ) -> Values:
        """The values float32 (len(wanted), *shape) of the rows `wanted`, at least one, each from 0 to n - 1.

        `key` says all that they depend on. Rows that are not kept yet are computed, each once, even where several
        processes want it. Rows that follow each other are mapped from disk, and copied where they are written to.
        Where nothing can be written, all that is wanted is computed in memory.
        Raises InputError for a row that is nan or infinite: `refusal`, then the row's number.
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
        """All that is kept, the least recently used first."""
        folders = [path for path in self.folder.glob("*") if path.is_dir()]
        found = [entry for entry in map(_entry, folders) if entry]
        return sorted(found, key=lambda entry: entry.last_used)

    def clear(self) -> int:
        """Remove every entry that no process is computing; how many bytes that freed."""
        return sum(entry.bytes for entry in self.entries() if _remove(entry.path))

    def _complete(self, path: Path, about: dict[str, Any], wanted: Rows, compute: Compute, progress: Progress) -> None:
        """Compute and keep those of the rows that are not there; the entry's lock is held."""
        stored = _stored(path, about)
        missing = wanted[~stored[1][wanted]] if stored else wanted
        for done, values in _batches(missing, compute, progress):
            if stored is None:
                self._make_room(len(missing) * values[0].nbytes, path)
                stored = _created(path, about, values.shape[1:])
            _write(path, stored, done, values)

    def _make_room(self, needed: int, used: Path) -> None:
        """Remove entries, the least recently used first and never the one in use, till `needed` bytes fit."""
        entries = self.entries()
        excess = sum(entry.bytes for entry in entries) + needed - limit()
        for entry in entries:
            if excess > 0 and entry.path != used and _remove(entry.path):
                excess -= entry.bytes


def _checked(compute: Compute, refusal: str) -> Compute:
    """The same values as float32; InputError for the first row that is nan or infinite."""

    def checked(rows: Rows) -> Values:
        values = np.ascontiguousarray(compute(rows), np.float32)
        if (bad := _not_finite(rows, values)) is not None:
            raise InputError(f"{refusal} {bad} (counted from 0)")
        return values

    return checked


def _batches(rows: Rows, compute: Compute, progress: Progress) -> Iterator[tuple[Rows, Values]]:
    """Some rows at a time, and their values."""
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        yield batch, compute(batch)
        progress(start + len(batch), len(rows))


def _not_finite(rows: Rows, values: Values) -> int | None:
    """The number of the first row whose values are not all finite."""
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(1)
    return int(rows[bad.argmax()]) if bad.any() else None


def _in_memory(wanted: Rows, compute: Compute, progress: Progress) -> Values:
    rows, places = np.unique(wanted, return_inverse=True)
    values = np.concatenate([values for _, values in _batches(rows, compute, progress)])
    return values if np.array_equal(rows, wanted) else values[places]


# One entry on disk

Stored = tuple[np.memmap[Any, np.dtype[np.float32]], NDArray[np.bool_]]
"""Values (n, *shape), mapped and copied on writing only, and which rows of them are known (n,)."""


def _stored(path: Path, about: dict[str, Any]) -> Stored | None:
    """What is kept in the folder `path`; None where nothing is, or it is damaged or of another key."""
    try:
        if json.loads((path / "about.json").read_text("utf-8")) != about:
            return None
        values, known = (np.lib.format.open_memmap(path / name, mode="c") for name in ("values.npy", "known.npy"))
    except (OSError, ValueError):
        return None
    as_made = values.dtype == np.float32 and known.dtype == np.bool_ and values.flags.c_contiguous
    n = about["n"]
    return (values, np.array(known)) if as_made and known.shape == (n,) and values.shape[:1] == (n,) else None


def _found(path: Path, about: dict[str, Any], wanted: Rows) -> Values | None:
    """The wanted rows, if all are kept; InputError where they are nan or infinite."""
    stored = _stored(path, about)
    if stored is None or not stored[1][wanted].all():
        return None
    with suppress(OSError):
        os.utime(path / "about.json")  # it was used just now
    first, values = int(wanted[0]), stored[0]
    following = np.array_equal(wanted, np.arange(first, first + len(wanted)))
    found = values[first : first + len(wanted)] if following else np.asarray(values[wanted])
    if (bad := _not_finite(wanted, found)) is not None:
        raise InputError(f"{path}: row {bad} is nan or infinite; dnntrain data cache --clear removes what is kept")
    return found


def _created(path: Path, about: dict[str, Any], shape: tuple[int, ...]) -> Stored:
    """An entry without a row, instead of what may be there; OSError where that cannot be."""
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    n = about["n"]
    np.lib.format.open_memmap(path / "values.npy", mode="w+", dtype=np.float32, shape=(n, *shape))
    np.save(path / "known.npy", np.zeros(n, np.bool_))
    (path / "about.json").write_text(json.dumps(about), encoding="utf-8")  # last: with it, the entry is whole
    stored = _stored(path, about)
    if stored is None:
        raise OSError(f"{path} is not what was written")
    return stored


def _write(path: Path, stored: Stored, rows: Rows, values: Values) -> None:
    """Keep the values of some rows, and then say that they are known; OSError where there is no room."""
    mapped, known = stored
    if values.shape != (len(rows), *mapped.shape[1:]):
        raise ValueError(f"{values.shape} values of {len(rows)} rows, where one row is {mapped.shape[1:]}")
    with (path / "values.npy").open("r+b", buffering=0) as file:  # through the map, a full disk would end the process
        for row, value in zip(rows, values, strict=True):
            file.seek(mapped.offset + int(row) * value.nbytes)
            _write_all(file, value)
        os.fsync(file.fileno())
    known[rows] = True
    with atomic_file(path / "known.npy") as scratch, scratch.open("wb") as file:
        np.save(file, known)


def _write_all(file: BinaryIO, value: Values) -> None:
    left = memoryview(value.tobytes())
    while left:
        left = left[file.write(left) :]


def _entry(path: Path) -> CacheEntry | None:
    """What a folder holds, whole or not; None where it is gone by now."""
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
    """Remove an entry, unless a process computes it; whether it is gone."""
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        locks.acquire(lock)
    except (OSError, Timeout, DnntrainError):
        return False
    try:
        scratch = path.with_name(f".old-{path.name}")
        with suppress(OSError):
            path.rename(scratch)  # fails as a whole where a system does not let go of mapped files
        shutil.rmtree(scratch, ignore_errors=True)
        return not path.exists()
    finally:
        locks.release(lock)
