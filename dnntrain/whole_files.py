"""Files that appear whole or not at all, and JSON that is read with an error a person can act on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dnntrain.errors import DnntrainError, InputError


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Say where and why something could not be written."""
    try:
        yield
    except OSError as error:
        raise DnntrainError(f"cannot write to {error.filename or root}: {error.strerror or error}") from None


def write_whole(path: Path, parts: Iterable[str]) -> None:
    """Write a file, given in parts, beside its place and move it there, so that nobody ever sees half of it.

    A link is followed, and what is no ordinary file (a device, a pipe) is written to, not replaced.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_text("".join(parts), encoding="utf-8", newline="")
        return
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("w", encoding="utf-8", newline="") as file:
            file.writelines(parts)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


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
