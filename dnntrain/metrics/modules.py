"""Metrics of the user's own in other processes, which have to import the modules that declare them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from dnntrain.errors import InputError
from dnntrain.metrics.base import METRICS, Metric
from dnntrain.utils.torch_start import complete_torch


def modules_of(watched: Iterable[Metric]) -> tuple[str, ...]:
    """The modules outside dnntrain that declare what workers measure: the watched metrics, and all that are recorded.

    Raises:
        InputError: If a metric is declared in a script or a notebook, which no other process can import.
    """
    modules = {}
    for metric in (*watched, *(metric for metric in METRICS.values() if metric.recorded)):
        declared = type(metric)
        if declared.__module__ == "__main__":
            raise InputError(
                f"metric {metric.name}: {declared.__qualname__} is declared in a script or a notebook, which the "
                "workers that measure it cannot import; move it to a module"
            )
        modules[declared.__module__] = not declared.__module__.startswith("dnntrain.")
    return tuple(module for module, is_own in modules.items() if is_own)


def import_metrics(modules: Iterable[str]) -> None:
    """Import modules that declare metrics; InputError that names one that cannot be imported."""
    for module in modules:
        complete_torch()
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise InputError(f"module {module}, which declares a metric: {error}") from None
