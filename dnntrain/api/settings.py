"""Reads the keywords of functions that train: options apart from settings, and Python objects as references."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from dnntrain.config.keys import Settings
from dnntrain.config.renamed import unknown_key
from dnntrain.config.spec import flat_keys
from dnntrain.data.in_memory import keep
from dnntrain.data.source import DataLocation, forget_outlines
from dnntrain.errors import InputError
from dnntrain.nn.modules.instances import is_module, reference_of_module
from dnntrain.studies.execution import RunOptions
from dnntrain.utils.user_code.reference import reference_of


def split_options(settings: Settings, out: str | Path, workers: int | None) -> tuple[RunOptions, dict[str, Any]]:
    """Separate the fields of `RunOptions` from a run's settings; InputError for a key that neither has.

    Every function that trains starts here, and so looks at the data anew.
    """
    forget_outlines()
    options = {field.name for field in fields(RunOptions)}
    for key in settings:
        if key == "seed":
            raise InputError("seed: give seeds, such as seeds=[3]")
        if key not in options and key not in flat_keys():
            raise unknown_key(key, [*flat_keys(), *options, "seeds"], what="setting", equals="=")
    chosen = {key: value for key, value in settings.items() if key in options}
    spec = {key: value for key, value in settings.items() if key not in options}
    found = RunOptions(Path(out).absolute(), workers, **chosen)
    return found, with_references(spec, found.home)


def with_references(settings: Settings, home: DataLocation) -> dict[str, Any]:
    """Settings in which objects for `net` and `data` are written as text.

    Classes, functions, and partials of them become references to code, and so do modules, whose parameters each run
    draws anew. Data in memory are kept in the data folder.

    Args:
        settings: A run's settings.
        home: Where data are kept.

    Raises:
        InputError: A callable's source cannot be read, the arguments of a partial are not literals, or the data cannot
            be used.
    """
    written = dict(settings)
    for key, value in settings.items():
        if key not in ("net", "data"):
            written[key] = value.tolist() if hasattr(value, "tolist") else value  # NumPy's numbers and arrays
        elif key == "net" and is_module(value):
            written[key] = f"module:{reference_of_module(value)}"
        elif callable(value):
            written[key] = f"module:{reference_of(*without_partial(key, value))}"
        elif key == "data" and isinstance(value, Path):
            written[key] = str(value)
        elif key == "data" and not isinstance(value, str):
            written[key] = keep(value, home)
    return written


def named_with_references(named: Mapping[str, Any] | None, home: DataLocation) -> Mapping[str, Any] | None:
    """The settings of several arms or factors, each by `with_references`; so are the values and levels of factors."""
    if not isinstance(named, Mapping):
        return named
    written: dict[str, Any] = {}
    for name, given in named.items():
        if isinstance(given, list | tuple):
            written[name] = [with_references({name: value}, home)[name] for value in given]
        elif isinstance(given, Mapping) and any(isinstance(level, Mapping) for level in given.values()):
            written[name] = named_with_references(given, home)
        else:
            written[name] = with_references(given, home) if isinstance(given, Mapping) else given
    return written


def without_partial(key: str, given: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The function of a partial, and its arguments by parameter; a function as it is, without arguments.

    Raises:
        InputError: The function does not take these arguments, or has no names for them.
    """
    if not isinstance(given, partial):
        return given, {}
    if not given.args:
        return given.func, given.keywords
    try:
        signature = inspect.signature(given.func)
        signature.bind_partial(*given.args, **given.keywords)
        positional = signature.bind_partial(*given.args).arguments
    except (TypeError, ValueError) as error:  # it does not take them, or its signature cannot be read
        raise InputError(f"{key}: {given}: {error}") from None
    if any(signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL for name in positional):
        raise InputError(f"{key}: {given}: give its arguments by name, such as width=64")
    return given.func, positional | given.keywords
