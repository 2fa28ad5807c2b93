"""What people see is printed as it is: names and paths are never read as the terminal library's markup."""

from __future__ import annotations

from rich.console import Console, RenderableType

UNLIMITED = 1_000_000
"""The width where no terminal limits it."""


def console(*, stderr: bool = False) -> Console:
    """The terminal; progress and warnings go to stderr. Only a real terminal has a width; pipes and files do not."""
    made = Console(stderr=stderr, markup=False, highlight=False)
    if not made.file.isatty():
        made.width = UNLIMITED  # whatever COLUMNS and FORCE_COLOR say
    return made


def show(what: RenderableType) -> None:
    """Print to stdout; without a terminal as plain lines, without the blanks that fill a table's rows."""
    terminal = console()
    if terminal.is_terminal:
        terminal.print(what)
        return
    with terminal.capture() as captured:
        terminal.print(what)
    terminal.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
