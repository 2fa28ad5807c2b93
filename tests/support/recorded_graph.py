"""Captures a step as a CUDA graph does, but on a CPU: operations, numbers and memory stay as they were captured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dnntrain.engine.steps import StepResult
from tests.support.waiting import waits


def addresses(tree: object) -> set[int]:
    """Where the memory of the tensors in a structure begins."""
    return {leaf.untyped_storage().data_ptr() for leaf in tree_leaves(tree) if torch.is_tensor(leaf)}


class Recorder(TorchDispatchMode):
    """Records operations, and what was in the memory that they overwrite."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any, set[int]]] = []
        self.before: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.own: set[int] = set()  # addresses of memory that was made while recording

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if waits(func.overloadpacket, args, kwargs):
            raise RuntimeError("operation not permitted when stream is capturing")
        for position, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                written = args[position] if position < len(args) else kwargs.get(argument.name)
                for tensor in tree_leaves(written):
                    if addresses(tensor) - self.own:
                        self.before.append((tensor.detach(), tensor.detach().clone()))
        outputs = func(*args, **kwargs)
        made = addresses(outputs) - addresses((args, kwargs))  # `to` and `reshape` return a view or a copy
        self.own |= made
        self.operations.append((func, args, kwargs, outputs, made))
        return outputs

    def undo(self) -> None:
        """Restore the memory: a graph's kernels do not run while it is captured."""
        for tensor, before in reversed(self.before):
            tensor.copy_(before)

    def replay(self) -> None:
        """Run the same operations on the same memory."""
        with torch.inference_mode():
            for func, args, kwargs, outputs, made in self.operations:
                new = func(*args, **kwargs)
                for known, value in zip(tree_leaves(outputs), tree_leaves(new), strict=True):
                    if addresses(known) & made:
                        known.detach().copy_(value)


def record(function: Callable[[], StepResult]) -> tuple[Callable[[], None], StepResult]:
    """A `Capture` for the CPU."""
    recorder = Recorder()
    try:
        with recorder:
            result = function()
    finally:
        recorder.undo()
    return recorder.replay, result
