"""The exporters by name. To add one, write a subclass of `Exporter` and register it here."""

from __future__ import annotations

from dnntrain.errors import InputError, did_you_mean
from dnntrain.inference.exporters.base import Exporter
from dnntrain.inference.exporters.onnx_file import OnnxExporter
from dnntrain.inference.exporters.torch_files import SafetensorsExporter, TorchExporter
from dnntrain.utils.plugins import load_plugins, registrar

EXPORTERS: dict[str, type[Exporter]] = {}
"""Every exporter by the name that `--to` takes."""

register_exporter = registrar("exporter", EXPORTERS)
"""Makes a class known under its name; a class decorator."""

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
