"""The surgery on a user's module as Python statements, for exports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dnntrain.nn.torch_code import literal, source_of, unique
from dnntrain.utils.lazy import torch


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
            statements.append(f"setattr(net.get_submodule({literal(parent)}), {literal(name)}, {new})")
            if not is_from_torch(part):
                helpers.append(source_of(type(part)))
        places.setdefault(part, place)
    return statements, unique(helpers)


def numbers(old: object, new: object) -> Iterator[tuple[str, str]]:
    """The attributes of a module that are numbers and have changed, with their new values as source."""
    before: dict[str, Any] = vars(old)
    for key, value in vars(new).items():
        if isinstance(value, int | float) and key != "training" and before.get(key) != value:
            yield key, literal(value)


def constructor(part: torch.nn.Module) -> str:
    """The expression that makes a module that surgery puts in; the text of these modules is one."""
    return f"{'nn.' if is_from_torch(part) else ''}{part!r}"


def is_from_torch(part: torch.nn.Module) -> bool:
    """Whether a module's class is in torch.nn."""
    return getattr(torch.nn, type(part).__name__, None) is type(part)
