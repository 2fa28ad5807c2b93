"""The catalogue of training techniques. Every module of this package is imported, so a new file needs no entry."""

from __future__ import annotations

import importlib
import pkgutil

from dnntrain.techniques.base import CATALOGUE as CATALOGUE
from dnntrain.utils.plugins import load_plugins

for _module in sorted(info.name for info in pkgutil.walk_packages(__path__, f"{__name__}.")):
    importlib.import_module(_module)

load_plugins("dnntrain.techniques", CATALOGUE)
