"""The catalogue of training techniques. Every module of this package is read, so a new file is found by itself."""

from __future__ import annotations

import importlib
import pkgutil

from dnntrain.techniques.base import CATALOGUE as CATALOGUE

for _module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
