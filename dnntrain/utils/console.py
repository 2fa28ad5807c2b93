"""Prints to the terminal. Names and paths are printed as they are, never read as rich's markup."""

from __future__ import annotations

from rich.console import Console, RenderableType

UNLIMITED = 1_000_000
"""Width of output that does not go to a terminal."""


def console(*, stderr: bool = False) -> Console:
    """A console for stdout or stderr. Only a real terminal has a width; pipes, files and notebooks do not."""
    made = Console(stderr=stderr, markup=False, emoji=False, highlight=False, force_jupyter=False)
    if not made.file.isatty():
        made.width = UNLIMITED  # whatever COLUMNS and FORCE_COLOR say
    return made


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
