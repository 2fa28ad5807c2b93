"""Files and folders that one process writes at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from dnntrain.errors import DnntrainError
from dnntrain.utils import locks


@contextmanager
def exclusive_write(destination: Path, progress: bool = True, doing: str = "downloading") -> Iterator[None]:
    """Hold the lock on `destination` (the file NAME.lock next to it); other processes wait.

    The parent folder is created, and removed again if it stays empty.

    Args:
        destination: The file or folder to be written.
        progress: Say on stderr when waiting for another process.
        doing: What that process is doing.

    Raises:
        DnntrainError: An OSError occurred in the block, such as a full or read-only disk.
    """
    path = destination.with_name(destination.name + ".lock")
    lock = FileLock(path)
    try:
        created_folder = _hold(lock, destination, f"{doing} {destination.name}" if progress else "")
        try:
            yield
        finally:
            locks.release(lock)
            if created_folder:
                with suppress(OSError):  # not empty
                    path.parent.rmdir()
    except OSError as error:
        remedy = "--data-dir chooses another folder"
        raise DnntrainError(f"{destination}: cannot be written ({error.strerror or error}); {remedy}") from None


def _hold(lock: BaseFileLock, destination: Path, doing: str) -> bool:
    """Wait for the lock, and say so unless `doing` is empty. Returns whether its folder had to be created."""
    created_folder, timeout, forever = False, 0, -1
    while not lock.is_locked:
        created_folder |= not destination.parent.exists()
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            locks.acquire(lock, timeout)
        except Timeout:
            timeout = forever
            if doing:
                print(f"waiting for another process that is {doing}", file=sys.stderr)
        except FileNotFoundError:
            continue  # the other process got nothing, and removed the folder
    return created_folder
