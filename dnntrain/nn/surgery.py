"""Changes a user's module in place: its activations, dropout rates, norms and first weights.

Each function returns what it changed, as text such as "body.1: ReLU() → ELU(alpha=1.0)". An empty list means that the
module was so already; where there is nothing to change, an InputError says what the module has instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Protocol

import numpy as np

from dnntrain.errors import InputError
from dnntrain.nn.member_noise import has_dropout_between_layers
from dnntrain.nn.source_calls import Kind, source_calls
from dnntrain.utils.lazy import torch

ACTIVATIONS = (
    "ReLU ReLU6 LeakyReLU PReLU RReLU ELU SELU CELU GELU SiLU Mish Hardswish Hardtanh Tanh Sigmoid Softplus Softsign "
    "LogSigmoid Hardsigmoid"
)
"""The classes of torch.nn that `replace_activations` replaces; gates inside recurrent layers are no modules."""


class KernelInit(Protocol):
    """Draws the first weights of a layer."""

    def kernel(
        self, rng: np.random.Generator, fan_in: int, fan_out: int, shape: tuple[int, int] | None = None
    ) -> np.ndarray:
        """The first weights, float32, of this shape: (fan_in, fan_out) by default."""
        ...

    def bias(self, rng: np.random.Generator, fan_in: int, units: int) -> np.ndarray:
        """The first biases, float32 (units,)."""
        ...


def replace_activations(module: torch.nn.Module, make: Callable[[], torch.nn.Module]) -> list[str]:
    """Put a new activation in the place of each activation module, and of those of transformer layers.

    Args:
        module: The module that is changed.
        make: Makes one activation.
    """
    kinds = tuple(getattr(torch.nn, name) for name in ACTIVATIONS.split())
    made: dict[int, torch.nn.Module] = {}
    changes, found = [], False
    for place, parent, name, child in children(module):
        in_transformer = is_transformer_layer(parent) and name == "activation"
        if isinstance(child, kinds) or in_transformer:
            found = True
            new = made.setdefault(id(child), make())  # one module may stand in several places
            old = repr(child) if isinstance(child, torch.nn.Module) else function_name(child)
            if old.replace(", inplace=True", "").replace("inplace=True", "") != repr(new):
                setattr(parent, name, new)
                changes.append(f"{place}: {old} → {new!r}")
                if in_transformer and hasattr(parent, "activation_relu_or_gelu"):
                    parent.activation_relu_or_gelu = 0  # type: ignore[assignment]  # no fast path
    if not found:
        raise nothing_found(module, "activation", "activation modules", "nn.ReLU modules to let `act` replace them")
    return changes
