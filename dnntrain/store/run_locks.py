"""Which of several processes trains a run: the one that holds the run's lock, which ends with its holder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from dnntrain.errors import DnntrainError
from dnntrain.utils import locks


class RunLocks:
    """The runs that this process has taken upon itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.locks: dict[str, FileLock] = {}

    def take(self, run_id: str) -> bool:
        """Whether the run is ours to train now; DnntrainError where another user's lock cannot be opened."""
        if run_id in self.locks:
            return True
        lock = FileLock(self.folder / run_id)
        try:
            locked = locks.acquire_if_possible(lock)
        except Timeout:
            return False
        if locked:  # else a file system without locks: at worst two train the same run, with the same result
            self.locks[run_id] = lock
        return True

    def is_open(self, run_id: str) -> bool:
        """Whether nobody else trains the run now."""
        return run_id in self.locks or not is_locked(self.folder / run_id)

    def release(self, run_id: str) -> None:
        """Leave the run, trained or not, to whoever wants it."""
        lock = self.locks.pop(run_id, None)
        if lock:
            locks.release(lock)

    def release_all(self) -> None:
        """Leave all runs, and clear away what processes that died have left behind."""
        for run_id in {*self.locks, *(path.name for path in self.folder.glob("*"))}:
            with suppress(DnntrainError):  # another user's stays
                if self.take(run_id):
                    self.release(run_id)
        with suppress(OSError):
            self.folder.rmdir()


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock, not where the file system has no locks.

    Raises DnntrainError where another user's lock cannot be opened.
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
