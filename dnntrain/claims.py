"""Which of several processes trains a run: the one that holds the run's lock, which ends with its holder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout


class Claims:
    """The runs that this process has taken upon itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.locks: dict[str, FileLock] = {}

    def take(self, run_id: str) -> bool:
        """Whether the run is ours to train now."""
        if run_id in self.locks:
            return True
        lock = FileLock(self.folder / run_id, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return False
        except (OSError, NotImplementedError):
            (self.folder / run_id).unlink(missing_ok=True)
            return True  # a file system without locks: at worst two train the same run, with the same result
        self.locks[run_id] = lock
        return True

    def is_open(self, run_id: str) -> bool:
        """Whether nobody else trains the run now."""
        return run_id in self.locks or not is_held(self.folder / run_id)

    def release(self, run_id: str) -> None:
        """Leave the run, trained or not, to whoever wants it."""
        lock = self.locks.pop(run_id, None)
        if lock:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)

    def release_all(self) -> None:
        """Leave all runs, and clear away what processes that died have left behind."""
        for run_id in {*self.locks, *(path.name for path in self.folder.glob("*"))}:
            if self.take(run_id):
                self.release(run_id)
        with suppress(OSError):
            self.folder.rmdir()


def is_held(path: Path) -> bool:
    """Whether another process holds the lock; not where the file system has no locks."""
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return False
