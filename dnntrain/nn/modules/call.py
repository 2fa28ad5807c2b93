"""Calls a user's module with other tensors in the place of its own, and says what is wrong with what it does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, redirect_stdout

from dnntrain.errors import DnntrainError, InputError
from dnntrain.nn.layer import Tensors
from dnntrain.utils.lazy import torch
from dnntrain.utils.memory import is_out_of_memory
from dnntrain.utils.user_code.tracebacks import cut_traceback


class TensorPlaces:
    """Where a module keeps its tensors, to put others there.

    `torch.func.functional_call` does the same, but looks all names up at every call, which took 5 % of the step of a
    small convolutional network.
    """

    def __init__(self, module: torch.nn.Module, names: Collection[str]) -> None:
        """Find the places of these parameters and buffers; a tensor with two names has two places."""
        first_names: dict[torch.Tensor, str] = {}
        self.places: list[tuple[dict[str, torch.Tensor | None], str, str]] = []
        for prefix, part in module.named_modules(remove_duplicate=False):
            for store in (part._parameters, part._buffers):
                for key, tensor in store.items():
                    if tensor is not None:
                        name = first_names.setdefault(tensor, f"{prefix}.{key}" if prefix else key)
                        if name in names:
                            self.places.append((store, key, name))

    @contextmanager
    def filled(self, tensors: Tensors) -> Iterator[None]:
        """Put tensors in their places for a while. Those that the module replaces are replaced in `tensors` as well."""
        own = [store[key] for store, key, _ in self.places]
        try:
            for store, key, name in self.places:
                store[key] = tensors[name]
            yield
        finally:
            for (store, key, name), tensor in zip(self.places, own, strict=True):
                tensors[name] = store[key]  # type: ignore[assignment]
                store[key] = tensor


@contextmanager
def user_code(what: str, hint: Callable[[BaseException], str] = lambda _: "") -> Iterator[None]:
    """Turn an exception of the user's code into an InputError that shows their lines. What it prints goes to stderr.

    Args:
        what: What their code did when it failed, as the beginning of the message.
        hint: What to change after some exception, as the end of the message; empty if nothing is known.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:
        if isinstance(error, DnntrainError) or is_out_of_memory(error):
            raise
        raise InputError("\n".join(filter(None, (f"{what}:", cut_traceback(error), hint(error))))) from error


def checked_outputs(outputs: object, x: torch.Tensor, who: str) -> torch.Tensor:
    """What a module returns for the inputs x (rows, …), if it is a tensor (rows, …) of real numbers.

    Args:
        outputs: What it returns.
        x: Its inputs.
        who: The module's name, for messages.

    Raises:
        InputError: It is something else.
    """
    dtype = x.dtype if x.is_floating_point() else torch.float32
    right = f"a {dtype} tensor of shape ({len(x)}, outputs) is needed"
    if not isinstance(outputs, torch.Tensor):
        raise InputError(f"{who} returns a {type(outputs).__name__}; {right}")
    if outputs.dtype != dtype:
        raise InputError(f"{who} returns a {outputs.dtype} tensor; {right}")
    if outputs.dim() < 2 or len(outputs) != len(x):
        raise InputError(f"{who} returns a tensor of shape {tuple(outputs.shape)} for {len(x)} examples; {right}")
    return outputs
