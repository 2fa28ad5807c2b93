"""Settings of runs in a preset: those of the base, of a factor's level, and of a network to reuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dnntrain.config.parsing import as_meant, is_number
from dnntrain.config.renamed import unknown_key
from dnntrain.config.spec import flat_keys
from dnntrain.errors import InputError
from dnntrain.studies.candidates import TUNE, is_own_list, read_candidates
from dnntrain.utils.user_code.reference import CodeReference, is_file
from dnntrain.utils.user_dirs import expanded

CODE = "module:"
"""The start of a reference to the user's code."""


def read_settings(value: object, where: str, base: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Settings of a run, by the names that the flags have.

    Args:
        value: What the preset gives.
        where: The preset's file. References to the user's code are relative to its folder.
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
        if isinstance(each, list) and is_number(flat_keys()[key]):
            written = ", ".join(map(str, each))
            raise InputError(f"{key} must be one value; for an arm of each, write sweep: {{{key}: [{written}]}}")
    lists = {key: given.pop(key)[TUNE] for key in [*given] if isinstance(given[key], Mapping)}
    settings = {key: as_meant(key, flat_keys()[key], each) for key, each in given.items()}
    settings |= {key: located(settings[key], where) for key in ("data", "net") if key in settings}
    tried = {key: read_candidates(key, values, {**(base or {}), **settings}) for key, values in lists.items()}
    return settings | tried


def located(value: Any, where: str) -> Any:
    """A value; a reference to the user's code (module:FILE.py:NAME) with its file found from the preset's folder."""
    if not isinstance(value, str) or not value.startswith(CODE):
        return value
    code = CodeReference.parse(value.removeprefix(CODE))
    file = Path(where).parent / expanded(code.module)
    return f"{CODE}{replace(code, module=str(file))}" if is_file(code.module) else value
