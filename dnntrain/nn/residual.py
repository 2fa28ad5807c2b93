"""Residual blocks: the input is added to what a list of layers makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from dnntrain.nn.gradients import Gradients
from dnntrain.nn.layer import ForwardContext, Layer, Sequential, Tensors
from dnntrain.nn.layer_spec import LayerSpec, Shape, torch_sequence
from dnntrain.nn.torch_code import NamedArrays, TorchCode, combined, source_of
from dnntrain.utils.lazy import torch


class Residual(Layer):
    """s(x) + f(x) (He et al. 2016, arXiv:1512.03385). f is a list of layers; s is one too, or the identity."""

    keeps_output = False

    def __init__(self, body: Sequential, shortcut: Sequential) -> None:
        """Make a block.

        Args:
            body: The layers of f.
            shortcut: The layers of s; an empty list is the identity.
        """
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def parameters(self) -> Tensors:
        return self.body.parameters() | self.shortcut.parameters()

    def buffers(self) -> Tensors:
        return self.body.buffers() | self.shortcut.buffers()

    def uses_keys(self) -> bool:
        return self.body.uses_keys() or self.shortcut.uses_keys()

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        return self.shortcut.forward(x, ctx) + self.body.forward(x, ctx)

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        through_body = self.body.backward(grad.clone(), grads)  # the layers may overwrite what they receive
        through_shortcut = self.shortcut.backward(grad, grads)
        return through_body + through_shortcut if self.needs_input_grad else None  # type: ignore[operator]

    def connect(self, needs_input_grad: bool, owns_input: bool) -> None:
        super().connect(needs_input_grad, owns_input)
        for branch in (self.body, self.shortcut):
            branch.connect(needs_input_grad, owns_input=False)  # both read x

    def select(self, members: torch.Tensor) -> Self:
        return type(self)(self.body.select(members), self.shortcut.select(members))


@dataclass(frozen=True)
class ResidualSpec(LayerSpec):
    """A residual block."""

    name: str
    body: Sequence[LayerSpec]
    shortcut: Sequence[LayerSpec] = ()

    @property
    def shape_out(self) -> Shape:
        return self.body[-1].shape_out

    @property
    def branches(self) -> tuple[Sequence[LayerSpec], Sequence[LayerSpec]]:
        return self.body, self.shortcut

    def join(self, branches: Sequence[Sequential]) -> Residual:
        return Residual(*branches)

    def to_torch(self, tensors: NamedArrays) -> TorchCode:
        from dnntrain.nn.plain_torch import ResidualBlock

        branches = {"body": self.body} | ({"shortcut": self.shortcut} if self.shortcut else {})
        parts = {name: torch_sequence(branch, tensors) for name, branch in branches.items()}
        return combined("ResidualBlock", parts, (source_of(ResidualBlock),))


class Subsample(Layer):
    """Every few pixels of each map, and maps of zeros for new channels: a shortcut without weights (option A)."""

    keeps_output = False

    def __init__(self, name: str, channels: int, stride: int) -> None:
        super().__init__(name)
        self.channels, self.stride = channels, stride

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        self._shape_in = x.shape
        some = x[..., :: self.stride, :: self.stride]
        outputs = x.new_zeros(*x.shape[:2], *some.shape[3:], self.channels).movedim(-1, 2)  # channels last in memory
        outputs[:, :, : x.shape[2]] = some
        return outputs

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        if not self.needs_input_grad:
            return None
        members, rows, channels, height, width = self._shape_in
        grad_in = grad.new_zeros(members, rows, height, width, channels).movedim(-1, 2)
        grad_in[..., :: self.stride, :: self.stride] = grad[:, :, :channels]
        return grad_in


@dataclass(frozen=True)
class SubsampleSpec(LayerSpec):
    """The shortcut of a block that makes maps smaller and more (He et al. 2016, section 4.2, option A)."""

    name: str
    shape_in: Shape
    channels: int
    stride: int

    @property
    def shape_out(self) -> Shape:
        _, height, width = self.shape_in
        return (self.channels, -(-height // self.stride), -(-width // self.stride))

    def build(self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device) -> Subsample:
        return Subsample(self.name, self.channels, self.stride)

    def to_torch(self, tensors: NamedArrays) -> TorchCode:
        from dnntrain.nn.plain_torch import StridedShortcut

        new = self.channels - self.shape_in[0]
        return TorchCode(f"StridedShortcut({new}, stride={self.stride})", helpers=(source_of(StridedShortcut),))
