"""What takes long to import, when nobody waits for it.

torch is imported at first use: `--help`, `report` and `techniques` must not wait seconds for it.

Modules that declare things (the catalogue) say `from dnntrain.utils.lazy import torch`, so a declaration and its code
can stand in one file. The stand-in is not put in `sys.modules`: libraries look there to learn whether torch is loaded.
"""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any


class LazyModule:
    """Stands for a module; the first attribute asked for imports it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)  # the next access is an ordinary one
        return value


def import_ahead(name: str) -> None:
    """Import a module beside what goes on, so that it is there when it is asked for: for one who will have to wait."""
    threading.Thread(target=importlib.import_module, args=(name,), daemon=True).start()


if TYPE_CHECKING:
    import torch as torch
else:
    torch = LazyModule("torch")
