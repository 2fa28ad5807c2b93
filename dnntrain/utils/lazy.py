"""Imports slow modules at first use, so that `--help` and `techniques` do not wait for torch, pandas, and scipy.

Modules that declare techniques use `from dnntrain.utils.lazy import torch`, so that a declaration and its code share
a file. The placeholder is not in `sys.modules`, where libraries look to see whether torch is loaded.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any


class LazyModule:
    """A placeholder for a module, which is imported at the first attribute access."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)  # the next access is a normal one
        return value


if TYPE_CHECKING:
    import pandas as pandas
    import torch as torch
    from scipy import special as special
else:
    pandas = LazyModule("pandas")
    special = LazyModule("scipy.special")  # scipy.stats takes a second, too long for a report
    torch = LazyModule("torch")
