"""Lists of values to tune in presets: the key `tune` for all arms, and `{tune: [...]}` in place of an arm's own value.

factors:
  value: {clipvalue: {tune: [0.001, 0.01, 0.1]}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dnntrain.config.spec import RunSpec
from dnntrain.config.transfer import read_count
from dnntrain.errors import InputError
from dnntrain.studies.study import Candidates

TUNE = "tune"
"""The key of a list of values to tune."""


def is_own_list(value: object) -> bool:
    """Whether it is `{tune: [...]}`, in place of a setting's value."""
    return isinstance(value, Mapping) and value.keys() == {TUNE}


def read_candidates(key: str, values: object, others: Mapping[str, Any]) -> Candidates:
    """The values of a setting to try.

    Args:
        key: The setting.
        values: What the preset lists.
        others: The settings that it is tried with.

    Raises:
        InputError: If they are not at least two different numbers that the setting can have.
    """
    if not isinstance(values, list) or len(values) < 2:
        raise InputError(f"{key} must be a list of different values like [0.01, 0.1], not {values!r}")
    settings = [RunSpec.parse({**others, key: value}).settings() for value in values]
    numbers = [read_count(each[key]) for each in settings]  # `unfreeze: all` is a number of layers
    if len(set(numbers)) < len(numbers):
        raise InputError(f"{key} must be a list of different values like [0.01, 0.1], not {values!r}")
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        raise InputError(f"{key} is no number: only those can be tuned")
    return Candidates(key, tuple(numbers))


def own_candidates(arm: str, changes: Mapping[str, Any]) -> Candidates | None:
    """The list that an arm's settings hold; None if there is none, InputError if there are several."""
    lists = [value for value in changes.values() if isinstance(value, Candidates)]
    if len(lists) > 1:
        keys = " and ".join(each.key for each in lists)
        raise InputError(f"{keys} would both be tuned in arm '{arm}'; an arm can tune one setting")
    return lists[0] if lists else None


def first_values(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the first value of each list, which stands for it until one is chosen."""
    return {key: value.values[0] if isinstance(value, Candidates) else value for key, value in changes.items()}
