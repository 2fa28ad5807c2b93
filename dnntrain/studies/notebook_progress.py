"""A table in a notebook's output that is replaced as a study progresses."""

from __future__ import annotations

import importlib
import sys
import time
from html import escape
from typing import Any

from rich.console import RenderableType

from dnntrain.utils.console import as_text

SECONDS_BETWEEN_UPDATES = 0.5


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel: ipykernel replaces stderr."""
    return type(sys.stderr).__module__.startswith("ipykernel")


class NotebookLive:
    """What `rich.live.Live` is on a terminal. rich's own needs ipywidgets in a notebook."""

    def __init__(self, first: RenderableType) -> None:
        """Show the first version."""
        display: Any = importlib.import_module("IPython.display").display
        self._handle = display(self._content(first), raw=True, display_id=True)
        self._updated = time.monotonic()

    def update(self, what: RenderableType) -> None:
        """Show another version, unless the last one is too new."""
        if time.monotonic() - self._updated >= SECONDS_BETWEEN_UPDATES:
            self._updated = time.monotonic()
            self._handle.update(self._content(what), raw=True)

    def stop(self) -> None:
        """Remove it."""
        self._handle.update({"text/plain": "", "text/html": ""}, raw=True)

    def _content(self, what: RenderableType) -> dict[str, str]:
        text = as_text(what)
        return {"text/plain": text, "text/html": f"<pre>{escape(text)}</pre>"}
