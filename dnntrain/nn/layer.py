"""Layers of P members at once: each has a forward and a backward pass of its own.

A training step is some dozens of small kernels, so what stands between them counts: backward passes by hand take half
the time of autograd's graph on small networks. A layer without a rule of its own uses `autograd_vjp`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Protocol, Self, overload

from dnntrain.nn.gradients import Gradients
from dnntrain.utils.lazy import torch

Tensors = dict[str, "torch.Tensor"]
VJP = Callable[["torch.Tensor"], "tuple[torch.Tensor, ...]"]
"""Maps the gradient of a function's value to those of its inputs (a vector-Jacobian product)."""
Observer = Callable[[str, "torch.Tensor", tuple[float, ...]], None]
"""Receives each activation's name, its output (P, real rows, …), and the values at which it saturates.

A layer whose members go one after the other calls it for each of them, with P = 1."""


class BackwardObserver(Protocol):
    """Sees what backpropagation multiplies from layer to layer, in a pass that trains."""

    def slope(self, name: str, slope: torch.Tensor, inputs_per_unit: int) -> None:
        """Receives an activation's derivative at its net inputs, in the forward pass.

        Args:
            name: The layer's name.
            slope: (P, real rows, …), shaped as the net inputs.
            inputs_per_unit: How many net inputs make one unit.
        """
        ...

    def net_input_gradient(self, weight: str, grad: torch.Tensor) -> None:
        """Receives the gradient of the mean loss for the net inputs of a layer, in the backward pass.

        Args:
            weight: The full name of the weights whose product with the layer's inputs these are.
            grad: (P, real rows, …). It may not be kept or changed.
        """
        ...


@dataclass(frozen=True, slots=True)
class ForwardContext:
    """The settings of one forward pass."""

    real: int | None = None
    """The number of real rows; the rows behind them are padding. None if all are real."""
    training: bool = False
    """Normalize by the mini-batch, update running statistics, and keep what `backward` needs."""
    first: bool = False
    """Whether this is the first mini-batch, which initializes the running statistics of new layers."""
    dropout_keys: torch.Tensor | None = None
    """Keys of the dropout masks, int32 (`Layer.index`, P); None switches dropout off."""
    observe: Observer | None = None
    observe_backward: BackwardObserver | None = None
    statistics: float | None = None
    """The share of this mini-batch in running statistics; 0 leaves all buffers alone, None is each layer's own."""

    def statistics_share(self, own: float, is_new: bool) -> float:
        """The share of this mini-batch in a layer's running statistics.

        Args:
            own: The share that the layer has by itself.
            is_new: Whether the first mini-batch initializes the layer's statistics.
        """
        if self.statistics is not None:
            return self.statistics
        return 1.0 if self.first and is_new else own


EVAL = ForwardContext()


def real_rows(x: torch.Tensor, real: int | None) -> torch.Tensor:
    """The first `real` rows of x (P, rows, …), without the padding; all rows if `real` is None.

    Whatever sums or multiplies over rows uses this slice. Weights of 0 would not do: inf and nan times 0 are nan.
    """
    return x if real is None or real == x.shape[1] else x[:, :real]


def pad_rows(x: torch.Tensor, rows: int) -> torch.Tensor:
    """x (P, real rows, …) with rows of zeros appended, (P, rows, …)."""
    return x if x.shape[1] == rows else torch.cat([x, x.new_zeros(len(x), rows - x.shape[1], *x.shape[2:])], dim=1)


class Layer:
    """One step of a network, for P members.

    A subclass implements `forward` and `backward`. While training, it may overwrite its input if `owns_input`, and may
    always overwrite the gradient that it receives.
    """

    keeps_output: bool = True
    """Whether `backward` reads the output again, so that the next layer must not overwrite it."""

    def __init__(self, name: str = "", parameters: Tensors | None = None, buffers: Tensors | None = None) -> None:
        """Make a layer of P members.

        Args:
            name: The prefix of its tensors' names.
            parameters: What it trains, (P, …), by short name: `kernel`.
            buffers: What it keeps but does not train, likewise.
        """
        self.name = name
        self._parameters, self._buffers = parameters or {}, buffers or {}
        self.index = 0
        """How many layers below it draw random weights: picks its init stream and its dropout key."""
        self.pretrained = False
        """Whether its buffers come from an earlier training, so that no first mini-batch initializes them."""
        self.needs_input_grad, self.owns_input = True, False

    def parameters(self) -> Tensors:
        """What is trained, (P, …), by full name: `hidden1.kernel`. The storage is shared."""
        return {f"{self.name}.{key}": tensor for key, tensor in self._parameters.items()}

    def buffers(self) -> Tensors:
        """What is kept but not trained, (P, …), by full name. The storage is shared."""
        return {f"{self.name}.{key}": tensor for key, tensor in self._buffers.items()}

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        """Its output.

        Args:
            x: (P, rows, …); (1, rows, …) where all members have the same input.
            ctx: The settings of this pass.
        """
        raise NotImplementedError

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        """The gradient of its input, after a forward pass with `ctx.training`; None unless `needs_input_grad`.

        Args:
            grad: The gradient of its output, same shape; padding rows hold anything.
            grads: Receives the gradients of its parameters, by full name.
        """
        raise NotImplementedError

    def connect(self, needs_input_grad: bool, owns_input: bool) -> None:
        """Fix what depends on the layers below: whether any of them is trained, and whether they need their output."""
        self.needs_input_grad, self.owns_input = needs_input_grad, owns_input

    def uses_keys(self) -> bool:
        """Whether a forward pass with `ctx.dropout_keys` is random."""
        return False

    def select(self, members: torch.Tensor) -> Self:
        """The layer of some members, by their indices; its tensors are copies."""
        layer = copy(self)
        layer._parameters = {key: tensor[members] for key, tensor in self._parameters.items()}
        layer._buffers = {key: tensor[members] for key, tensor in self._buffers.items()}
        return layer


class Sequential(Layer):
    """Layers one after the other. A slice, `layers[:k]`, is a Sequential too; it shares the layers."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = list(layers)
        self.connect(needs_input_grad=False, owns_input=False)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Layer:
        return Sequential(self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def parameters(self) -> Tensors:
        return {name: tensor for layer in self.layers for name, tensor in layer.parameters().items()}

    def buffers(self) -> Tensors:
        return {name: tensor for layer in self.layers for name, tensor in layer.buffers().items()}

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        for layer in self.layers:
            x = layer.forward(x, ctx)
        return x

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        below: torch.Tensor | None = grad
        for layer in reversed(self.layers):
            if below is None:  # nothing further down is trained
                break
            below = layer.backward(below, grads)
        return below

    def connect(self, needs_input_grad: bool, owns_input: bool) -> None:
        super().connect(needs_input_grad, owns_input)
        for layer in self.layers:
            layer.connect(needs_input_grad, owns_input)
            needs_input_grad = needs_input_grad or bool(layer.parameters())
            owns_input = not layer.keeps_output

    def uses_keys(self) -> bool:
        return any(layer.uses_keys() for layer in self.layers)

    def select(self, members: torch.Tensor) -> Self:
        return type(self)([layer.select(members) for layer in self.layers])


def autograd_vjp(
    function: Callable[..., torch.Tensor], *inputs: torch.Tensor, args: Sequence[torch.Tensor] = ()
) -> tuple[torch.Tensor, VJP]:
    """The value of function(*inputs, *args), and its VJP for the inputs, by autograd."""
    with torch.inference_mode(False), torch.enable_grad():
        # clones, since autograd saves no tensor that was made in inference mode
        leaves = [x.clone().requires_grad_() for x in inputs]
        value = function(*leaves, *(x.clone() for x in args))

    def vjp(gradient: torch.Tensor) -> tuple[torch.Tensor, ...]:
        with torch.inference_mode(False):
            # zeros for an input that the value does not depend on
            return torch.autograd.grad(value, leaves, gradient.clone(), materialize_grads=True)

    return value.detach(), vjp
