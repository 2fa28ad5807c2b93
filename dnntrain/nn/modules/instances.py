"""A module that Python code has built already, as a network: each run gets a copy with parameters of its own."""

from __future__ import annotations

import copy
import sys
from types import FunctionType, MethodType
from typing import Any

from dnntrain.errors import InputError
from dnntrain.utils.lazy import torch
from dnntrain.utils.user_code.by_value import by_value
from dnntrain.utils.user_code.reference import CodeReference

RESET_METHODS = ("reset_parameters", "_reset_parameters")
"""The methods by which torch's modules draw their parameters; nn.MultiheadAttention and nn.Transformer have the
second."""
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
"""Attributes of a module that change what it computes."""


class FreshCopy:
    """Gives a copy of a module whose parameters are drawn anew, from torch's global generator."""

    def __init__(self, module: torch.nn.Module) -> None:
        """Keep a copy on the CPU, without gradients."""
        self.module = copy.deepcopy(module).cpu()
        self.module.zero_grad(set_to_none=True)

    def __call__(self) -> torch.nn.Module:
        """A new copy. Parts come before what holds them, so that a module may overrule its parts."""
        fresh = copy.deepcopy(self.module)
        for part in reversed(list(fresh.modules())):
            for name in RESET_METHODS:
                if callable(reset := getattr(part, name, None)):
                    reset()
        return fresh


def is_module(value: object) -> bool:
    """Whether a value is a module; does not import torch."""
    loaded: Any = sys.modules.get("torch")
    return loaded is not None and isinstance(value, loaded.nn.Module)


def reference_of_module(module: torch.nn.Module) -> CodeReference:
    """Refer to a module. Its structure and the source of its classes identify it, whatever its parameters are.

    Raises:
        InputError: A parameter would not be drawn anew, or the module cannot be copied, drawn, or sent to a worker.
    """
    who = f"net: this {type(module).__name__}"
    instead = "give its class, or a function that returns it, instead"
    try:
        with torch.random.fork_rng(devices=[]):
            copied = FreshCopy(module)
            check_reset(copied.module, who, instead)
            torch.manual_seed(0)
            parts = identifying_parts(copied())
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        if isinstance(error, InputError):
            raise
        raise InputError(f"{who} cannot be copied ({type(error).__name__}: {error}); {instead}") from None
    return CodeReference(by_value(copied, parts).module, type(module).__name__)


def check_reset(module: torch.nn.Module, who: str, instead: str) -> None:
    """Raise InputError for a parameter that no method draws: after its values are made nan, some still are."""
    marked = FreshCopy(module)
    with torch.no_grad():
        for parameter in marked.module.parameters():
            if not torch.nn.parameter.is_lazy(parameter) and parameter.is_floating_point():
                parameter.fill_(torch.nan)
    for name, parameter in marked().named_parameters():
        if not torch.nn.parameter.is_lazy(parameter) and bool(parameter.isnan().any()):
            holder, _, own = name.rpartition(".")
            kind = type(module.get_submodule(holder)).__name__
            raise InputError(
                f"{who} has a parameter, {name}, that {kind} does not draw in reset_parameters(), so that all runs "
                f"would start with the same {own}; {instead}"
            )


def identifying_parts(module: torch.nn.Module) -> list[tuple[str, Any]]:
    """What identifies a module, by name: its parts with their classes, attributes and hooks, and its tensors.

    Parameters count with their shapes, and buffers with their values.
    """
    found: list[tuple[str, Any]] = []
    of_every_module = {*vars(torch.nn.Module())}
    for prefix, part in module.named_modules():
        name, kind = ".".join(filter(None, ("net", prefix))), type(part)
        found += [(kind.__name__, kind), (name, full_name(kind)), (f"{name}, parts", [*part._modules])]
        state = part.__getstate__()  # without what a class never copies, such as the weak references of an LSTM
        own = state if isinstance(state, dict) else vars(part)
        held = {key: value for key, value in own.items() if key not in of_every_module}
        held |= {key: hook for key in HOOKS for hook in vars(part)[key].values()}
        for key, value in held.items():
            if isinstance(value, FunctionType | type):
                # the source of installed functions and classes does not count, so that their names have to
                found.append((f"{name}.{key}, name", full_name(value)))
            is_list_of_parameters = isinstance(value, list) and any(isinstance(v, torch.nn.Parameter) for v in value)
            if not (is_list_of_parameters or isinstance(value, torch.utils.hooks.RemovableHandle | MethodType)):
                found.append((f"{name}.{key}", value))
        found += [(f"{name}.{key}", described_tensor(p)) for key, p in part.named_parameters(recurse=False)]
        for key, buffer in part.named_buffers(recurse=False):
            found.append((f"{name}.{key}", [described_tensor(buffer), buffer.tolist()]))
    return found


def full_name(value: FunctionType | type) -> str:
    """The module and name of a function or class."""
    return f"{value.__module__}.{value.__qualname__}"


def described_tensor(tensor: torch.Tensor) -> str:
    """Type, shape, and whether it is trained."""
    shape = "lazy" if torch.nn.parameter.is_lazy(tensor) else tuple(tensor.shape)
    return f"{tensor.dtype} {shape}{'' if tensor.requires_grad else ', not trained'}"
