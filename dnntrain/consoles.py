"""What people see is printed as it is: names and paths are never read as the terminal library's markup."""

from __future__ import annotations

from rich.console import Console


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """The terminal; progress and warnings go to stderr."""
    return Console(stderr=stderr, width=width, markup=False, highlight=False)
