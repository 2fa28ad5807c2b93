"""Reads the values of settings as people write them in presets and on the command line."""

from __future__ import annotations

import math
import re
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BeforeValidator, PlainSerializer
from pydantic.fields import FieldInfo

from dnntrain.errors import InputError, did_you_mean
from dnntrain.techniques.activations import Activation
from dnntrain.techniques.initializers import Initializer
from dnntrain.techniques.losses import TrainingLoss
from dnntrain.utils.fields import field_extra, odd_number
from dnntrain.utils.plugins import cached

MAX_UNITS, MAX_LAYERS = 16_384, 1_000
SCALES = ("auto", "unit", "standard", "raw")
OFF_WORDS = ("off", "none", "no", "false")
ON_WORDS = ("on", "yes", "true")


def read_hidden(value: object) -> tuple[int, ...]:
    """`300,100`, `20x100` (twenty layers of 100), `300,99x100`, 50, [300, 100] or `none` → the widths."""
    if isinstance(value, list | tuple):
        value = ",".join(str(item) for item in value)
    text = str(value).replace(" ", "").lower()
    if text in ("", *OFF_WORDS):
        return ()
    widths: list[int] = []
    for part in text.split(","):
        if trouble := odd_number(part):
            raise ValueError(trouble)
        match = re.fullmatch(r"(?:(\d{1,9})x)?(\d{1,9})", part)
        if not match:
            raise ValueError(f"invalid layer width '{part}'; write 300,100 or 20x100")
        layers, units = int(match[1] or 1), int(match[2])
        if not 1 <= units <= MAX_UNITS or not 1 <= layers <= MAX_LAYERS - len(widths):
            raise ValueError(f"'{part}': 1 to {MAX_LAYERS} layers of 1 to {MAX_UNITS} units")
        widths += [units] * layers
    return tuple(widths)


def write_hidden(widths: tuple[int, ...]) -> str:
    """The shortest text for the widths: '20x100', '300,100', 'none'."""
    runs: list[list[int]] = []
    for width in widths:
        if runs and runs[-1][1] == width:
            runs[-1][0] += 1
        else:
            runs.append([1, width])
    return ",".join(str(w) if n == 1 else f"{n}x{w}" for n, w in runs) or "none"


HiddenWidths = Annotated[tuple[int, ...], BeforeValidator(read_hidden), PlainSerializer(write_hidden)]
"""The widths of the hidden dense layers."""


def read_activations(value: object) -> tuple[Activation, ...]:
    """`elu` for all layers, or a list with one per layer: `relu,elu:alpha=0.5,tanh`; none for `auto`."""
    if value == "auto":
        return ()
    if isinstance(value, str):
        # a part with '=' belongs to the activation before it
        value = re.split(r",(?![^,:]*=)", value)
    parts = value if isinstance(value, list | tuple) else [value]
    return tuple(Activation.parse(part) for part in parts)


def write_activations(activations: tuple[Activation, ...]) -> str:
    """The inverse of `read_activations`."""
    return ",".join(map(str, activations)) or "auto"


LayerActivations = Annotated[
    tuple[Activation, ...], BeforeValidator(read_activations), PlainSerializer(write_activations)
]
"""One activation for all layers, or one per layer; none for `auto`."""


def read_init(value: object) -> Initializer | None:
    """An initializer by name; None for `auto`."""
    return None if value in (None, "auto") else Initializer.parse(value)


AutoInitializer = Annotated[
    Initializer | None, BeforeValidator(read_init), PlainSerializer(lambda init: str(init or "auto"))
]
"""An initializer; None for `auto`."""


def read_loss(value: object) -> TrainingLoss | None:
    """A training loss by name; None for `auto`."""
    return None if value in (None, "auto") else TrainingLoss.parse(value)


AutoLoss = Annotated[TrainingLoss | None, BeforeValidator(read_loss), PlainSerializer(lambda loss: str(loss or "auto"))]
"""A training loss; None for `auto`."""


def read_val(value: object) -> float:
    """A fraction below 1, or a count."""
    try:
        number = float(str(value))
    except ValueError:
        number = -1.0
    if not (0 < number < 1 or (number >= 1 and number.is_integer())):
        raise ValueError("must be a fraction between 0 and 1 (0.3) or a whole number of examples (5000)")
    return number


def read_scale(value: str) -> str:
    """A way to scale inputs, by name."""
    if value not in SCALES:
        raise ValueError(f"unknown{did_you_mean(value, SCALES)}")
    return value


def as_meant(key: str, field: FieldInfo, value: Any) -> Any:
    """A YAML or command-line value converted to the field's type: text becomes a number, a bool, or None."""
    if field_extra(field, "literal"):
        return value
    kinds = _kinds(field.annotation)
    is_flag, optional = bool in kinds, field.default is None
    word = value.strip().lower() if isinstance(value, str) else None
    if word in OFF_WORDS and (optional or is_flag):
        return False if is_flag else None
    if word in ON_WORDS and (is_flag or takes_number(field)):
        value = True
    if value is False and optional:
        return None
    if isinstance(value, bool) and not is_flag:
        raise InputError(f"{key} needs a value, not {'on' if value else 'off'}")
    return _number(key, value, whole=int in kinds) if takes_number(field) else value


def takes_number(field: FieldInfo) -> bool:
    """Whether a field's value is a number, or none."""
    return bool({int, float} & _kinds(field.annotation))


@cached
def _kinds(annotation: Any) -> frozenset[Any]:
    """The types that a field accepts, without bounds: float | None → {float, NoneType}."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    return frozenset(kind for part in parts for kind in _kinds(part)) or frozenset({annotation})


def _number(key: str, value: Any, *, whole: bool) -> Any:
    """'1e-3' as 0.001, and 1e3 as 1000 where an int is needed; anything but a number stays as it is."""
    if trouble := odd_number(value):
        raise InputError(f"{key} {trouble}")
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,99}\s*", value):
        return int(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return value
    if not math.isfinite(number):
        return value
    return int(number) if whole and number.is_integer() else number if isinstance(value, str) else value
