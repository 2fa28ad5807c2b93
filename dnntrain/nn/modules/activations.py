"""What can be seen of the activations inside a user's module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from dnntrain.nn.layer import Observer
from dnntrain.nn.modules.source_calls import source_calls
from dnntrain.nn.modules.surgery import ACTIVATIONS, describe_activation, is_transformer_layer
from dnntrain.utils.lazy import torch

ASYMPTOTES = {"Tanh": (-1.0, 1.0), "Sigmoid": (0.0, 1.0), "Softsign": (-1.0, 1.0)}
"""The values at which torch's bounded activations saturate, by class. Hardsigmoid is left out: it is a gate."""


@contextmanager
def observing(module: torch.nn.Module, name: str, observe: Observer) -> Iterator[None]:
    """Show an observer what each activation module returns while the module is called once.

    Args:
        module: The module of one member.
        name: The beginning of the activations' names. The place in the module follows, and for a second call the
            number of the call: `net.block.relu`, `net.block.relu[2]`.
        observe: The observer.
    """
    calls: Counter[str] = Counter()

    def show(place: str, part: torch.nn.Module, inputs: object, outputs: torch.Tensor) -> None:
        calls[place] += 1
        call = f"[{calls[place]}]" if calls[place] > 1 else ""
        units = outputs.detach() if outputs.dim() > 1 else outputs.detach().unsqueeze(1)
        # a sigmoid for each channel is a gate (squeeze and excitation), which may well be open or closed
        is_gate = units.shape[2:] == (1, 1)
        observe(f"{name}.{place}{call}", units.unsqueeze(0), () if is_gate else ASYMPTOTES.get(type(part).__name__, ()))

    handles = [part.register_forward_hook(partial(show, place)) for place, part in activation_modules(module).items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def activation_modules(module: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The activation modules in a module by place; one that stands in several places comes once."""
    kinds = tuple(getattr(torch.nn, name) for name in ACTIVATIONS.split())
    return {place: part for place, part in module.named_modules() if isinstance(part, kinds)}


def unobserved_activations(module: torch.nn.Module) -> list[str]:
    """The activations that `observing` does not see, as text.

    A module without any activation module counts as one that hides them, since not every source can be read.
    """
    found = [str(call) for call in source_calls(module, "activation")]
    for place, part in module.named_modules():
        if isinstance(part, torch.nn.RNNBase | torch.nn.RNNCellBase):
            found.append(f"{place}: the gates of {type(part).__name__}")
        elif is_transformer_layer(part) and not isinstance(part.activation, torch.nn.Module):
            found.append(f"{place}: {describe_activation(part.activation)} is a function")
    if not found and not activation_modules(module):
        found.append(f"{type(module).__name__} has no activation modules")
    return found
