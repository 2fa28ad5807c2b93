"""File locks between the processes of one or several users. The OS releases a lock when its process exits."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import BaseFileLock, Timeout

from dnntrain.errors import DnntrainError


def acquire(lock: BaseFileLock, timeout: float = 0) -> None:
    """Acquire a lock.

    Args:
        lock: The lock. Its file is made if it is missing.
        timeout: Seconds to wait; a negative number waits forever.

    Raises:
        Timeout: Another process holds the lock.
        DnntrainError: Another user's lock file cannot be opened, so nobody can say whether it is held.
        OSError: No lock file can be made, or the file system has no locks.
    """
    path = Path(lock.lock_file)
    try:
        lock.acquire(timeout=timeout)
    except PermissionError:
        if not path.exists():
            raise
        raise DnntrainError(
            f"{path}: this lock file of {owner(path)} cannot be opened, so their process may still be running; wait "
            "for it, or have them remove the file if it is not (to share a folder, use one group and umask 002)"
        ) from None


def acquire_if_possible(lock: BaseFileLock) -> bool:
    """Like `acquire`, but return False if the file system has no locks; DnntrainError if no file can be made."""
    path = Path(lock.lock_file)
    was_there = path.exists()
    try:
        acquire(lock)
    except Timeout:
        raise
    except PermissionError as error:
        raise DnntrainError(f"cannot write to {path}: {error.strerror}") from None
    except (OSError, NotImplementedError):
        if not was_there:
            path.unlink(missing_ok=True)
        return False
    return True


def release(lock: BaseFileLock) -> None:
    """Release a lock, and remove its file."""
    with suppress(OSError):
        Path(lock.lock_file).unlink()  # before the release: a process that waits for it then makes a new file
    lock.release()


def owner(path: Path) -> str:
    """The name of a file's owner, or 'user 1234' where that user has no name here."""
    try:
        return path.owner()
    except (KeyError, NotImplementedError):
        return f"user {path.stat().st_uid}"
