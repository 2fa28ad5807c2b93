"""The precision of products and convolutions. Everything else, parameters included, is in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from dnntrain.utils.lazy import torch

Precision = Literal["fp32", "tf32", "bf16"]


def set_float32_precision(precision: Precision, device: torch.device) -> None:
    """Set how this process multiplies float32 on an NVIDIA GPU: with a mantissa of 10 bits for tf32, else of 23.

    By default torch uses 10 bits in convolutions.
    """
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"


@contextmanager
def products_in(precision: Precision, device: torch.device) -> Iterator[None]:
    """Compute products and convolutions in a precision for a while.

    Args:
        precision: bf16 rounds their inputs and outputs to bfloat16; a user's module runs under `torch.autocast`. The
            others are set once for the process: see `set_float32_precision`.
        device: Where they are computed.
    """
    if precision == "bf16":
        with torch.autocast(device.type, torch.bfloat16):
            yield
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
