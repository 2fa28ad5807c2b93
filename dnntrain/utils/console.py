"""Prints to the terminal. Names and paths are printed as they are, never read as rich's markup."""

from __future__ import annotations

from typing import Any

from rich.console import Console, RenderableType

UNLIMITED = 1_000_000
"""Width of output that does not go to a terminal."""


def console(*, stderr: bool = False) -> Console:
    """A console for stdout or stderr. Only a real terminal has a width; pipes, files and notebooks do not."""
    made = Console(stderr=stderr, markup=False, emoji=False, highlight=False, force_jupyter=False)
    if not made.file.isatty():
        made.width = UNLIMITED  # whatever COLUMNS and FORCE_COLOR say
    return made


class ProgressConsole(Console):
    """A console on stderr for progress, which is dropped where stderr is closed or its reader is gone."""

    def __init__(self) -> None:
        super().__init__(stderr=True, markup=False, emoji=False, highlight=False, force_jupyter=False)
        try:
            if not self.file.isatty():
                self.width = UNLIMITED
        except ValueError:  # closed
            self.quiet = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().print(*args, **kwargs)
        except (OSError, ValueError):
            self.quiet = True

    def on_broken_pipe(self) -> None:
        """Keep the process, which rich would end."""
        self.quiet = True


def show(what: RenderableType) -> None:
    """Print to stdout: laid out for a terminal, and as plain lines elsewhere."""
    terminal = console()
    if terminal.is_terminal:
        terminal.print(what)
    else:
        terminal.file.write(as_text(what))


def as_text(what: RenderableType) -> str:
    """The plain text, of unlimited width and without trailing blanks."""
    plain = Console(
        markup=False, emoji=False, highlight=False, force_jupyter=False, force_terminal=False, width=UNLIMITED
    )
    with plain.capture() as captured:
        plain.print(what)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
