"""The user's folders: the cache folder, and paths that start with ~. A user in a container may have no home folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs

from dnntrain.errors import InputError


def cache_dir() -> Path:
    """The platform's cache folder, or a temporary folder if the user has no home.

    Raises:
        InputError: The temporary folder belongs to another user.
    """
    try:
        folder = platformdirs.user_cache_path()
    except RuntimeError:  # no home: neither HOME nor an entry in the user database
        return _temporary_cache_dir()
    return folder if folder.is_absolute() else _temporary_cache_dir()  # older platformdirs return ~/.cache then


def _temporary_cache_dir() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"cache-{user}"
    if folder.exists() and folder.stat().st_uid != user:  # anyone can create a folder with that name there
        raise InputError(f"{folder}: belongs to another user; there is no home folder, so set XDG_CACHE_HOME or HOME")
    return folder


def expanded(path: str) -> Path:
    """Expand a leading ~, as a shell does: not in `./~x`, nor in the name of a file that is there and of no user.

    Raises:
        InputError: The home folder is unknown.
    """
    if not path.startswith("~"):
        return Path(path)  # Path drops the dot of `./~x`, so Path.expanduser would expand it
    try:
        return Path(path).expanduser()
    except RuntimeError:
        if os.path.lexists(path):
            return Path(path)
        raise InputError(
            f"{path}: the home folder that ~ stands for is not known (no such user, or HOME is not set); "
            f"give the whole path, or write ./{path} if that is the file's name"
        ) from None


def provide_caches() -> None:
    """Without a home folder, point libraries that keep caches (matplotlib, fontconfig) to `cache_dir`."""
    try:
        Path.home()
    except RuntimeError:
        os.environ.setdefault("XDG_CACHE_HOME", str(cache_dir()))
        os.environ.setdefault("MPLCONFIGDIR", str(cache_dir() / "matplotlib"))
