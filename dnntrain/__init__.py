"""dnntrain: which training technique really helps here, and by how much?"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # type checkers take it for typing's, which takes longer to import than all else here

if TYPE_CHECKING:
    from typing import Any

    from dnntrain.api import (
        Report,
        RunOptions,
        StudyCallback,
        StudyResult,
        StudySummary,
        ablate,
        load,
        report,
        train,
        transfer,
    )
    from dnntrain.errors import DnntrainError, InputError

__version__ = "0.2.0"

__all__ = [
    "DnntrainError",
    "InputError",
    "Report",
    "RunOptions",
    "StudyCallback",
    "StudyResult",
    "StudySummary",
    "ablate",
    "load",
    "report",
    "train",
    "transfer",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562), so that `import dnntrain` takes no time."""
    if name not in __all__:
        raise AttributeError(f"module 'dnntrain' has no attribute '{name}'")
    module = "dnntrain.errors" if name.endswith("Error") else "dnntrain.api"
    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
