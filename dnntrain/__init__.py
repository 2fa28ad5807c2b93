"""dnntrain: which training technique really helps here, and by how much?"""

from __future__ import annotations

import importlib

from dnntrain.utils.version import __version__ as __version__

TYPE_CHECKING = False  # type checkers take it for typing's, which takes longer to import than all else here

if TYPE_CHECKING:  # the same names for type checkers, which do not run this module
    from typing import Any

    from dnntrain.api.models import predict as predict
    from dnntrain.api.models import to_torch as to_torch
    from dnntrain.api.range_test import lr_find as lr_find
    from dnntrain.api.reports import compare as compare
    from dnntrain.api.reports import load as load
    from dnntrain.api.reports import report as report
    from dnntrain.api.trackers import track as track
    from dnntrain.api.training import RunOptions as RunOptions
    from dnntrain.api.training import StudyCallback as StudyCallback
    from dnntrain.api.training import ablate as ablate
    from dnntrain.api.training import train as train
    from dnntrain.api.training import transfer as transfer
    from dnntrain.errors import DnntrainError as DnntrainError
    from dnntrain.errors import InputError as InputError
    from dnntrain.reporting.arm_result import ArmResult as ArmResult
    from dnntrain.reporting.range_test import RangeTestResult as RangeTestResult
    from dnntrain.reporting.results import Report as Report
    from dnntrain.reporting.results import StudyResult as StudyResult
    from dnntrain.reporting.results import StudySummary as StudySummary
    from dnntrain.utils.plugins import load_plugin as load_plugin

_PUBLIC = {
    "dnntrain.api.models": ("predict", "to_torch"),
    "dnntrain.api.range_test": ("lr_find",),
    "dnntrain.api.reports": ("compare", "load", "report"),
    "dnntrain.api.trackers": ("track",),
    "dnntrain.api.training": ("RunOptions", "StudyCallback", "ablate", "train", "transfer"),
    "dnntrain.errors": ("DnntrainError", "InputError"),
    "dnntrain.reporting.arm_result": ("ArmResult",),
    "dnntrain.reporting.range_test": ("RangeTestResult",),
    "dnntrain.reporting.results": ("Report", "StudyResult", "StudySummary"),
    "dnntrain.utils.plugins": ("load_plugin",),
}
"""The public names, by the module that defines them."""
_MODULES = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562), so that `import dnntrain` takes no time.

    Functions check their arguments when they are called by this name, and their errors name arguments (`python_call`).
    Plug-ins are loaded before that.
    """
    if name not in _MODULES:
        raise AttributeError(f"module 'dnntrain' has no attribute '{name}'")
    if _MODULES[name] != "dnntrain.errors":
        from dnntrain.utils.plugins import load_all

        load_all()
    value = getattr(importlib.import_module(_MODULES[name]), name)
    if callable(value) and not isinstance(value, type):
        from dnntrain.utils.python_calls import python_call

        value = python_call(value)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
