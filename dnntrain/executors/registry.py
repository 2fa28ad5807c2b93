"""The executors by name, and their options. To add one, write a subclass of `Executor` and register it here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from dnntrain.errors import InputError, did_you_mean
from dnntrain.executors.base import Executor, ExecutorOptions
from dnntrain.executors.local import LocalExecutor
from dnntrain.executors.ray import RayExecutor
from dnntrain.utils.fields import format_validation_error
from dnntrain.utils.plugins import load_plugins, registrar

EXECUTORS: dict[str, type[Executor]] = {}
"""Every executor by the name that `--executor` takes."""

register = registrar("executor", EXECUTORS)
"""Makes a class known under its name; a class decorator."""

register(LocalExecutor)
register(RayExecutor)


def option_fields() -> dict[str, FieldInfo]:
    """The options of all executors, by name."""
    return {name: field for each in EXECUTORS.values() for name, field in each.Options.model_fields.items()}


def read_options(executor: str, values: Mapping[str, Any]) -> ExecutorOptions:
    """The options of one executor.

    Args:
        executor: The executor's name.
        values: By option; None for one that is not given.

    Raises:
        InputError: There is no such executor, it has no such option, or a value is invalid.
    """
    if executor not in EXECUTORS:
        raise InputError(f"unknown executor '{executor}'{did_you_mean(executor, EXECUTORS)}")
    options = EXECUTORS[executor].Options
    given = {name: value for name, value in values.items() if value is not None}
    for name in given.keys() - options.model_fields.keys():
        owners = [other for other, each in EXECUTORS.items() if name in each.Options.model_fields]
        raise InputError(
            f"{name} {given[name]}: needs the executor {' or '.join(owners)}"
            if owners
            else f"{name}: the executor {executor} has no such option{did_you_mean(name, options.model_fields)}"
        )
    try:
        return options(**given)
    except ValidationError as error:
        raise InputError(f"--{format_validation_error(error)}") from None


load_plugins("dnntrain.executors", EXECUTORS)
