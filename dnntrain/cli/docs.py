"""`dnntrain docs`: the pages that ship with dnntrain, as Markdown in a pipe and laid out on a terminal."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from dnntrain.cli.completion import one_of
from dnntrain.errors import InputError, did_you_mean
from dnntrain.utils.console import console

PAGES_FOLDER = Path(__file__).parents[1] / "docs"
INDEX = "README"
"""The page that lists the others. A code host shows a file of this name with its folder."""
WIDEST_TEXT = 100
"""Columns of a page on a terminal, beyond which lines are hard to read."""


def topics() -> list[str]:
    """The names of all pages."""
    return sorted(path.stem for path in PAGES_FOLDER.glob("*.md") if path.stem != INDEX)


def docs(
    topic: Annotated[
        str | None,
        typer.Argument(metavar="TOPIC", autocompletion=one_of(topics()), help="a page; without it, a list of all"),
    ] = None,
) -> None:
    """Read the documentation: a list of its pages, or one of them.

    On a terminal a page opens in the pager ($PAGER, or less). In a pipe it is plain Markdown.

    Examples:
        dnntrain docs
        dnntrain docs getting-started
    """
    from rich.markdown import Markdown  # takes a tenth of a second to import

    text = read_page(topic)
    terminal = console()
    if not terminal.is_terminal:
        terminal.file.write(text)
        return
    os.environ.setdefault("LESS", "-FRX")  # as git does: colors, and no pager for what fits on one screen
    with terminal.pager(styles=True):
        terminal.print(
            Markdown(with_commands_for_links(text), hyperlinks=False), width=min(terminal.width, WIDEST_TEXT)
        )


def read_page(topic: str | None) -> str:
    """The Markdown of a page, or of the list of pages; InputError with the nearest topic if there is no such page."""
    name = INDEX if topic is None else topic.removesuffix(".md")
    if topic is not None and name not in topics():
        raise InputError(f"no page '{topic}'{did_you_mean(name, topics(), 'dnntrain docs')}")
    return (PAGES_FOLDER / f"{name}.md").read_text(encoding="utf-8")


def with_commands_for_links(text: str) -> str:
    """The text with a command in place of each link to another page: a terminal cannot follow the link."""

    def command(link: re.Match[str]) -> str:
        words, page = link.groups()
        return words if words == page else f"{words} (`dnntrain docs {page}`)"

    return re.sub(r"\[([^\]]+)\]\(([\w-]+)\.md(?:#[\w-]*)?\)", command, text)
