"""Data sets: sources, what they load, and how training and validation are told apart. Needs numpy, not torch."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dnntrain.data.fashion import FashionMini, FashionMnist
from dnntrain.data.source import Dataset, DataSource
from dnntrain.errors import InputError, did_you_mean

__all__ = ["SOURCES", "DataSource", "Dataset", "default_data_dir", "find_source", "fingerprint", "load"]

SOURCES: dict[str, DataSource] = {source.name: source for source in (FashionMini(), FashionMnist())}
"""Every source by the name that `--data` takes."""


def find_source(name: str) -> DataSource:
    """The source called `name`; InputError with the nearest name where there is none."""
    if name not in SOURCES:
        raise InputError(f"unknown data set '{name}'{did_you_mean(name, SOURCES)}")
    return SOURCES[name]


def load(name: str, data_dir: Path | str | None = None) -> Dataset:
    """The data set `name`, from `data_dir` (default_data_dir() if None); InputError where it cannot be had."""
    return find_source(name).load(_folder(data_dir))


def fingerprint(name: str, data_dir: Path | str | None = None) -> str:
    """16 hexadecimal digits that name the bytes of the data set's files, which are found or fetched, not decoded."""
    return find_source(name).fingerprint(_folder(data_dir))


def default_data_dir() -> Path:
    """$DNNTRAIN_DATA, else the folder dnntrain in the platform's folder for caches."""
    if chosen := os.environ.get("DNNTRAIN_DATA"):
        return Path(chosen).expanduser()
    return _cache_dir() / "dnntrain"


def _cache_dir() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _folder(data_dir: Path | str | None) -> Path:
    return default_data_dir() if data_dir is None else Path(data_dir).expanduser()
