"""Files that appear whole or not at all, and JSON that is read with an error a person can act on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from dnntrain.errors import DnntrainError, InputError


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Say where and why something could not be written."""
    try:
        yield
    except OSError as error:
        raise DnntrainError(f"cannot write to {error.filename or root}: {error.strerror or error}") from None


def write_whole(path: Path, parts: Iterable[str]) -> None:
    """Write a file, given in parts, so that nobody ever sees half of it.

    A link is followed, and what is no ordinary file (a device, a pipe) is written to, not replaced.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_text("".join(parts), encoding="utf-8", newline="")
        return
    with replacing(path) as scratch, scratch.open("w", encoding="utf-8", newline="") as file:
        file.writelines(parts)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write a file that then takes the place of `path`, with its mode; it is removed if that fails."""
    scratch = path.with_name(f".new-{uuid4().hex}")  # a process on another host may have our number
    try:
        yield scratch
        if path.exists():
            shutil.copymode(path, scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def scratch_folder(parent: Path) -> Path:
    """Make an empty folder that is to be moved to its place when it is whole.

    It has the mode of any new folder, by the umask and the parent's setgid bit; tempfile's would be private.
    """
    folder = parent / f".new-{uuid4().hex}"
    folder.mkdir()
    return folder


def holds(path: Path, parts: Iterable[str]) -> bool:
    """Whether the file has exactly this content, given in parts."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return all(file.read(len(part)) == part for part in parts) and not file.read(1)
    except (OSError, ValueError):
        return False


def read_json(path: Path) -> Any:
    """The JSON file's content; raises InputError that names the file where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: damaged, no JSON ({error})") from None
