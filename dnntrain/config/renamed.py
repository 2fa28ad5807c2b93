"""Settings that have been renamed.

The table has three uses. A run's id is computed over the old names, so that it stays what it was. Records that were
written with the old names are read. An old name in a flag, a preset, or `--set` is an error that says the new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dnntrain.errors import InputError, did_you_mean

RENAMED: dict[str, tuple[str, dict[str, str]]] = {
    "subset": ("draw", {"per-seed": "seed", "shared": "same"}),
    "val_from": ("val_part", {}),
    "transfer_layers": ("reuse", {}),
    "freeze_epochs": ("freeze", {}),
    "unfreeze_layers": ("unfreeze", {}),
    "drop_columns": ("leave_out", {}),
    "max_corrupt": ("corrupt", {}),
    "color": ("colour", {"gray": "grey", "color": "colour"}),
}
"""Each new key with its old one, and each new value with its old one."""

NEW_KEYS = {old: new for new, (old, _) in RENAMED.items()}
NEW_VALUES = {key: {old: new for new, old in values.items()} for key, (_, values) in RENAMED.items()}


def to_old_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under the names that run ids are computed over."""
    old: dict[str, Any] = {}
    for key, value in settings.items():
        old_key, old_values = RENAMED.get(key, (key, {}))
        old[old_key] = old_values.get(value, value) if isinstance(value, str) else value
    return old


def to_new_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded settings, of this or an older version, under today's names."""
    new: dict[str, Any] = {}
    for key, value in settings.items():
        new_values = NEW_VALUES.get(NEW_KEYS.get(key, ""), {})
        new[NEW_KEYS.get(key, key)] = new_values.get(value, value) if isinstance(value, str) else value
    return new


def unknown_key(key: str, known: Iterable[str], *, what: str = "key", equals: str = ": ") -> InputError:
    """The error for a key that is not known: its new name where it has been renamed, else what it may mean.

    Args:
        key: The unknown key.
        known: The known keys.
        what: What the caller's language calls a key.
        equals: What stands between a key and its value there.
    """
    if key in NEW_KEYS:
        return InputError(f"{key}: renamed to {NEW_KEYS[key]}")
    return InputError(f"unknown {what} '{key}'{did_you_mean(key, known, 'dnntrain train --help-all', equals)}")


def check_value(key: str, value: Any) -> None:
    """Raise InputError for a value that has been renamed."""
    new = NEW_VALUES.get(key, {}).get(value) if isinstance(value, str) else None
    if new is not None:
        raise InputError(f"{key} {value}: renamed to {new}")
