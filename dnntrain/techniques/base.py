"""The base classes of training techniques, and the catalogue in which every declared technique registers itself.

A technique is one class: its name, a summary, the paper, the formula, advice, hyperparameters with bounds and units,
and its code. Flags, preset keys, validation, help, and the tests over the whole catalogue follow from that class.

There are two kinds. A `Choice` is picked by name for a setting that always has a value (`--act elu:alpha=0.5`,
`schedule: power:s=1ep`). A `Switch` is on or off and has its own flags (`--clipnorm 1`, `--early-stop 5
--early-stop-metric val_acc`).
"""

# No `from __future__ import annotations` here: pydantic would compile the text of these classes' annotations again for
# each of some hundred subclasses, which takes a sixth of a second.

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict

from dnntrain.errors import InputError, did_you_mean
from dnntrain.utils.fields import field_extra, format_validation_error, format_value, odd_number
from dnntrain.utils.lazy import torch
from dnntrain.utils.plugins import declared_by
from dnntrain.utils.user_code.reference import CodeReference

CATALOGUE: "dict[str, type[Technique]]" = {}
"""Every technique by name, in the order of declaration."""
LISTED_BY = "dnntrain techniques"
"""The command that lists the catalogue."""


@dataclass(frozen=True)
class RunExtent:
    """The size of a run, known before it starts."""

    task: str
    """classification or regression."""
    hidden: tuple[int, ...]
    """Widths of the hidden dense layers."""
    epochs: int
    n_train: int
    steps_per_epoch: int
    """Optimizer steps per epoch."""
    conv: int = 0
    """Number of convolution blocks below the hidden dense layers."""
    net: str = "mlp"
    """The network's name."""
    n_classes: int = 0
    """0 for a regression."""
    kind: str = "numbers"
    """What the inputs are: images, numbers, or tokens."""
    shape: tuple[int, ...] = ()
    """The shape of one example."""
    reuses: bool = False
    """Whether it starts from a trained network."""
    batches_per_epoch: int = 0
    """Mini-batches per epoch: more than the steps with gradient accumulation."""
    blocks: int = 0
    """Number of residual blocks."""
    longest_stage: int = 0
    """Epochs of the longest stage, where a transfer has two; else those of the run."""


class Technique(BaseModel):
    """One training technique with its hyperparameters."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    family: ClassVar[str]
    """The heading it is listed under: 'Activation', 'Gradient clipping', …"""
    in_graph: ClassVar[bool] = True
    """Whether it changes the computation, so that runs with and without it cannot share a population."""
    name: ClassVar[str]
    summary: ClassVar[str]
    """What it does, in one sentence."""
    paper: ClassVar[str]
    formula: ClassVar[str]
    advice: ClassVar[str]
    """When to use it, and what to watch out for."""
    essential: ClassVar[bool] = False
    """Whether `--help` describes the option of this switch. Those of others are only named there."""
    not_exported: ClassVar[str] = ""
    """What an exported model lacks of it, as a sentence about the model ('it'); empty if nothing."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "name" in cls.__dict__:
            names = {alias: each for each in CATALOGUE.values() for alias in (each.name, *each.other_names())}
            for name in (cls.name, *cls.other_names()):
                if not re.fullmatch("[a-z0-9_]+", name):
                    raise TypeError(f"technique {name!r}: a name has small letters, digits and _ only, as in hard_tanh")
                if name in names:
                    raise TypeError(f"two techniques are named {name!r}; the other is in {declared_by(names[name])}")
            for attribute in ("family", "summary", "paper", "formula", "advice"):
                if not isinstance(getattr(cls, attribute, None), str):
                    raise TypeError(f"technique {cls.name!r} has no {attribute}, which every technique declares")
            CATALOGUE[cls.name] = cls

    @classmethod
    def other_names(cls) -> Iterable[str]:
        """The names by which it is known as well."""
        return ()

    def references(self) -> tuple[CodeReference, ...]:
        """The user's own code that it runs."""
        return ()

    def fault(self, run: RunExtent) -> str | None:
        """Why such a run cannot use this technique, starting with the offending key; None if it can."""
        return None

    def idle(self, run: RunExtent) -> str | None:
        """Why this technique would have no effect in such a run; None if it may have one."""
        return None


class Choice(Technique):
    """A technique that is picked by name for a setting, written `name` or `name:parameter=value,…`."""

    slot: ClassVar[str]
    """The key of that setting: 'act' for `--act`."""
    aliases: ClassVar[dict[str, dict[str, Any]]] = {}
    """Other names for it, each with the hyperparameters that the name implies."""
    example: ClassVar[str] = ""
    """How to write it, if its name alone is not enough."""

    @classmethod
    def other_names(cls) -> Iterable[str]:
        return cls.aliases

    def __str__(self) -> str:
        parameters = self.model_dump(exclude_defaults=True)
        return f"{self.name}:{write_parameters(parameters)}" if parameters else self.name

    @classmethod
    def parse(cls, text: object) -> Self:
        """The technique that `text` names, with its hyperparameters.

        Args:
            text: `name` or `name:parameter=value,…`; a technique of this family is returned as it is.

        Raises:
            InputError: for an unknown name or parameter, or a value out of bounds.
        """
        if isinstance(text, cls):
            return text
        if not isinstance(text, str):
            raise InputError(f"invalid {cls.family.lower()} {text!r}{did_you_mean('', cls.names(), LISTED_BY)}")
        name, _, rest = text.strip().partition(":")
        technique, implied = cls._named(name.replace("-", "_"))
        if technique is None:
            raise InputError(
                f"unknown {cls.family.lower()} '{name}'{did_you_mean(name, cls.names_to_techniques(), LISTED_BY)}"
            )
        return technique.with_parameters(implied | technique.read(rest))

    @classmethod
    def read(cls, text: str) -> dict[str, Any]:
        """The hyperparameters that are written after the name."""
        try:
            return dict(read_parameters(text))
        except InputError as error:
            known = ", ".join(cls.model_fields) or "none"
            raise InputError(f"{cls.name}: {error} (parameters: {known})") from None

    @classmethod
    def with_parameters(cls, parameters: dict[str, Any]) -> Self:
        """This technique with `parameters`; InputError with the parameter's name and bounds if one does not fit."""
        unknown = next((key for key in parameters if key not in cls.model_fields), None)
        if unknown is not None:
            takes = did_you_mean(unknown, cls.model_fields) if cls.model_fields else ", which takes none"
            raise InputError(f"unknown parameter '{unknown}' of {cls.name}{takes}")
        for key, value in parameters.items():
            if trouble := odd_number(value):
                raise InputError(f"{cls.name}: {key} {trouble}")
        try:
            return cls(**parameters)
        except ValueError as error:
            raise InputError(f"{cls.name}: {format_validation_error(error)}") from None

    @classmethod
    def _named(cls, name: str) -> tuple[type[Self] | None, dict[str, Any]]:
        """The technique of a name, and the parameters that the name implies; None if it is unknown."""
        technique = CATALOGUE.get(name)  # the names of the whole family take long to list
        if technique is not None and issubclass(technique, cls):
            return technique, {}
        return cls.names_to_techniques().get(name, (None, {}))

    @classmethod
    def names_to_techniques(cls) -> dict[str, tuple[type[Self], dict[str, Any]]]:
        """Names and aliases of this family's techniques, each with the parameters that the name implies."""
        members = techniques_in(cls)
        named: dict[str, tuple[type[Self], dict[str, Any]]] = {member.name: (member, {}) for member in members}
        aliased = {alias: (member, implied) for member in members for alias, implied in member.aliases.items()}
        return named | aliased

    @classmethod
    def names(cls) -> list[str]:
        """The names of this family's techniques, in catalogue order."""
        return [member.name for member in techniques_in(cls)]


class Switch(Technique):
    """A technique that is on or off, with its own flags: `--NAME VALUE` and `--NAME-PARAMETER VALUE`."""

    primary: ClassVar[str | None] = None
    """The parameter whose value turns it on (`--clipnorm 1`); None if the name alone does (`--bn`)."""
    exclusive: ClassVar[bool] = False
    """Whether a run can use only one technique of this family."""
    example: ClassVar[dict[str, Any]] = {}
    """Settings with which a short run shows it: those of others that it needs, or its own where the defaults do not."""

    @classmethod
    def key(cls, parameter: str) -> str:
        """The flat key of one of its parameters: `early_stop`, `early_stop_metric`."""
        return cls.name if parameter == cls.primary else f"{cls.name}_{parameter}"


T = TypeVar("T", bound=Technique)


def techniques_in(family: type[T]) -> list[type[T]]:
    """The catalogue's techniques of one family (or of one kind), in catalogue order."""
    return [technique for technique in CATALOGUE.values() if issubclass(technique, family)]


def stack(members: Sequence[T], device: "torch.device | str" = "cpu") -> T:
    """One technique for P members: each per-member hyperparameter becomes a float32 tensor (P,), the rest are shared.

    Args:
        members: the technique of each member, equal in all hyperparameters that are not per-member.
        device: where the tensors go.
    """

    def stacked(name: str) -> "torch.Tensor":
        return torch.tensor([getattr(member, name) for member in members], dtype=torch.float32, device=device)

    return with_values(members[0], stacked)


def select(technique: T, members: "torch.Tensor") -> T:
    """The stacked technique of the members with these indices."""
    return with_values(technique, lambda name: getattr(technique, name)[members])


def with_values(technique: T, value: Callable[[str], "torch.Tensor"]) -> T:
    """The technique with `value(name)` for each per-member hyperparameter, without validation."""
    fields = type(technique).model_fields
    values = {
        name: value(name) if field_extra(f, "per_member") else getattr(technique, name) for name, f in fields.items()
    }
    return cast("T", type(technique).model_construct(None, **values))


def per_member(value: "float | torch.Tensor", like: "torch.Tensor") -> "torch.Tensor":
    """A per-member value (P,), or one number for all members, shaped to broadcast over `like` (P, …)."""
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).reshape(-1, *[1] * (like.dim() - 1))


def read_parameters(text: str) -> dict[str, str]:
    """`s=10000,c=1` → {'s': '10000', 'c': '1'}."""
    parameters: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals:
            slashes = "; join the values of a list by slashes" if parameters else ""
            raise InputError(f"'{part}' is not of the form parameter=value{slashes}")
        parameters[key.strip()] = value.strip()
    return parameters


def write_parameters(parameters: dict[str, Any]) -> str:
    """The inverse of `read_parameters`; numbers in their shortest form."""
    return ",".join(f"{key}={format_value(value)}" for key, value in parameters.items())


def read_length(text: object) -> str:
    """A length in iterations (`10000`) or epochs (`20ep`), in canonical form."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?(?:e[+-]?\d+)?)\s*(ep(?:ochs?)?)?", str(text).strip(), re.IGNORECASE)
    if trouble := odd_number(match[1] if match else text):
        raise ValueError(trouble)
    if not match or not 1e-6 <= float(match[1]) <= 1e15:
        raise ValueError(f"{text!r} is not a length; write iterations (10000) or epochs (20ep)")
    return format_value(float(match[1])) + ("ep" if match[2] else "")


Length = Annotated[str, BeforeValidator(read_length)]
"""A duration: `10000` iterations, or `20ep` (20 epochs' worth of iterations)."""


def iterations(length: str, steps_per_epoch: int) -> float:
    """The length in iterations."""
    return float(length[:-2]) * steps_per_epoch if length.endswith("ep") else float(length)
