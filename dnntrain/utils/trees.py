"""Tensors in nested tuples and dicts, which `torch.utils._pytree` handles too, but not as a public function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from dnntrain.utils.lazy import torch

T = TypeVar("T")


def map_tensors(function: Callable[[Any], Any], tree: T) -> T:
    """The same structure with function(tensor) in place of each tensor; all else stays.

    Args:
        function: Is called with each tensor, in the order of `tensors`.
        tree: A tensor, a dict, a tuple, or a named tuple of such, or anything else.
    """
    if isinstance(tree, tuple):
        parts = [map_tensors(function, part) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    if isinstance(tree, dict):
        return type(tree)((key, map_tensors(function, part)) for key, part in tree.items())
    mapped: T = function(tree) if isinstance(tree, torch.Tensor) else tree
    return mapped


def tensors(tree: object) -> Iterator[torch.Tensor]:
    """All tensors of such a structure."""
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, tuple | dict):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from tensors(part)
