"""Tracebacks of the user's own code, without the frames of the libraries around it."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]

INSTALLED = {"site-packages", "dist-packages"}
"""Names of the folders into which packages are installed."""


def user_frames(error: BaseException, folder_or_file_hint: str | None = None) -> list[traceback.FrameSummary]:
    """The frames of the user's code that an error passed through, the outermost first.

    Args:
        error: An exception that was raised.
        folder_or_file_hint: Where that code is: a file, or a folder such as that of an installed package. By default it
            is whatever belongs neither to dnntrain, nor to Python, nor to an installed package.
    """
    home = Path(folder_or_file_hint).resolve() if folder_or_file_hint else Path("/")
    python = [Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib")]
    # a library is the user's code only if the hint names it: a project's folder may hold a .venv
    libraries = [folder for folder in (PACKAGE, *python) if not home.is_relative_to(folder)]

    def is_users(filename: str) -> bool:
        path = Path(filename).resolve()
        outside = folder_or_file_hint is not None and not path.is_relative_to(home)
        installed = INSTALLED & {*path.parts} and not INSTALLED & {*home.parts}
        return not (outside or installed or filename.startswith("<frozen") or any(map(path.is_relative_to, libraries)))

    return [frame for frame in traceback.extract_tb(error.__traceback__) if is_users(frame.filename)]


def cut_traceback(error: BaseException, folder_or_file_hint: str | None = None) -> str:
    """An error as Python prints it, with the user's frames only (`user_frames`); no newline at the end."""
    frames = traceback.StackSummary.from_list(user_frames(error, folder_or_file_hint))
    return "".join([*frames.format(), *traceback.format_exception_only(error)]).rstrip("\n")
