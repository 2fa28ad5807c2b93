"""The spec's fields as command-line options: what the catalogue declares is what `--help` shows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any, get_args, get_origin

import typer

from dnntrain.config.keys import flag
from dnntrain.config.renamed import unknown_key
from dnntrain.config.spec import RunSpec, choice_keys, default_settings, flat_keys
from dnntrain.config.transfer import TransferSettings
from dnntrain.data import options
from dnntrain.errors import InputError
from dnntrain.techniques.base import Switch, techniques_in
from dnntrain.utils.fields import field_extra, format_value

Command = Callable[..., None]


def run_keys() -> list[str]:
    """The fields of a run that a person sets by flags: all but the seed, of which there are several."""
    return [key for key in flat_keys() if key != "seed"]


def takes_settings(keys: Sequence[str]) -> Callable[[Command], Command]:
    """Give a command an option for each of these fields of the spec.

    The command's parameter `settings` receives the given ones as {field: text or bool}, unchecked: the spec is where
    values are validated.
    """

    def decorate(command: Command) -> Command:
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"]

        def wrapper(**given: Any) -> None:
            settings = {key: given.pop(key) for key in keys}
            command(settings={key: value for key, value in settings.items() if value is not None}, **given)

        parameters = [*own, *(option(key) for key in keys)]
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
        return wrapper

    return decorate


def refuse_given(context: typer.Context, names: Collection[str], why: str) -> None:
    """Raise InputError where one of these parameters was given on the command line: it would be ignored."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            raise InputError(f"{[*parameter.opts, *parameter.secondary_opts][0]}: {why}")


def option(key: str) -> inspect.Parameter:
    """The field as an option, given as text; a yes-or-no field as a pair of flags."""
    field = flat_keys()[key]
    is_flag = field.annotation is bool
    names = [f"{flag(key)}/--no-{flag(key)[2:]}"] if is_flag else [flag(key)]
    info = typer.Option(*names, help=help_text(key), metavar=None if is_flag else metavar(key), show_default=False,
                        rich_help_panel=panel(key))  # fmt: skip
    kind: Any = bool if is_flag else str
    annotation = Annotated[kind | None, info]
    return inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def help_text(key: str) -> str:
    """What the field means, with its choices, unit and default."""
    field = flat_keys()[key]
    slot = choice_keys().get(key)
    text = (field.description or "").rstrip(".")
    if slot:
        text += f": {', '.join(slot.names())}"
    if unit := field_extra(field, "unit"):
        text += f" ({unit})"
    return text if field.default in (None, False) else f"{text} (default {format_value(field.default)})"


def metavar(key: str) -> str:
    """What kind of value the field takes."""
    if key in choice_keys():
        return "NAME[:P=V,…]"
    kinds = {flat_keys()[key].annotation, *get_args(flat_keys()[key].annotation)}
    kinds |= {get_origin(kind) and get_args(kind)[0] for kind in kinds}  # a number's bounds are annotations too
    return "NUMBER" if kinds & {int, float} else "TEXT"


def panel(key: str) -> str:
    """The heading that the field's option stands under: its technique's family."""
    for technique in techniques_in(Switch):
        if key in (technique.name, *(technique.key(name) for name in technique.model_fields)):
            return technique.family
    if slot := choice_keys().get(key):
        return slot.family
    if key in TransferSettings.model_fields:
        return "Transfer"
    return "The data" if key in ("data", "train_size", "subset", "val", "val_from", "scale", *options()) else "The run"


def read_assignments(assignments: list[str]) -> dict[str, str]:
    """`--set lr=0.1` options as settings; InputError for one without '=', or a key unknown or given twice."""
    settings: dict[str, str] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise InputError(f"--set {assignment}: must be KEY=VALUE, as --set lr=0.1")
        key = key.strip().replace("-", "_")
        if key not in run_keys():
            raise InputError(f"--set {unknown_key(key, flat_keys())}")
        if key in settings:
            raise InputError(f"--set {key}: given twice, as {settings[key]} and {value.strip()}")
        settings[key] = value.strip()
    return settings


def spec_label(spec: RunSpec) -> str:
    """The settings that differ from the defaults, as a short name: 'act=elu,bn,clipnorm=1'."""
    settings, defaults = spec.settings(), default_settings()
    changed = {k: v for k, v in settings.items() if v != defaults[k] and k != "seed"}
    return (
        ",".join(key if value is True else f"{key}={format_value(value)}" for key, value in changed.items())
        or "default"
    )
