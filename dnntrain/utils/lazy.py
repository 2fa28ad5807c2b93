"""Slow imports, put off until they are needed.

torch and pandas are imported at first use: `--help` and `techniques` must not wait seconds for them, nor `report` for
torch. Modules say `from dnntrain.utils.lazy import torch`, so that a technique's declaration and its code can be in one
file. The stand-in is not put in `sys.modules`, because libraries look there to see whether torch is loaded.
"""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any


class LazyModule:
    """A stand-in for a module, which is imported when the first attribute is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)  # the next access is an ordinary one
        return value


def import_ahead(name: str) -> None:
    """Import a module in a background thread, while the caller waits for something else."""
    threading.Thread(target=importlib.import_module, args=(name,), daemon=True).start()


if TYPE_CHECKING:
    import pandas as pandas
    import torch as torch
else:
    pandas = LazyModule("pandas")
    torch = LazyModule("torch")
