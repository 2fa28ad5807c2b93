"""Writes an export to a folder of its own, whole or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from dnntrain.errors import InputError
from dnntrain.inference.exporters.base import Exporter
from dnntrain.inference.exporters.plain_model import PlainModel
from dnntrain.inference.exporters.torch_module import torch_module
from dnntrain.utils.files import scratch_folder, write_errors


def write_export(model: PlainModel, exporter: Exporter, folder: Path) -> None:
    """Write a model to a new folder. A folder with the same export stays as it is.

    Raises:
        InputError: The folder holds something else, the model cannot be written in this format, or it would compute
            other outputs than the run.
        DnntrainError: The folder cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: is a file; name a new folder")
    torch_module(model)  # is the source right for this run? else nothing is written
    with write_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = scratch_folder(folder.parent)
        try:
            exporter.write(model, scratch)
            if preprocessing := model.record.data.preprocessing:
                text = json.dumps(preprocessing, indent=1, ensure_ascii=False)
                (scratch / "preprocessing.json").write_text(text, encoding="utf-8")
            if not folder.exists() or not any(folder.iterdir()):
                if folder.exists():
                    folder.rmdir()
                scratch.rename(folder)
            elif not have_same_files(folder, scratch):
                raise InputError(f"--out {folder}: holds something else; name a new folder, or remove this one")
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def have_same_files(folder: Path, other: Path) -> bool:
    """Whether two folders hold the same, apart from what Python caches. Only equal lists of names are looked into."""
    names, others = ({each.name for each in path.iterdir()} - {"__pycache__"} for path in (folder, other))
    return names == others and all(
        have_same_files(folder / name, other / name)
        if (folder / name).is_dir() and (other / name).is_dir()
        else (folder / name).is_file()
        and (other / name).is_file()
        and (folder / name).read_bytes() == (other / name).read_bytes()
        for name in names
    )
