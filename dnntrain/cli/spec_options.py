"""The fields of a run's spec as command-line options, generated from their declarations."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from dnntrain.cli import completion
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
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        autocompletion=completion.assignments,
        help="change a setting of the preset's base; repeatable",
    ),
]

FEW = 5
"""Techniques that the first sentence of a help text can list."""


def run_keys() -> list[str]:
    """The fields that have a flag, those of a transfer last: all but `seed`, which `--seeds` replaces."""
    return sorted((key for key in flat_keys() if key != "seed"), key=lambda key: key in TransferSettings.model_fields)


def spec_options(
    keys: Iterable[str], essential: Collection[str] | None = None, defaults: Mapping[str, str] | None = None
) -> list[inspect.Parameter]:
    """An option for each of these fields of the spec. Values stay text: the spec validates them.

    Args:
        keys: The fields.
        essential: Those that `--help` describes; by default those that are declared essential.
        defaults: What the help says instead of a field's own default, where the command has another one.
    """
    if essential is None:
        essential = {key for key, field in flat_keys().items() if field_extra(field, "essential")}
    return [option(key, key in essential, (defaults or {}).get(key)) for key in keys]


def option(key: str, essential: bool, default: str | None = None) -> inspect.Parameter:
    """The field as an option that takes text, or as a pair of flags if it is boolean; see `spec_options`."""
    field = flat_keys()[key]
    is_flag = field.annotation is bool
    names = [f"{flag(key)}/--no-{flag(key)[2:]}"] if is_flag else [flag(key)]
    if letter := field_extra(field, "short"):
        names.append(f"-{letter}")
    info = typer.Option(
        *names,
        help=help_text(key, essential),
        metavar=None if is_flag else metavar(key),
        autocompletion=completion.setting_values(key),
        show_default=shown_default(field.default) if default is None else default,
        rich_help_panel=None if essential else group(key),
    )
    kind: Any = bool if is_flag else str
    return keyword(key, Annotated[kind | None, info])


def shown_default(value: object) -> str | bool:
    """A field's default in the help; False for none."""
    return False if value in (None, False) else format_value(value)


def help_text(key: str, essential: bool) -> str:
    """The help text: description, unit and choices. A technique outside of its group names its family."""
    field = flat_keys()[key]
    text = (field.description or "").rstrip(".")
    switch = next((technique for technique in techniques_in(Switch) if technique.name == key), None)
    if switch and switch.primary:
        value = switch.model_fields[switch.primary].description
        text = f"{f'{switch.family.lower()}: ' if essential else ''}{value}. {text}"
    if unit := field_extra(field, "unit"):
        text += f" ({unit})"
    if slot := choice_keys().get(key):
        first, stop, rest = text.partition(". ")
        names = ", ".join(slot.names())
        return f"{first}: {names}{stop}{rest}" if len(slot.names()) <= FEW else f"{text}. One of {names}"
    return text


def metavar(key: str) -> str:
    """The kind of value shown in the help."""
    if key in choice_keys():
        return "NAME[:P=V,…]"
    annotation = flat_keys()[key].annotation
    kinds = {annotation, *get_args(annotation)}
    origins = {get_origin(kind) for kind in kinds}
    kinds |= {get_origin(kind) and get_args(kind)[0] for kind in kinds}  # bounds wrap the type in Annotated
    if tuple in origins:
        return "N,N,…"
    return "NAME" if Literal in origins else "N" if int in kinds else "NUMBER" if float in kinds else "TEXT"


def group(key: str) -> str:
    """The heading in the help under which the option is listed: its technique's family, or a general one."""
    for technique in techniques_in(Switch):
        if key in (technique.name, *(technique.key(name) for name in technique.model_fields)):
            return technique.family
    if slot := choice_keys().get(key):
        return slot.family
    if key in TransferSettings.model_fields:
        return "Transfer"
    return "Data" if key in ("data", "train_size", "subset", "val", "val_from", "scale", *options()) else "Run"


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
