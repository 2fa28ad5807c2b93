"""The data sources by name, and the lookup from what `--data` takes to a source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnntrain.data.cifar10 import Cifar10
from dnntrain.data.dataset import Dataset
from dnntrain.data.fashion_mnist import FashionMini, FashionMnist
from dnntrain.data.image_folder import ImageFolder
from dnntrain.data.in_memory import InMemoryArrays, InMemoryTable
from dnntrain.data.npz import Npz
from dnntrain.data.source import DataLocation, DataSource, OwnSource
from dnntrain.data.tabular import Table
from dnntrain.data.user_callable import UserCallable
from dnntrain.errors import InputError, did_you_mean, nearest

SOURCES: dict[str, type[DataSource]] = {source.name: source for source in (FashionMini, FashionMnist, Cifar10)}
"""The named sources, by the name that `--data` takes."""

KINDS: tuple[type[OwnSource], ...] = (Npz, Table, ImageFolder, UserCallable)
"""The sources for the user's own data. The first one that reads a path is used; references to code look like none."""

IN_MEMORY: tuple[type[OwnSource], ...] = (InMemoryArrays, InMemoryTable)
"""The sources for what Python code gave. Their options are among those of the others."""


def source_class(name: str) -> type[DataSource]:
    """Find the source class for a name or a path.

    Raises:
        InputError: No source has that name and none reads such a path; suggests the nearest name.
    """
    if name in SOURCES:
        return SOURCES[name]
    kind = (
        UserCallable
        if UserCallable.reads(name)
        else next((kind for kind in (*IN_MEMORY, *KINDS) if kind.reads(name)), None)
    )
    if kind is None:
        own = ", ".join(kind.summary for kind in KINDS)
        near = nearest(name, own_data_here()) or nearest(name, SOURCES)
        meant = f"; did you mean '{near[0]}'?" if near else did_you_mean(name, SOURCES)
        raise InputError(f"unknown data set '{name}'{meant} (your own: {own})")
    return kind


def own_data_here() -> list[str]:
    """The files and folders of the working directory that may be data."""
    try:
        return [path.name for path in Path().iterdir() if any(kind.reads(str(path)) for kind in KINDS)]
    except OSError:
        return []


def find_source(name: str, settings: Mapping[str, Any] | None = None) -> DataSource:
    """Build the source for a name or a path; settings that are not options of this source are ignored."""
    source = source_class(name)
    options = {key: value for key, value in (settings or {}).items() if key in source.model_fields}
    return source(**options, **({source.place: name} if source.place else {}))


def options() -> dict[str, tuple[Any, list[str]]]:
    """Map each option of any source to its pydantic field and the names of the sources that have it."""
    found: dict[str, tuple[Any, list[str]]] = {}
    for source in (*SOURCES.values(), *KINDS):
        for name, field in source.model_fields.items():
            if name != source.place:
                found.setdefault(name, (field, []))[1].append(source.name)
    return found


def load_dataset(name: str, location: DataLocation | None = None, **settings: Any) -> Dataset:
    """Load a data set into memory.

    Args:
        name: A data set's name, or the path of the user's own data.
        location: Where data sets are kept; the default folder if None.
        **settings: Options of the source.

    Raises:
        InputError: The data cannot be found, downloaded, or read.
    """
    return find_source(name, settings).load(location or DataLocation())
