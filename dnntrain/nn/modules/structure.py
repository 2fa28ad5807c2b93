"""Whether a user's module can be a layer of a population, as far as its parts tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dnntrain.errors import InputError
from dnntrain.utils.lazy import torch


def check_structure(module: object, name: str) -> None:
    """Check a new module.

    Args:
        module: What the user's callable returned.
        name: The layer's name, for messages.

    Raises:
        InputError: It is no module, or has tensors that a population cannot hold or would not train.
    """
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"{name}: a torch.nn.Module is needed, this is a {type(module).__name__}")
    who = f"{name}: {type(module).__name__}"
    if isinstance(module, torch.jit.ScriptModule):
        raise InputError(f"{who} is compiled by TorchScript; give the module that it was compiled from")
    check_tensors(module, who)
    for prefix, part in module.named_modules():
        if isinstance(part, torch.nn.modules.dropout._DropoutNd) and part.p == 1:
            raise InputError(f"{who} has {prefix} with p=1, which drops everything; use a rate below 1")
    for place, value in unregistered(module):
        if isinstance(value, torch.nn.Module):
            raise InputError(f"{who}.{place} holds modules that torch does not see; use nn.ModuleList or nn.ModuleDict")
        raise InputError(f"{who}.{place} is a tensor that requires a gradient; make it an nn.Parameter")


def check_tensors(module: torch.nn.Module, who: str) -> None:
    """Refuse parameters and buffers that a population cannot hold; `who` begins the messages."""
    for key, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.device.type != "cpu":
            raise InputError(f"{who} has {key} on {tensor.device}; build it on the CPU, it is moved where it trains")
    for key, parameter in module.named_parameters():
        if parameter.dtype != torch.float32:
            raise InputError(f"{who} has parameter {key} of type {parameter.dtype}; only torch.float32 trains")
    for key, buffer in module.named_buffers():
        if buffer.is_complex() or buffer.dtype in (torch.bfloat16, torch.float16) or buffer.layout != torch.strided:
            kind = buffer.dtype if buffer.layout == torch.strided else buffer.layout
            raise InputError(f"{who} has buffer {key} of type {kind}; use dense real numbers, as torch.float32")


def unregistered(module: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """The modules with parameters, and the tensors to be trained, that `module` holds without registering them."""
    known = {*module.modules(), *module.parameters()}
    for prefix, part in module.named_modules():
        for key, value in vars(part).items():
            held = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
            if key not in ("_parameters", "_buffers", "_modules"):
                for one in held:
                    trains = (isinstance(one, torch.nn.Module) and next(one.parameters(), None) is not None) or (
                        isinstance(one, torch.Tensor) and one.is_leaf and one.requires_grad
                    )
                    if trains and one not in known:
                        yield f"{prefix}.{key}".lstrip("."), one
