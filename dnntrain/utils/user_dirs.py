"""Folders of the user: the one for caches, and paths that begin with ~. A user in a container may have no home."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from dnntrain.errors import InputError


def cache_dir() -> Path:
    """The platform's folder for files that can be downloaded or computed again."""
    try:
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return _temporary_cache_dir()


def _temporary_cache_dir() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"cache-{user}"
    if folder.exists() and folder.stat().st_uid != user:  # anybody can make a folder of that name there
        raise InputError(f"{folder}: belongs to another user; there is no home folder, so set XDG_CACHE_HOME or HOME")
    return folder


def expanded(path: str) -> Path:
    """The path with ~ replaced by the home folder; InputError where that is not known."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise InputError(
            f"{path}: the home folder that ~ stands for is not known (no such user, or HOME is not set); "
            "give the whole path"
        ) from None


def provide_caches() -> None:
    """Where the user has no home, point libraries that keep caches (matplotlib, fontconfig) to `cache_dir`."""
    try:
        Path.home()
    except RuntimeError:
        os.environ.setdefault("XDG_CACHE_HOME", str(cache_dir()))
        os.environ.setdefault("MPLCONFIGDIR", str(cache_dir() / "matplotlib"))
