"""`dnntrain techniques`: the catalogue, and one technique's card. Everything is generated from the declarations."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from dnntrain.cli import completion
from dnntrain.config.keys import flag
from dnntrain.config.spec import choice_keys
from dnntrain.errors import InputError, did_you_mean
from dnntrain.techniques import CATALOGUE
from dnntrain.techniques.base import LISTED_BY, Choice, Switch, Technique
from dnntrain.techniques.schedules.base import Schedule
from dnntrain.utils.console import show
from dnntrain.utils.fields import field_extra, format_value
from dnntrain.utils.plugins import plugin_of
from dnntrain.utils.text_layout import definitions


def techniques(
    name: Annotated[
        str | None,
        typer.Argument(
            autocompletion=completion.techniques,
            help="a technique, to show its card, or a family or setting, to list its techniques. A schedule may have "
            "parameters: power:s=10000,c=1",
        ),
    ] = None,
) -> None:
    """List all techniques or those of a family, or show one technique's card.

    The card says what it does, with its formula, advice, flags, preset key and paper.

    The card of a learning-rate schedule draws its curve and lists rates and ratios.

    Examples:
        dnntrain techniques
        dnntrain techniques optimizer
        dnntrain techniques dropout
    """
    families = {technique.family.lower(): technique.family for technique in CATALOGUE.values()}
    families |= {slot: choice.family for slot, choice in choice_keys().items()}
    if name is None:
        show(overview())
    elif name.lower() in families and name not in CATALOGUE:
        show(overview(families[name.lower()]))
    else:
        show(card(name))


def overview(family: str | None = None) -> Group:
    """Every technique with its summary, grouped by family, or those of one family."""
    tables: list[RenderableType] = []
    members_of = [technique for technique in CATALOGUE.values() if family in (None, technique.family)]
    by_family = sorted(members_of, key=lambda technique: technique.family)
    for family, members in groupby(by_family, key=lambda technique: technique.family):
        tables += [
            Text(family, style="bold"),
            definitions([(each.name, each.summary + origin(each)) for each in members]),
        ]
    return Group(*tables, Text("dnntrain techniques NAME shows one technique in detail.", style="dim"))


def origin(technique: type[Technique]) -> str:
    """The plug-in that declares it, in brackets; empty for dnntrain's own."""
    plugin = plugin_of(technique)
    return f" ({plugin})" if plugin else ""


def find_technique(name: str) -> type[Technique]:
    """Find a technique by name, alias or flag; InputError with the nearest name if there is none."""
    key = name.lstrip("-").replace("-", "_")
    aliases = {alias: t for t in CATALOGUE.values() if issubclass(t, Choice) for alias in t.aliases}
    if key not in CATALOGUE and key not in aliases:
        near = re.sub(":[^']*", "", did_you_mean(key, [*CATALOGUE, *aliases], LISTED_BY))  # a card has no parameters
        raise InputError(f"unknown technique '{name}'{near}")
    return CATALOGUE.get(key) or aliases[key]


def card(name: str) -> Group:
    """One technique in detail; InputError for parameters of anything but a schedule, which would change nothing."""
    plain, colon, _ = name.partition(":")
    technique = find_technique(plain)
    curve: list[RenderableType] = []
    if issubclass(technique, Schedule):
        from dnntrain.reporting.schedule_curve import schedule_curve  # loads numpy, which the other cards do without

        curve = ["", schedule_curve(Schedule.parse(name))]
    elif colon:
        raise InputError(f"'{name}': only the card of a schedule takes parameters; see dnntrain techniques {plain}")
    rows = [
        ("what", technique.summary),
        ("formula", technique.formula),
        ("when", technique.advice),
        ("parameters", "\n".join(parameters(technique)) or "none"),
        ("flag", usage(technique, flags=True)),
        ("preset", usage(technique, flags=False)),
        ("paper", technique.paper),
    ]
    if plugin := plugin_of(technique):
        rows.append(("plug-in", f"{plugin}"))
    if issubclass(technique, Choice) and technique.aliases:
        rows.insert(1, ("also", ", ".join(technique.aliases)))
    return Group(Text(technique.name, style="bold"), definitions(rows), *curve)


def parameters(technique: type[Technique]) -> list[str]:
    """One line for each hyperparameter: name, description, unit, bounds, default."""
    lines = []
    for name, field in technique.model_fields.items():
        signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
        bounds = [f"{sign} {format_value(getattr(m, key))}" for m in field.metadata for key, sign in signs.items()
                  if hasattr(m, key)]  # fmt: skip
        default = "" if field.default == "" else f"default {format_value(field.default)}"
        notes = ", ".join(filter(None, [field_extra(field, "unit"), *bounds, default]))
        lines.append(f"{name}: {field.description}" + (f" ({notes})" if notes else ""))
    return lines


def usage(technique: type[Technique], *, flags: bool) -> str:
    """How to turn it on, on the command line or in a preset."""
    if issubclass(technique, Choice):
        example = technique.example or technique.name
        for name, field in list(technique.model_fields.items())[: not technique.example]:
            example += f"   or {technique.name}:{name}={format_value(field.default)}"
        return f"{flag(technique.slot)} {example}" if flags else f"{technique.slot}: {example}"
    assert issubclass(technique, Switch)
    named = {technique.key(name): format_value(field.default) for name, field in technique.model_fields.items()}
    if technique.primary is None:
        named = {technique.name: "on"} | named
    if not flags:
        return "\n".join(f"{key}: {value}" for key, value in named.items())
    yes_no = {technique.key(n) for n, f in technique.model_fields.items() if f.annotation is bool} | {technique.name}
    bare = yes_no if technique.primary is None else yes_no - {technique.name}
    return "\n".join(flag(key) if key in bare else f"{flag(key)} {value}" for key, value in named.items())
