"""Data sets: sources, what they load, and how training and validation are told apart. Needs numpy, not torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnntrain.data.cifar10 import Cifar10
from dnntrain.data.dataset import Dataset, DatasetInfo
from dnntrain.data.fashion_mnist import FashionMini, FashionMnist
from dnntrain.data.image_folder import ImageFolder
from dnntrain.data.npz import Npz
from dnntrain.data.source import DataLocation, DataSource, FileSource, default_data_dir
from dnntrain.data.tabular import Table
from dnntrain.errors import InputError, did_you_mean

__all__ = [
    "KINDS",
    "SOURCES",
    "DataLocation",
    "DataSource",
    "Dataset",
    "DatasetInfo",
    "FileSource",
    "default_data_dir",
    "find_source",
    "load",
    "options",
    "source_class",
]

SOURCES: dict[str, type[DataSource]] = {source.name: source for source in (FashionMini, FashionMnist, Cifar10)}
"""Every source by the name that `--data` takes."""

KINDS: tuple[type[FileSource], ...] = (Npz, Table, ImageFolder)
"""A person's own data by the kind of file; the first that reads a path has it."""


def source_class(name: str) -> type[DataSource]:
    """The source of that name, or what reads that path; InputError with the nearest name where there is neither."""
    if name in SOURCES:
        return SOURCES[name]
    kind = next((kind for kind in KINDS if kind.reads(name)), None)
    if kind is None:
        own = ", ".join(kind.summary for kind in KINDS)
        raise InputError(f"unknown data set '{name}'{did_you_mean(name, SOURCES)} (your own: {own})")
    return kind


def find_source(name: str, settings: Mapping[str, Any] | None = None) -> DataSource:
    """The source called `name`, or at that path, with those of the settings that it takes as options."""
    source = source_class(name)
    given = {key: value for key, value in (settings or {}).items() if key in source.model_fields}
    return source(**given, **({"path": Path(name)} if issubclass(source, FileSource) else {}))


def options() -> dict[str, tuple[Any, list[str]]]:
    """The options of all sources: each one's field, and the names of the sources that take it."""
    found: dict[str, tuple[Any, list[str]]] = {}
    for source in (*SOURCES.values(), *KINDS):
        for name, field in source.model_fields.items():
            if name != "path":
                found.setdefault(name, (field, []))[1].append(source.name)
    return found


def load(name: str, home: DataLocation | None = None, **settings: Any) -> Dataset:
    """The data set `name`, or at that path; InputError where it cannot be had."""
    return find_source(name, settings).load(home or DataLocation())
