"""What the catalogue and a plan look like to a person: all read off the declarations."""

from __future__ import annotations

from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from dnntrain.config.keys import flag
from dnntrain.config.spec import default_settings
from dnntrain.config.transfer import TransferSettings
from dnntrain.data import options
from dnntrain.errors import InputError, did_you_mean
from dnntrain.executors.planner import populations
from dnntrain.studies.study import Study
from dnntrain.techniques import CATALOGUE
from dnntrain.techniques.base import Choice, Switch, Technique, techniques_in
from dnntrain.utils.fields import field_extra, format_value
from dnntrain.utils.text_layout import TextTable, definitions


def overview() -> Group:
    """Every technique with its summary, by family."""
    tables: list[RenderableType] = []
    by_family = sorted(CATALOGUE.values(), key=lambda technique: technique.family)
    for family, members in groupby(by_family, key=lambda technique: technique.family):
        tables += [Text(family, style="bold"), definitions([(each.name, each.summary) for each in members])]
    return Group(*tables, Text("dnntrain techniques NAME shows a technique's card.", style="dim"))


def find_technique(name: str) -> type[Technique]:
    """The technique of that name, alias or flag; InputError with the nearest name otherwise."""
    key = name.lstrip("-").replace("-", "_")
    aliases = {alias: t for t in CATALOGUE.values() if issubclass(t, Choice) for alias in t.aliases}
    if key not in CATALOGUE and key not in aliases:
        raise InputError(f"unknown technique '{name}'{did_you_mean(key, [*CATALOGUE, *aliases])}")
    return CATALOGUE.get(key) or aliases[key]


def card(name: str) -> Group:
    """One technique: what, formula, when, parameters, flags, preset key, paper."""
    technique = find_technique(name)
    rows = [
        ("what", technique.summary),
        ("formula", technique.formula),
        ("when", technique.advice),
        ("parameters", "\n".join(parameters(technique)) or "none"),
        ("flag", usage(technique, flags=True)),
        ("preset", usage(technique, flags=False)),
        ("paper", technique.paper),
    ]
    if issubclass(technique, Choice) and technique.aliases:
        rows.insert(1, ("also", ", ".join(technique.aliases)))
    return Group(Text(technique.name, style="bold"), definitions(rows))


def parameters(technique: type[Technique]) -> list[str]:
    """One line for each hyper-parameter: name, meaning, unit, bounds, default."""
    lines = []
    for name, field in technique.model_fields.items():
        signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
        bounds = [f"{sign} {format_value(getattr(m, key))}" for m in field.metadata for key, sign in signs.items()
                  if hasattr(m, key)]  # fmt: skip
        notes = [field_extra(field, "unit") or "", *bounds, f"default {format_value(field.default)}"]
        lines.append(f"{name}: {field.description} ({', '.join(filter(None, notes))})")
    return lines


def usage(technique: type[Technique], *, flags: bool) -> str:
    """How it is asked for, on the command line or in a preset."""
    if issubclass(technique, Choice):
        example = technique.name
        for name, field in list(technique.model_fields.items())[:1]:
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


def plan_table(study: Study) -> Group:
    """A study's arms with what sets them apart, and how many runs and populations they make."""
    varied = study.varied()
    rows = []
    for arm in study.arms:
        settings = in_use(arm.spec.settings())
        text = ", ".join(f"{key}={format_value(settings[key])}" for key in varied if key in settings)
        rows.append([arm.name, "\n".join([text, *(f"  so {change}" for change in study.implied(arm))])])
    table = TextTable("", ["arm", "settings"], rows, wraps=frozenset({"settings"}))
    runs = [spec for _, spec in study.runs()]
    lines = [
        f"{len(study.arms)} arms × {len(study.seeds)} seeds = {len(runs)} runs "
        f"in {len(populations(runs, 1))} populations; baseline: {study.baseline or 'none'}",
        "common: " + ", ".join(f"{k}={format_value(v)}" for k, v in common(study).items()),
    ]
    if study.tuning:
        values = ", ".join(format_value(value) for value in study.tuning.values)
        more = len(study.arms) * (len(study.tuning.values) * study.tuning.seeds + len(study.seeds))
        lines.append(f"then {study.tuning.key} is tuned for each arm over {values}: {more} runs more")
    return Group(Text(study.name, style="bold"), Text(study.question), table, Text("\n".join(lines), style="dim"))


def common(study: Study) -> dict[str, object]:
    """The settings that all arms share; what is off is left out."""
    varied = {*study.varied(), "seed"}
    settings = in_use(study.arms[0].spec.settings())
    asides = {*options(), *TransferSettings.model_fields, "subset", "val_from", "output"}  # shown where they are given
    defaults = default_settings()
    return {
        key: value
        for key, value in settings.items()
        if key not in varied and value not in (None, False) and not (key in asides and value == defaults[key])
    }


def in_use(settings: dict[str, object]) -> dict[str, object]:
    """The settings without the parameters of techniques that are off."""
    off = {
        technique.key(name)
        for technique in techniques_in(Switch)
        if settings[technique.name] in (None, False)
        for name in technique.model_fields
    } - {technique.name for technique in techniques_in(Switch)}
    return {key: value for key, value in settings.items() if key not in off}
