"""The fields of a run's spec as command-line options, generated from their declarations."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Annotated, Any, get_args, get_origin

import typer

from dnntrain.cli.options import keyword
from dnntrain.config.keys import flag
from dnntrain.config.renamed import unknown_key
from dnntrain.config.spec import choice_keys, flat_keys
from dnntrain.config.transfer import TransferSettings
from dnntrain.data import options
from dnntrain.errors import InputError
from dnntrain.techniques.base import Switch, techniques_in
from dnntrain.utils.fields import field_extra, format_value

Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="change a setting of the preset's base; repeatable"),
]


def run_keys() -> list[str]:
    """The fields that have a flag: all but `seed`, which `--seeds` replaces."""
    return [key for key in flat_keys() if key != "seed"]


def spec_options(keys: Iterable[str]) -> list[inspect.Parameter]:
    """An option for each of these fields of the spec. Values stay text: the spec validates them."""
    return [option(key) for key in keys]


def option(key: str) -> inspect.Parameter:
    """The field as an option that takes text, or as a pair of flags if it is boolean."""
    field = flat_keys()[key]
    is_flag = field.annotation is bool
    names = [f"{flag(key)}/--no-{flag(key)[2:]}"] if is_flag else [flag(key)]
    info = typer.Option(*names, help=help_text(key), metavar=None if is_flag else metavar(key), show_default=False,
                        rich_help_panel=panel(key))  # fmt: skip
    kind: Any = bool if is_flag else str
    return keyword(key, Annotated[kind | None, info])


def help_text(key: str) -> str:
    """The help text: description, choices, unit and default."""
    field = flat_keys()[key]
    slot = choice_keys().get(key)
    text = (field.description or "").rstrip(".")
    if slot:
        text += f": {', '.join(slot.names())}"
    if unit := field_extra(field, "unit"):
        text += f" ({unit})"
    return text if field.default in (None, False) else f"{text} (default {format_value(field.default)})"


def metavar(key: str) -> str:
    """The kind of value shown in the help."""
    if key in choice_keys():
        return "NAME[:P=V,…]"
    kinds = {flat_keys()[key].annotation, *get_args(flat_keys()[key].annotation)}
    kinds |= {get_origin(kind) and get_args(kind)[0] for kind in kinds}  # bounds wrap the type in Annotated
    return "NUMBER" if kinds & {int, float} else "TEXT"


def panel(key: str) -> str:
    """The heading in the help under which the option is listed: its technique's family, or a general one."""
    for technique in techniques_in(Switch):
        if key in (technique.name, *(technique.key(name) for name in technique.model_fields)):
            return technique.family
    if slot := choice_keys().get(key):
        return slot.family
    if key in TransferSettings.model_fields:
        return "Transfer"
    return "The data" if key in ("data", "train_size", "subset", "val", "val_from", "scale", *options()) else "The run"


def read_assignments(assignments: list[str]) -> dict[str, str]:
    """Parse `--set KEY=VALUE` options into settings.

    Raises:
        InputError: If an option has no '=', or its key is unknown or given twice.
    """
    settings: dict[str, str] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise InputError(f"--set {assignment}: must be KEY=VALUE, such as --set lr=0.1")
        key = key.strip().replace("-", "_")
        if key not in run_keys():
            raise InputError(f"--set {unknown_key(key, run_keys(), equals='=')}")
        if key in settings:
            raise InputError(f"--set {key}: given twice, as {settings[key]} and {value.strip()}")
        settings[key] = value.strip()
    return settings
