"""The exporters by name. To add one, write a subclass of `Exporter` and register it here."""

from __future__ import annotations

from typing import TypeVar

from dnntrain.errors import InputError, did_you_mean
from dnntrain.inference.exporters.base import Exporter
from dnntrain.inference.exporters.onnx_file import OnnxExporter
from dnntrain.inference.exporters.torch_files import SafetensorsExporter, TorchExporter
from dnntrain.utils.plugins import declared_by, load_plugins

E = TypeVar("E", bound=type[Exporter])

EXPORTERS: dict[str, type[Exporter]] = {}
"""Every exporter by the name that `--to` takes."""


def register_exporter(exporter: E) -> E:
    """Make an exporter known under its name; a class decorator. TypeError for a name that exists already."""
    if exporter.name in EXPORTERS:
        other = declared_by(EXPORTERS[exporter.name])
        raise TypeError(f"two exporters are named {exporter.name!r}; the other one is in {other}")
    EXPORTERS[exporter.name] = exporter
    return exporter


register_exporter(TorchExporter)
register_exporter(SafetensorsExporter)
register_exporter(OnnxExporter)


def find_exporter(name: str) -> Exporter:
    """The exporter of this name; InputError if there is none, or its packages are not installed."""
    if name not in EXPORTERS:
        raise InputError(f"--to {name}: no such exporter{did_you_mean(name, EXPORTERS)}")
    exporter = EXPORTERS[name]()
    exporter.check_packages()
    return exporter


load_plugins("dnntrain.exporters", EXPORTERS)
