"""Stochastic depth: residual blocks that are skipped at random while training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from dnntrain.nn import random
from dnntrain.nn.gradients import Gradients
from dnntrain.nn.layer import ForwardContext, Layer
from dnntrain.nn.layer_spec import LayerSpec, Shape
from dnntrain.nn.torch_code import NamedArrays, TorchCode, source_of
from dnntrain.techniques.base import RunExtent, Switch, per_member
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class DropPath(Switch):
    """Drops what a residual block adds to its input, for another draw of examples at every step."""

    family = "Stochastic depth"
    name = "drop_path"
    primary = "rate"
    example: ClassVar = {"hidden": "3x20", "residual": True}
    summary = "Skips each residual block for some examples of each step; the deeper the block, the more of them."
    paper = "Huang et al. 2016, Deep Networks with Stochastic Depth, arXiv:1603.09382"
    formula = "h ← s(h) + b f(h) / (1 - p_l), b = 0 with probability p_l = rate · l / L, else 1; testing: s(h) + f(h)"
    advice = "For deep residual networks that overfit; the paper has 0.5 for 54 blocks, small networks want less."
    rate: float = hyperparameter(0.1, "share of the examples that skip the last block", ge=0, le=0.99, per_member=True)

    def fault(self, run: RunExtent) -> str | None:
        if run.blocks:
            return None
        remedy = "residual gives an mlp some" if run.net == "mlp" else "resnet and an mlp with residual have some"
        return f"drop_path: net {run.net} has no residual blocks; {remedy}"

    def idle(self, run: RunExtent) -> str | None:
        return None if self.rate else "drop_path 0: skips no block"

    def layer(self, name: str, shape: Shape, share: float) -> DropPathSpec:
        """The layer at the end of a block's body.

        Args:
            name: The block's name.
            shape: The shape of the body's outputs for one example.
            share: The block's number divided by the number of all blocks: this much of the rate is the block's own.
        """
        return DropPathSpec(name, shape, self, share)


class DropPathLayer(Layer):
    """Multiplies each example of x (P, rows, …) by 0 or 1 / (1 - p), where the context has keys and trains."""

    def __init__(self, name: str, rates: torch.Tensor) -> None:
        """Make a layer whose members drop at these rates p, float32 (P,)."""
        super().__init__(name)
        self.rates, self.threshold = rates, random.threshold(rates)

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        self._slope: torch.Tensor | None = None
        if ctx.dropout_keys is None or not ctx.training:
            return x
        # a key of its own: dropout above the block has the same index
        keys = random.split_key(ctx.dropout_keys[self.index], 0)
        kept = random.keep_mask(random.counters(x.shape[1], 1, x.device), keys, self.threshold)
        slope = kept.div_(per_member(1 - self.rates, kept))
        self._slope = slope.view(len(slope), x.shape[1], *[1] * (x.dim() - 2))
        return x * self._slope

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        slope, self._slope = self._slope, None
        return grad if slope is None else grad * slope

    def uses_keys(self) -> bool:
        return True

    def select(self, members: torch.Tensor) -> Self:
        layer = super().select(members)
        layer.rates, layer.threshold = self.rates[members], self.threshold[members]
        return layer


@dataclass(frozen=True)
class DropPathSpec(LayerSpec):
    """Stochastic depth of one residual block."""

    name: str
    shape: Shape
    drop_path: DropPath
    share: float

    @property
    def shape_out(self) -> Shape:
        return self.shape

    def build(
        self, parameters: object, buffers: object, members: Sequence[Self], device: torch.device
    ) -> DropPathLayer:
        rates = [spec.share * spec.drop_path.rate for spec in members]
        return DropPathLayer(self.name, torch.tensor(rates, dtype=torch.float32, device=device))

    def to_torch(self, tensors: NamedArrays) -> TorchCode:
        from dnntrain.nn.plain_torch import StochasticDepth

        return TorchCode(
            f"StochasticDepth({self.share * self.drop_path.rate:g})", helpers=(source_of(StochasticDepth),)
        )
