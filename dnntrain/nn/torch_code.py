"""Layers as plain torch writes them: the source text and the tensors that exported models are made of.

Needs no torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from textwrap import indent
from typing import Any

import numpy as np

from dnntrain.errors import InputError

INDENT = "    "

NamedArrays = Mapping[str, np.ndarray]
"""One member's tensors by name, without the axis P."""


@dataclass(frozen=True)
class TorchCode:
    """A layer as a module of plain torch."""

    code: str
    """The expression that makes the module, such as 'nn.Linear(784, 300)'. Lines after the first are indented as they
    are where the first one starts its line."""
    state: NamedArrays = field(default_factory=dict)
    """The module's `state_dict`."""
    helpers: tuple[str, ...] = ()
    """The source of classes and functions that the expression uses, where torch has none such. They use `torch`, `nn`,
    and what `imports` imports."""
    imports: tuple[str, ...] = ()
    """Import statements for the expression and the helpers, besides `import torch` and `from torch import nn`."""
    notes: tuple[str, ...] = ()
    """How the module differs from the layer while training, as sentences."""


def combined(
    function: str, parts: Mapping[str, TorchCode], helpers: tuple[str, ...] = (), keywords: bool = True
) -> TorchCode:
    """A module made of others.

    Args:
        function: What is called with them: a class such as 'nn.Sequential'.
        parts: The modules, by their names in the new one.
        helpers: The source of the class, if torch has none such.
        keywords: Whether the call names its arguments.
    """
    arguments = (f"{name}={part.code}," if keywords else f"{part.code}," for name, part in parts.items())
    state = {f"{name}.{key}": tensor for name, part in parts.items() for key, tensor in part.state.items()}
    lines = "".join(f"{indent(argument, INDENT)}\n" for argument in arguments)
    return TorchCode(
        f"{function}(\n{lines})",
        state,
        unique(chain(*(part.helpers for part in parts.values()), helpers)),
        unique(chain(*(part.imports for part in parts.values()))),
        unique(chain(*(part.notes for part in parts.values()))),
    )


def in_sequence(parts: Sequence[TorchCode]) -> TorchCode:
    """Modules that follow each other, as one. A single module stays as it is."""
    if len(parts) == 1:
        return parts[0]
    return combined("nn.Sequential", {str(number): part for number, part in enumerate(parts)}, keywords=False)


def source_of(helper: Callable[..., object]) -> str:
    """The source of a class or function that an export copies; InputError if it cannot be read."""
    try:
        return inspect.getsource(helper).rstrip().replace("torch.nn.", "nn.")
    except (OSError, TypeError):
        raise InputError(f"{helper.__qualname__}: cannot be exported, since its source cannot be read") from None


def unique(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts in order, each once."""
    return tuple(dict.fromkeys(texts))


def literal(value: Any) -> str:
    """A number, text, or collection of them as Python source, with the quotes that formatters prefer."""
    if isinstance(value, str):
        text = repr(value)
        inner = text[1:-1]
        return text if text[0] == '"' or '"' in inner else f'"{inner}"'.replace("\\'", "'")
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(key)}: {literal(each)}' for key, each in value.items())}}}"
    return repr(value)
