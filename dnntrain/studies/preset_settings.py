"""Settings of runs in a preset: those of the base, of a factor's level, and of a network to reuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dnntrain.config.parsing import as_meant, takes_number
from dnntrain.config.renamed import unknown_key
from dnntrain.config.spec import flat_keys
from dnntrain.data import KINDS, SOURCES
from dnntrain.data.source import FileSource
from dnntrain.errors import InputError
from dnntrain.studies.candidates import TUNE, is_own_list, read_candidates
from dnntrain.utils.user_code.reference import CodeReference, is_file
from dnntrain.utils.user_dirs import expanded

CODE = "module:"
"""The start of a reference to the user's code."""

FILE_KINDS = [kind for kind in KINDS if issubclass(kind, FileSource)]
"""The sources that read files of the user's."""


def read_settings(value: object, where: str, base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Settings of a run, by the names that the flags have.

    Args:
        value: What the preset gives.
        where: The preset's file. Paths of data and of the user's code are relative to its folder.
        base: The settings that values to tune are tried with. Without it, no setting may be such a list.

    Raises:
        InputError: Not settings, an unknown key, `seed`, or a list of values where none may be.
    """
    if value is not None and not isinstance(value, Mapping):
        raise InputError(f"must be settings like {{lr: 0.1}}, not {value!r}")
    given = dict(value or {})
    for key, each in given.items():
        if key in ("seed", "seeds"):
            raise InputError(f"{key} belongs under seeds, a key of the preset itself")
        if key not in flat_keys():
            raise unknown_key(str(key), flat_keys())
        if isinstance(each, Mapping) and (base is None or not is_own_list(each)):
            raise InputError(f"{key} must be a value, or in a factor values to tune like {{tune: [0.01, 0.1]}}")
        if isinstance(each, list) and takes_number(flat_keys()[key]):
            written = ", ".join(map(str, each))
            raise InputError(f"{key} must be one value; for an arm of each, write sweep: {{{key}: [{written}]}}")
    lists = {key: given.pop(key)[TUNE] for key in [*given] if isinstance(given[key], Mapping)}
    settings = {key: as_meant(key, flat_keys()[key], each) for key, each in given.items()}
    for key, find in (("data", located_data), ("net", located_code)):
        if isinstance(settings.get(key), str):
            settings[key] = find(settings[key], Path(where).parent)
    tried = {key: read_candidates(key, values, {**(base or {}), **settings}) for key, values in lists.items()}
    return settings | tried


def located_code(text: str, folder: Path) -> str:
    """A reference to the user's code (module:FILE.py:NAME) with its file found from the preset's folder."""
    if not text.startswith(CODE):
        return text
    code = CodeReference.parse(text.removeprefix(CODE))
    return f"{CODE}{replace(code, module=str(folder / expanded(code.module)))}" if is_file(code.module) else text


def located_data(text: str, folder: Path) -> str:
    """A data set's name as it is; a path, or code, as found from the preset's folder.

    Raises:
        InputError: A path leads to nothing from there, but would from the working directory.
    """
    if text.startswith(CODE):
        return located_code(text, folder)
    path = folder / expanded(text)
    if folder == Path() or text in SOURCES or not (path.is_dir() or any(kind.reads(text) for kind in FILE_KINDS)):
        return text
    if Path(text).exists() and not path.exists():
        raise InputError(f"data {text}: not in {folder}; a path in a preset is relative to the preset's folder")
    return str(path)
