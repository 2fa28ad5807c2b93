"""Exports that are a small Python file, and the weights in a file next to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dnntrain.inference.exporters.base import Exporter
from dnntrain.inference.exporters.model_source import model_source
from dnntrain.inference.exporters.plain_model import PlainModel
from dnntrain.utils.lazy import torch


class TorchExporter(Exporter):
    """A Python file that needs torch alone, and a state_dict that `torch.save` wrote."""

    name = "torch"
    summary = "model.py and model.pt, for torch alone"

    def write(self, model: PlainModel, folder: Path) -> None:
        write_torch(model, folder, "model.pt", lambda file: torch.save(model.state_dict(), file))


class SafetensorsExporter(Exporter):
    """The same Python file, with the weights in a format that holds nothing but tensors."""

    name = "safetensors"
    summary = "model.py and model.safetensors, for torch and safetensors"

    def write(self, model: PlainModel, folder: Path) -> None:
        from safetensors.torch import save_file

        metadata = {"run": model.record.run}
        write_torch(model, folder, "model.safetensors", lambda file: save_file(model.state_dict(), file, metadata))


def write_torch(model: PlainModel, folder: Path, weights: str, save: Callable[[Path], None]) -> None:
    """Write model.py, the user's code, and the weights by `save`."""
    (folder / "model.py").write_text(model_source(model, weights), encoding="utf-8")
    for path, content in model.code.items():
        file = folder / "code" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    save(folder / weights)
