"""Backpropagation: the forward pass writes down how to go back, and what has no rule of its own is left to autograd.

A training step is some dozens of small kernels, so what stands between them counts: going back by hand takes half the
time of autograd's graph on networks as small as the lecture's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dnntrain.nn.linear import FactoredGradient
from dnntrain.utils.lazy import torch

Gradients = dict[str, "torch.Tensor | FactoredGradient"]
"""The gradient of each parameter, by its name."""
VJP = Callable[["torch.Tensor"], "tuple[torch.Tensor, ...]"]
"""Takes the gradient of what a function gave to those of what it was given, in that order."""
Step = Callable[["torch.Tensor", Gradients], "torch.Tensor | None"]
"""Takes the gradient of what a layer gave to that of what it was given, and notes those of its parameters."""


def real_rows(x: torch.Tensor, real: int | None) -> torch.Tensor:
    """The `real` rows of x (P, rows, units), without the padding behind them; all rows where that is None.

    A sum or a product over rows takes these instead of weighting the others by 0, since inf and nan times 0 are nan.
    """
    return x if real is None or real == x.shape[1] else x[:, :real]


class Tape:
    """The steps of one forward pass, from the lowest."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    @property
    def begun(self) -> bool:
        """Whether anything lower is trained: what stands below all parameters needs no gradient."""
        return bool(self.steps)

    def gradients(self, gradient: torch.Tensor) -> Gradients:
        """The gradients of all parameters, from that of what came out at the top."""
        found: Gradients = {}
        towards: torch.Tensor | None = gradient
        for step in reversed(self.steps):
            assert towards is not None  # only the lowest step ends here
            towards = step(towards, found)
        return found


def autograd_vjp(
    function: Callable[..., torch.Tensor], *inputs: torch.Tensor, given: Sequence[torch.Tensor] = ()
) -> tuple[torch.Tensor, VJP]:
    """The value of function(*inputs, *given), and how autograd goes back to the inputs."""
    with torch.inference_mode(False), torch.enable_grad():
        # clones, since autograd saves no tensor that was made in inference mode
        leaves = [x.clone().requires_grad_() for x in inputs]
        value = function(*leaves, *(x.clone() for x in given))

    def back(gradient: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.inference_mode(False):
            return torch.autograd.grad(value, leaves, gradient.clone())

    return value.detach(), back
