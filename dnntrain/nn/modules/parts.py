"""The parts of a user's module that run one after the other, so that the module can be cut between them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from itertools import chain

from dnntrain.errors import InputError
from dnntrain.nn.modules.call import user_code
from dnntrain.utils.lazy import torch

BLOCKS = "blocks"
"""The attribute by which a class lists the names of its parts, from the lowest."""


def part_names(module: torch.nn.Module) -> tuple[str, ...]:
    """The names of the children that run one after the other, from the lowest; empty if the module does not say so.

    They are those of an `nn.Sequential`, or what the class declares: `blocks = ["stem", "layer1", "head"]`. A child
    module that happens to be named `blocks` declares nothing.
    """
    declared = getattr(module, BLOCKS, None)
    if isinstance(declared, list | tuple) and all(isinstance(name, str) for name in declared):
        return tuple(declared)
    return tuple(module._modules) if isinstance(module, torch.nn.Sequential) else ()


def cut(module: torch.nn.Module, first: int, last: int) -> torch.nn.Sequential:
    """Parts `first` + 1 to `last` of a module; tensors keep their names."""
    names = part_names(module)[first:last]
    return torch.nn.Sequential(OrderedDict((name, module.get_submodule(name)) for name in names))


def check_parts(module: torch.nn.Module, example: torch.Tensor, who: str) -> None:
    """Check that a module is nothing but its parts, one after the other.

    Args:
        module: A module with parts, in test mode.
        example: A batch to try it with.
        who: The module's name, for messages.

    Raises:
        InputError: A part is no child, a tensor is outside all parts or in several, or the outputs differ.
    """
    names, rule = part_names(module), f"{BLOCKS} lists the children whose composition is the forward pass"
    for name in names:
        if not isinstance(module._modules.get(name), torch.nn.Module):
            raise InputError(f"{who}.{BLOCKS} names '{name}', which is none of {', '.join(module._modules)}; {rule}")
    owned = [key for part in range(len(names)) for key in _tensor_names(cut(module, part, part + 1))]
    if odd := sorted({*_tensor_names(module)} ^ {*owned}) or sorted({key for key in owned if owned.count(key) > 1}):
        raise InputError(f"{who}: {', '.join(odd[:4])} is not in exactly one of its parts {', '.join(names)}; {rule}")
    if type(module).forward is torch.nn.Sequential.forward:
        return
    with torch.no_grad():
        expected = module(example.clone())
        with user_code(f"{who}: its {BLOCKS} do not run one after the other; {rule}, and its other steps go into them"):
            outputs = cut(module, 0, len(names))(example.clone())
    same = isinstance(outputs, torch.Tensor) and outputs.shape == expected.shape and torch.allclose(outputs, expected)
    if not same:
        raise InputError(f"{who}: its {BLOCKS} {', '.join(names)} one after the other give other outputs; {rule}")


def norms_at_rest(module: torch.nn.Module, frozen: Collection[str]) -> list[torch.nn.Module]:
    """The norms with running statistics whose own parameters (or without any, statistics) are all among `frozen`."""
    found = []
    for prefix, part in module.named_modules():
        if part._buffers.get("running_mean") is not None:
            own = [key for key, tensor in part._parameters.items() if tensor is not None] or ["running_mean"]
            if all(f"{prefix}.{key}".lstrip(".") in frozen for key in own):
                found.append(part)
    return found


def structure(module: torch.nn.Module) -> list[str]:
    """What two modules have in common that compute the same with the same tensors: a line for each part and tensor.

    Dropout is left out, since it does not act on frozen parts and holds no tensors.
    """
    from dnntrain.nn.modules.stand_ins import MemberDropout

    lines = [
        f"{place}: {part!r}"
        for place, part in module.named_modules()
        if not list(part.children()) and not isinstance(part, MemberDropout | torch.nn.modules.dropout._DropoutNd)
    ]
    tensors: Sequence[tuple[str, torch.Tensor]] = [*module.named_parameters(), *module.named_buffers()]
    return lines + [f"{key} of shape {tuple(tensor.shape)}" for key, tensor in tensors]


def _tensor_names(module: torch.nn.Module) -> list[str]:
    return [key for key, _ in chain(module.named_parameters(), module.named_buffers())]
