"""The flat form of a run: one key per setting, as in presets, flags, and records.

Inside the program a run holds objects (`config.spec.RunSpec`). This module converts between the two forms. Which keys
there are follows from the declarations: the plain fields of the spec, the options of the data sources, and the
hyperparameters of every `Switch`, so that a new technique gets its keys by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo

from dnntrain.config.parsing import as_meant
from dnntrain.config.renamed import check_value, unknown_key
from dnntrain.data import DataSource, find_source, options, source_class
from dnntrain.errors import InputError
from dnntrain.techniques.base import Switch, techniques_in
from dnntrain.techniques.networks.base import fill_auto
from dnntrain.utils.fields import field_extra, hyperparameter
from dnntrain.utils.plugins import cached, declared_by

Settings = Mapping[str, Any]
"""Settings in their flat form: values by key, as text or already converted."""
Spec = type[BaseModel]
"""The class whose flat form is meant: `RunSpec`, which imports this module."""


def flag(key: str) -> str:
    """The command-line flag of a key: early_stop → --early-stop."""
    return "--" + key.replace("_", "-")


@cached
def switch_fields(spec: Spec) -> dict[type[Switch], str]:
    """Every switch of the catalogue, with the field of the spec that holds it: the first whose type admits it."""
    fields: dict[type[Switch], str] = {}
    for name, field in spec.model_fields.items():
        if family := _switch_family(field.annotation):
            for technique in techniques_in(family):
                fields.setdefault(technique, name)
    return fields


def _switch_family(annotation: Any) -> type[Switch] | None:
    """The kind of switch that a field holds: `BatchNorm | None` → BatchNorm; None for any other field."""
    if isinstance(annotation, type) and issubclass(annotation, Switch):
        return annotation
    return next(filter(None, map(_switch_family, get_args(annotation))), None)


@cached
def plain_fields(spec: Spec) -> dict[str, FieldInfo]:
    """The fields of the spec that are keys themselves; `source` and the switches are made of several keys."""
    return {
        name: field
        for name, field in spec.model_fields.items()
        if name != "source" and not _switch_family(field.annotation)
    }


@cached
def flat_model(spec: Spec) -> type[BaseModel]:
    """A model with one field per key, in the order of recorded settings: its fields are the keys' types and defaults.

    A switch that is off is None, or False where it has no primary parameter.
    """
    fields: dict[str, Any] = {
        name: (_bounded(field), _copy(field, field.default, field.description or ""))
        for name, field in plain_fields(spec).items()
    }
    for name, (field, takers) in options().items():
        fields[name] = (_bounded(field), _copy(field, field.default, f"{field.description} ({', '.join(takers)})"))
    for technique in switch_fields(spec):
        if taken := sorted({technique.name, *map(technique.key, technique.model_fields)} & fields.keys()):
            raise InputError(f"{declared_by(technique)}: technique {technique.name}: the key {taken[0]} exists already")
        if technique.primary is None:
            fields[technique.name] = (bool, hyperparameter(False, technique.summary, essential=technique.essential))
        for name, field in technique.model_fields.items():
            if name == technique.primary:
                switched = _copy(field, None, technique.summary, essential=technique.essential)
                fields[technique.name] = (_bounded(field) | None, switched)
            else:
                fields[technique.key(name)] = (_bounded(field), _copy(field, field.default, field.description or ""))
    return create_model("FlatSettings", __config__=spec.model_config, **fields)


def _bounded(field: FieldInfo) -> Any:
    """The field's type with its bounds and validators."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _copy(field: FieldInfo, default: Any, help: str, **changed: Any) -> Any:
    notes = {key: field_extra(field, key) for key in ("per_member", "unit", "literal", "essential", "short")}
    return hyperparameter(default, help, **notes | changed)


def read_flat(spec: Spec, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The spec's fields from flat settings.

    Raises:
        InputError: for an unknown or renamed key, and for a setting of something that is off.
        ValidationError: for a value of the wrong type or out of bounds; its location is the key.
    """
    model = flat_model(spec)
    for key in settings:
        if key not in model.model_fields:
            raise unknown_key(key, model.model_fields)
        check_value(key, settings[key])
    flat = model(**{key: as_meant(key, model.model_fields[key], value) for key, value in fill_auto(settings).items()})
    values = {name: getattr(flat, name) for name in plain_fields(spec)}
    values["source"] = _read_source(flat)
    for technique, field in switch_fields(spec).items():
        if (switch := _read_switch(technique, flat)) is None:
            continue
        if isinstance(spec.model_fields[field].default, tuple):
            values[field] = (*values.get(field, ()), switch)
        elif field in values:
            raise InputError(f"{values[field].name} and {switch.name} exclude each other: give one")
        else:
            values[field] = switch
    return values


def _read_source(flat: Any) -> DataSource:
    """The data source that `data` names, with its options."""
    own = source_class(flat.data).model_fields
    for key, (field, takers) in options().items():
        if getattr(flat, key) != field.default and key not in own:
            raise InputError(f"{key} is for {', '.join(takers)}, not for data set '{flat.data}'")
    return find_source(flat.data, dict(flat))


def _read_switch(technique: type[Switch], flat: BaseModel) -> Switch | None:
    """The switch with its hyperparameters; None where it is off."""
    parameters = {name: getattr(flat, technique.key(name)) for name in technique.model_fields}
    on = getattr(flat, technique.name)
    if on is not None and on is not False:  # a strength of 0 is on, like any other
        return technique(**parameters)
    for name, field in technique.model_fields.items():
        if name != technique.primary and parameters[name] != field.default:
            raise InputError(f"{technique.key(name)} is given, but {technique.name} is off")
    return None


@cached
def default_flat(spec: Spec) -> dict[str, Any]:
    """Every key with its default, as plain text, number, or None."""
    return flat_model(spec)(**fill_auto({})).model_dump()


def write_flat(spec: BaseModel, source: DataSource, switches: tuple[Switch, ...]) -> dict[str, Any]:
    """The inverse of `read_flat`: every key with its value as plain text, number, or None."""
    settings = default_flat(type(spec)) | spec.model_dump(include={*plain_fields(type(spec))})
    settings |= source.model_dump(exclude={source.place})
    for switch in switches:
        if switch.primary is None:
            settings[switch.name] = True
        settings |= {switch.key(name): value for name, value in switch.model_dump().items()}
    return settings
