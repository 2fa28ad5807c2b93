"""The surgery on a user's module as Python statements, and the changed module's tensors, for exports."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from dnntrain.errors import InputError
from dnntrain.nn.torch_code import INDENT, NamedArrays, literal, source_of, unique
from dnntrain.utils.lazy import torch

LONGEST = 116
"""Columns of a statement."""


def surgery_statements(original: torch.nn.Module, changed: torch.nn.Module) -> tuple[list[str], tuple[str, ...]]:
    """The statements that change a module, named `net`, as surgery has changed it, except for tensors.

    Args:
        original: The module as its author builds it.
        changed: The same module after surgery.

    Returns:
        The statements, and the source of the classes that they use and torch does not have.
    """
    statements: list[str] = []
    helpers: list[str] = []
    places: dict[torch.nn.Module, str] = {}
    before = dict(original.named_modules(remove_duplicate=False))
    for place, part in changed.named_modules(remove_duplicate=False):
        old = before.get(place)
        if type(old) is type(part):
            statements += [f"net.get_submodule({literal(place)}).{key} = {text}" for key, text in numbers(old, part)]
        else:
            parent, _, name = place.rpartition(".")
            new = f"net.get_submodule({literal(places[part])})" if part in places else constructor(part)
            statements.append(setting(f"net.get_submodule({literal(parent)})", literal(name), new))
            if not is_from_torch(part):
                helpers.append(source_of(type(part)))
        places.setdefault(part, place)
    return statements, unique(helpers)


def setting(*arguments: str) -> str:
    """A call of `setattr`, over several lines if it is long."""
    line = f"setattr({', '.join(arguments)})"
    if len(line) <= LONGEST:
        return line
    return "setattr(\n" + "".join(f"{INDENT}{argument},\n" for argument in arguments) + ")"


def numbers(old: object, new: object) -> Iterator[tuple[str, str]]:
    """The attributes of a module that are numbers and have changed, with their new values as source."""
    before: dict[str, Any] = vars(old)
    for key, value in vars(new).items():
        if isinstance(value, int | float) and key != "training" and before.get(key) != value:
            yield key, literal(value)


def constructor(part: torch.nn.Module) -> str:
    """The expression that makes a module, which its text is; arguments that are defaults are left out.

    Raises:
        InputError: Its text is no such expression.
    """
    try:
        call = ast.parse(repr(part), mode="eval").body
    except SyntaxError:
        call = None
    if not isinstance(call, ast.Call):
        raise InputError(f"{type(part).__name__}: cannot be exported, since its `repr` is not how it is made")
    defaults = inspect.signature(type(part)).parameters
    call.keywords = [k for k in call.keywords if ast.literal_eval(k.value) != defaults[str(k.arg)].default]
    return f"{'nn.' if is_from_torch(part) else ''}{ast.unparse(call)}"


def is_from_torch(part: torch.nn.Module) -> bool:
    """Whether a module's class is in torch.nn."""
    return getattr(torch.nn, type(part).__name__, None) is type(part)


def state_with(module: torch.nn.Module, own: NamedArrays, name: str) -> NamedArrays:
    """The state_dict of a module with these parameters and buffers; tensors with two names come twice.

    Raises:
        InputError: A buffer that is in no state_dict has changed in training.
    """
    saved = module.state_dict(keep_vars=True)
    by_tensor = {id(tensor): key for key, tensor in chain(module.named_parameters(), module.named_buffers())}
    for key, buffer in module.named_buffers():
        if key not in saved and not np.array_equal(buffer.numpy(), own[key], equal_nan=buffer.is_floating_point()):
            raise InputError(f"{name}: its buffer {key} has changed and is in no state_dict; register it as persistent")
    return {key: own[by_tensor[id(tensor)]] for key, tensor in saved.items()}
