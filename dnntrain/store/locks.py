"""Per-run and per-study file locks. The OS releases a lock when its process exits, however it exits."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from dnntrain.errors import DnntrainError
from dnntrain.utils import locks
from dnntrain.utils.files import write_atomic, write_errors


class RunLocks:
    """The runs of a store that this process trains. Other processes see them as locked and train other runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._locks: dict[str, FileLock] = {}

    def try_lock(self, run_id: str) -> bool:
        """Lock a run, unless another process holds it; whether this process may train it.

        Raises:
            DnntrainError: Another user's lock file cannot be opened.
        """
        if run_id in self._locks:
            return True
        lock = FileLock(self.folder / run_id)
        try:
            is_held = locks.acquire_if_possible(lock)
        except Timeout:
            return False
        if is_held:  # else the file system has no locks: at worst two processes train the run, with the same result
            self._locks[run_id] = lock
        return True

    def is_unlocked(self, run_id: str) -> bool:
        """Whether no other process trains the run now."""
        return run_id in self._locks or not is_locked(self.folder / run_id)

    def release(self, run_id: str) -> None:
        """Release a run's lock, if this process holds it."""
        lock = self._locks.pop(run_id, None)
        if lock:
            locks.release(lock)

    def release_all(self) -> None:
        """Release all locks, and remove the lock files that killed processes left."""
        for run_id in {*self._locks, *(path.name for path in self.folder.glob("*"))}:
            with suppress(DnntrainError):  # another user's stays
                if self.try_lock(run_id):
                    self.release(run_id)
        with suppress(OSError):
            self.folder.rmdir()


@contextmanager
def study_lock(root: Path, study: str, join: bool = False) -> Iterator[None]:
    """Hold the lock of a study in the store `root` while it is trained.

    With `join`, go on without the lock if another process holds it. If nothing was recorded in a store that did not
    exist before, the store is removed again.

    Raises:
        DnntrainError: Another process holds the lock; the message names it.
    """
    is_new = not root.exists()
    lock = FileLock(root / f".{study}.lock")
    holder = root / f".{study}.holder"
    try:
        is_held = locks.acquire_if_possible(lock)
    except Timeout:
        if join:
            yield
            return
        name = ""
        with suppress(OSError):
            name = f" ({holder.read_text(encoding='utf-8')})"
        raise DnntrainError(
            f"{root / study}: another process is training this study{name}; wait for it, help it with --join, or give "
            "another --out"
        ) from None
    if not is_held:
        yield  # the file system has no locks
        return
    try:
        with write_errors(root):
            write_atomic(holder, [f"process {os.getpid()} on {socket.gethostname()}"])
        yield
    finally:
        holder.unlink(missing_ok=True)
        locks.release(lock)
        if is_new and not any(root.iterdir()):
            root.rmdir()


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock of this file; False if the file system has no locks.

    Raises:
        DnntrainError: Another user's lock file cannot be opened.
    """
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        if locks.acquire_if_possible(lock):
            lock.release()
    except Timeout:
        return True
    return False


def is_held(path: Path) -> bool:
    """Like `is_locked`, but a file that may only be read is enough, and False if there is none."""
    if sys.platform == "win32":
        return is_locked(path)
    import fcntl

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
