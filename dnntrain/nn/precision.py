"""The precision of products and convolutions. Everything else, parameters included, is in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from dnntrain.utils.lazy import torch

Precision = Literal["fp32", "tf32", "bf16"]


@contextmanager
def products_in(precision: Precision, device: torch.device) -> Iterator[None]:
    """Compute products and convolutions in a precision for a while.

    Args:
        precision: bf16 rounds their inputs and outputs to bfloat16; a user's module runs under `torch.autocast`. tf32
            rounds their inputs to 10 bits of mantissa, on an NVIDIA GPU. fp32 leaves torch as it is.
        device: Where they are computed.
    """
    if precision == "bf16":
        with torch.autocast(device.type, torch.bfloat16):
            yield
    elif precision == "tf32":
        backends: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
        before = [backend.allow_tf32 for backend in backends]
        for backend in backends:
            backend.allow_tf32 = True
        try:
            yield
        finally:
            for backend, allowed in zip(backends, before, strict=True):
                backend.allow_tf32 = allowed
    else:
        yield


def is_lowered(device: torch.device) -> bool:
    """Whether products on this device have bfloat16 inputs now."""
    return torch.is_autocast_enabled(device.type)


def lowered(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The inputs of an operation that `torch.autocast` does not know, as it would give them to a convolution."""
    if not is_lowered(tensors[0].device):
        return tensors
    return tuple(tensor.to(torch.bfloat16) for tensor in tensors)
