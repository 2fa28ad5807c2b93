"""What an exported model imports the user's code with. An export copies the source of the function."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType


def user_module(code: Path, name: str, own: list[str]) -> ModuleType:
    """Import a module from a folder of code, apart from other modules of the same names.

    Args:
        code: The folder.
        name: The module's dotted name.
        own: The top-level names of all modules in the folder.
    """
    others = {key: sys.modules.pop(key) for key in list(sys.modules) if key.partition(".")[0] in own}
    folders = [str(code), str(code.joinpath(*name.split(".")[:-1]))]
    sys.path[:0] = folders
    try:
        return importlib.import_module(name)
    finally:
        for folder in folders:
            sys.path.remove(folder)
        sys.modules.update(others)
