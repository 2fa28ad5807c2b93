"""A run's full description: frozen, validated, and named by its digest.

`RunSpec` has a field for everything that can be set: the core ones stand here, those of the switches come from the
catalogue. Its fields are the preset's keys and the command line's flags.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from dnntrain.config.parsing import as_meant, read_activations, read_hidden, read_init, read_val, write_hidden
from dnntrain.config.transfer import TransferSettings
from dnntrain.data import SOURCES, DatasetInfo, DataSource, FileSource, find_source, options, source_class
from dnntrain.errors import InputError, did_you_mean
from dnntrain.techniques.activations import Activation
from dnntrain.techniques.base import Choice, Switch, techniques_in
from dnntrain.techniques.initializers import Glorot, Initializer
from dnntrain.techniques.optimizers import Optimizer
from dnntrain.techniques.schedules import Schedule
from dnntrain.utils.fields import field_extra, format_validation_error, hyperparameter


class RunSpec(TransferSettings):
    """The fields that every run has; `RunSpec` adds those of the catalogue's switches."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True, defer_build=True)

    data: str = hyperparameter(
        "fashion-mini", f"data set: {', '.join(SOURCES)}, or your own: a folder of images, .npz, .csv"
    )
    train_size: int | None = hyperparameter(None, "train on this many examples only, stratified by class", ge=1)
    draw: Literal["seed", "same"] = hyperparameter(
        "seed", "train_size draws other examples for each seed, or the same for all"
    )
    val: Annotated[float, BeforeValidator(read_val)] = hyperparameter(
        0.2, "validation part, the last of the training set, for data without one: a fraction or a count"
    )
    val_part: Literal["last", "first"] = hyperparameter(
        "last", "which part of the training set validates: last or first"
    )
    scale: str = hyperparameter(
        "auto", "inputs: unit (0 to 1), standard (mean 0, deviation 1 by the training part), raw; auto: images unit"
    )
    hidden: Annotated[tuple[int, ...], BeforeValidator(read_hidden), PlainSerializer(write_hidden)] = hyperparameter(
        "300,100", "hidden layers: 300,100 or 20x100"
    )
    act: Annotated[
        tuple[Activation, ...],
        BeforeValidator(read_activations),
        PlainSerializer(lambda acts: ",".join(str(act) for act in acts)),
    ] = hyperparameter("relu", "activation for all hidden layers, or one for each: elu or relu,elu,tanh")
    init: Annotated[
        Initializer | None, BeforeValidator(read_init), PlainSerializer(lambda init: str(init or "auto"))
    ] = hyperparameter("auto", "initializer of the hidden layers; auto follows the activation", per_member=True)
    optimizer: Annotated[Optimizer, BeforeValidator(Optimizer.parse), PlainSerializer(str)] = hyperparameter(
        "sgd", "optimizer"
    )
    output: Literal["softmax", "sigmoid"] = hyperparameter(
        "softmax", "softmax with a unit for each class, or sigmoid with one unit for two classes"
    )
    lr: float = hyperparameter(0.01, "learning rate η₀", gt=0, le=1e6, per_member=True)
    schedule: Annotated[Schedule, BeforeValidator(Schedule.parse), PlainSerializer(str)] = hyperparameter(
        "constant", "learning-rate schedule", per_member=True
    )
    batch_size: int = hyperparameter(32, "examples in a mini-batch", ge=1, le=65_536)
    epochs: int = hyperparameter(10, "most epochs to train", ge=1, le=100_000, per_member=True)
    seed: int = hyperparameter(0, "names the run's random streams", ge=0, lt=2**63, per_member=True)

    @model_validator(mode="before")
    @classmethod
    def _as_people_mean(cls, settings: Any) -> Any:
        """Off-words switch off, a number is not a yes, and an unknown key is answered with the nearest known one."""
        for key in settings:
            if key not in cls.model_fields:
                raise InputError(f"unknown key '{key}'{did_you_mean(key, cls.model_fields)}")
        return {key: as_meant(key, cls.model_fields[key], value) for key, value in settings.items()}

    @field_validator("data", "scale")
    @classmethod
    def _known(cls, name: str, info: ValidationInfo) -> str:
        if info.field_name == "data":
            source_class(name)
        elif name not in SCALES:
            raise ValueError(f"unknown{did_you_mean(name, SCALES)}")
        return name

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        source = source_class(self.data).name
        for key, (field, takers) in options().items():
            if getattr(self, key) != field.default and source not in takers:
                raise ValueError(f"{key} is for {', '.join(takers)}, not for data set '{self.data}'")
        if len(self.act) not in (1, len(self.hidden)):
            raise ValueError(f"act names {len(self.act)} activations for {len(self.hidden)} hidden layers")
        self.check_reuse(self.epochs)
        self._check_techniques()
        return self

    def _check_techniques(self) -> None:
        active: dict[str, str] = {}
        for technique in techniques_in(Switch):
            if not self._is_on(technique):
                self._check_unused(technique)
            elif technique.exclusive:
                other = active.setdefault(technique.family, technique.name)
                if other != technique.name:
                    raise ValueError(f"{other} and {technique.name} exclude each other: give one")
        if self._is_on("mc_dropout") and not (self._is_on("dropout") or self._is_on("alpha_dropout")):
            raise ValueError("mc_dropout needs dropout or alpha_dropout")
        for key in ("batch_size", "train_size"):
            if self._is_on("bn") and getattr(self, key) == 1:
                raise ValueError(f"bn: needs {key} of at least 2: one example has no variance")

    def _is_on(self, technique: type[Switch] | str) -> bool:
        value = getattr(self, technique if isinstance(technique, str) else technique.name)
        return value is not None and value is not False  # a strength of 0 is on, like every other

    def _check_unused(self, technique: type[Switch]) -> None:
        for name, field in technique.model_fields.items():
            key = technique.key(name)
            if name != technique.primary and getattr(self, key) != field.default:
                raise ValueError(f"{key} is given, but {technique.name} is off")

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> Self:
        """The run that the flat settings describe; raises InputError that names the key and what would be right."""
        try:
            return cls(**settings)
        except ValidationError as error:
            raise InputError(format_validation_error(error)) from None
        except UnicodeError:
            raise InputError("a setting holds characters that are no text") from None

    def changed(self, **settings: Any) -> Self:
        """This run with some settings changed, validated anew."""
        return self.parse(self.settings() | settings)

    def settings(self) -> dict[str, Any]:
        """Every field as plain text, number or None; `parse` makes the same run of it."""
        return self.model_dump()

    def techniques(self, family: type[S]) -> tuple[S, ...]:
        """The switches of a family that are on, with their hyper-parameters."""
        return tuple(self._build(technique) for technique in techniques_in(family) if self._is_on(technique))

    def technique(self, family: type[S]) -> S | None:
        """The one switch of an exclusive family that is on, if any."""
        return next(iter(self.techniques(family)), None)

    def _build(self, technique: type[S]) -> S:
        return technique(**{name: getattr(self, technique.key(name)) for name in technique.model_fields})

    @cached_property
    def source(self) -> DataSource:
        """Where its data come from, with the options that it takes."""
        return find_source(self.data, self.settings())

    @cached_property
    def activations(self) -> tuple[Activation, ...]:
        """One activation for each hidden layer."""
        return self.act * len(self.hidden) if len(self.act) == 1 else self.act

    def initializer(self, layer: int) -> Initializer:
        """The initializer of the layer (0-based): the hidden layers' own, Glorot's for the output."""
        if layer == len(self.hidden):
            return Glorot()
        return self.init or Initializer.parse(self.activations[layer].init)

    def n_outputs(self, outline: DatasetInfo) -> int:
        """Units of the output layer; InputError for a sigmoid where there are not two classes."""
        if self.output == "softmax":
            return outline.n_outputs
        if len(outline.classes) != 2:
            raise InputError(f"output sigmoid: for two classes, and there are {len(outline.classes) or 'none'}")
        return 1

    def graph(self) -> str:
        """What runs must have in common to share a population: all but what may differ from member to member."""
        settings = self.settings()
        for key, field in type(self).model_fields.items():
            if field_extra(field, "per_member"):
                settings[key] = settings[key] is not None
        outside = {t.key(name) for t in techniques_in(Switch) if not t.in_graph for name in t.model_fields}
        return json.dumps({key: value for key, value in settings.items() if key not in outside})

    def digest(self, fingerprint: str, engine: str) -> str:
        """The run's name: a digest of its settings, of the data's bytes and of the engine's version; 12 hex digits.

        What is as by default is left out, so that a new field does not rename old runs; so is where a person's own
        data lie: their bytes say what they are.
        """
        defaults = default_settings()
        settings = {key: value for key, value in self.settings().items() if value != defaults[key]}
        if isinstance(self.source, FileSource):
            settings["data"] = self.source.name
        text = json.dumps([settings, fingerprint, engine], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


S = TypeVar("S", bound=Switch)

SCALES = ("auto", "unit", "standard", "raw")


def _source_fields() -> dict[str, Any]:
    """The fields of the data sources' options."""
    return {
        name: (_bounded(field), _like(field, field.default, f"{field.description} ({', '.join(takers)})"))
        for name, (field, takers) in options().items()
    }


def _switch_fields() -> dict[str, Any]:
    """The fields of every switch: None or False where it is off, the defaults of the declaration for its parameters."""
    fields: dict[str, Any] = {}
    for technique in techniques_in(Switch):
        if technique.primary is None:
            fields[technique.name] = (bool, hyperparameter(False, technique.summary))
        for name, field in technique.model_fields.items():
            if name == technique.primary:
                fields[technique.name] = (_bounded(field) | None, _like(field, None, technique.summary))
            else:
                fields[technique.key(name)] = (_bounded(field), _like(field, field.default, field.description or ""))
    return fields


def _bounded(field: FieldInfo) -> Any:
    """The field's type with its bounds and validators."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def _like(field: FieldInfo, default: Any, help: str) -> Any:
    noted = {key: field_extra(field, key) for key in ("per_member", "unit", "literal")}
    return hyperparameter(default, help, **noted)


if TYPE_CHECKING:
    RunSpec = RunSpec
else:
    fields = _source_fields() | _switch_fields()
    RunSpec = create_model("RunSpec", __base__=RunSpec, __doc__="A run's full description.", **fields)


@cache
def default_settings() -> dict[str, Any]:
    """The settings of a run for which nothing is given."""
    return RunSpec.parse({}).settings()


def flag(key: str) -> str:
    """The command line's name of a field: early_stop → --early-stop."""
    return "--" + key.replace("_", "-")


def slots() -> dict[str, type[Choice]]:
    """The fields that are filled by a technique's name, each with its family."""
    return {family.slot: family for family in (Activation, Initializer, Optimizer, Schedule)}
