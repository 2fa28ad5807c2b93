"""dnntrain: which training technique really helps here, and by how much?"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # type checkers take it for typing's, which takes longer to import than all else here

if TYPE_CHECKING:
    from typing import Any

    from dnntrain.api.models import predict, to_torch
    from dnntrain.api.range_test import lr_find
    from dnntrain.api.reports import compare, load, report
    from dnntrain.api.trackers import track
    from dnntrain.api.training import RunOptions, StudyCallback, ablate, train, transfer
    from dnntrain.errors import DnntrainError, InputError
    from dnntrain.reporting.range_test import RangeTestResult
    from dnntrain.reporting.results import Report, StudyResult, StudySummary
    from dnntrain.utils.plugins import load_plugin

__version__ = "0.2.0"

__all__ = [
    "DnntrainError",
    "InputError",
    "RangeTestResult",
    "Report",
    "RunOptions",
    "StudyCallback",
    "StudyResult",
    "StudySummary",
    "ablate",
    "compare",
    "load",
    "load_plugin",
    "lr_find",
    "predict",
    "report",
    "to_torch",
    "track",
    "train",
    "transfer",
]

_MODULES = dict.fromkeys(("compare", "load", "report"), "dnntrain.api.reports")
_MODULES |= dict.fromkeys(("predict", "to_torch"), "dnntrain.api.models")
_MODULES |= dict.fromkeys(("DnntrainError", "InputError"), "dnntrain.errors")
_MODULES |= {"RangeTestResult": "dnntrain.reporting.range_test", "lr_find": "dnntrain.api.range_test"}
_MODULES["load_plugin"] = "dnntrain.utils.plugins"
_MODULES |= {"track": "dnntrain.api.trackers"}
_MODULES |= dict.fromkeys(("Report", "StudyResult", "StudySummary"), "dnntrain.reporting.results")


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562), so that `import dnntrain` takes no time.

    Plug-ins are loaded before that.
    """
    if name not in __all__:
        raise AttributeError(f"module 'dnntrain' has no attribute '{name}'")
    if _MODULES.get(name) != "dnntrain.errors":
        from dnntrain.utils.plugins import load_all

        load_all()
    module = importlib.import_module(_MODULES.get(name, "dnntrain.api.training"))
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
