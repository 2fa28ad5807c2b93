"""Atomic writes of files and folders, and JSON files that are read with errors a user can act on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from dnntrain.errors import DnntrainError, InputError

GZIP_MAGIC = b"\x1f\x8b"
"""The first bytes of a gzipped file."""
SCRATCH_PREFIX = ".new-"
"""How the names of files and folders begin that are not whole yet."""


@contextmanager
def write_errors(root: Path) -> Iterator[None]:
    """Turn an OSError into a DnntrainError that says what could not be written: its file, or else `root`."""
    try:
        yield
    except OSError as error:
        scratch = SCRATCH_PREFIX in str(error.filename)  # a name that means nothing to the user
        file = root if scratch else error.filename or root
        raise DnntrainError(f"cannot write to {file}: {error.strerror or error}") from None


def write_atomic(path: Path, parts: Iterable[str]) -> None:
    """Write a text file, given in parts: readers see the old file or the new one, never half of it.

    Symbolic links are followed. Devices and pipes are written to directly, not replaced.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_text("".join(parts), encoding="utf-8", newline="")
        return
    with atomic_file(path) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
        file.writelines(parts)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield the path of a scratch file, which replaces `path` at the end and keeps its mode.

    If the block raises, the scratch file is removed and `path` is left alone.
    """
    scratch = path.with_name(
        f"{SCRATCH_PREFIX}{uuid4().hex}"
    )  # not the process's number: another host may have the same
    try:
        yield scratch
        if path.exists():
            shutil.copymode(path, scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path`, which replaces it at the end. Missing parents are made.

    If the block raises, the new folder is removed and `path` is left alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = scratch_folder(path.parent)
    try:
        yield scratch
        if path.exists():
            shutil.rmtree(path)
        scratch.rename(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def scratch_folder(parent: Path) -> Path:
    """Make an empty folder with a unique name, with the umask's mode and the parent's setgid bit (unlike tempfile)."""
    folder = parent / f"{SCRATCH_PREFIX}{uuid4().hex}"
    folder.mkdir()
    return folder


def has_text(path: Path, parts: Iterable[str]) -> bool:
    """Whether the file has exactly this text, given in parts."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return all(file.read(len(part)) == part for part in parts) and not file.read(1)
    except (OSError, ValueError):
        return False


def read_json(path: Path) -> Any:
    """Read a JSON file; InputError that names the file where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: damaged, no JSON ({error})") from None
