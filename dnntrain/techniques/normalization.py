"""Batch normalization (Ioffe & Szegedy 2015, arXiv:1502.03167), the lecture's equations 15 to 20."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from dnntrain.nn.gradients import Gradients
from dnntrain.nn.layer import ForwardContext, Layer, Tensors, real_rows
from dnntrain.nn.layer_spec import LayerSpec, Shape
from dnntrain.nn.maps import like_maps, per_channel, pixel_rows
from dnntrain.techniques.base import RunExtent, Switch
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class BatchNorm(Switch):
    """Normalizes each unit or channel over the mini-batch, then scales and shifts it by what it learns."""

    family = "Batch normalization"
    name = "bn"
    summary = "Zero-centers and normalizes each layer's units over the mini-batch, then scales and shifts them."
    paper = "Ioffe & Szegedy 2015, Batch Normalization, arXiv:1502.03167"
    formula = "x̂ = (x - μ_B) / √(σ²_B + ε);  z = γ x̂ + β;  testing uses moving averages of μ and σ²"
    advice = "Allows larger rates and poor initialization; before or after the activation is a matter of trial."
    place: Literal["before", "after"] = hyperparameter("before", "before or after each activation")
    input: bool = hyperparameter(False, "normalize the network's inputs too")
    eps: float = hyperparameter(1e-5, "smoothing term ε", gt=0)
    alpha: float = hyperparameter(0.1, "share of the newest mini-batch in the moving averages", gt=0, le=1)

    def fault(self, run: RunExtent) -> str | None:
        if run.net == "module" and (self.input or self.place != "before"):
            return "bn: the norms of your own module stay where they are, so bn_place and bn_input have no meaning"
        if not run.hidden and not run.conv and not self.input:
            return "bn: there are no hidden layers; bn_input normalizes the inputs"
        return "bn: needs at least 2 training examples" if run.n_train < 2 else None

    def layer(self, name: str, shape: Shape) -> BatchNormSpec:
        """The layer that normalizes activations of this shape (of one example)."""
        return BatchNormSpec(name, shape, self)


class BatchNormLayer(Layer):
    """Normalizes x (P, rows, units) over the real rows of the mini-batch; when testing, by the moving averages.

    Each pixel of maps (P, rows, C, H, W) counts as a row of C units. Trains `bn_scale` γ and `bn_shift` β, keeps
    `bn_mean` μ and `bn_variance` σ², all (P, 1, units) or (P, 1, C, 1, 1).
    """

    keeps_output = False

    def __init__(self, name: str, bn: BatchNorm, parameters: Tensors, buffers: Tensors) -> None:
        super().__init__(name, parameters, buffers)
        self.bn = bn

    def forward(self, x: torch.Tensor, ctx: ForwardContext) -> torch.Tensor:
        state = {key: tensor.flatten(2) for key, tensor in (self._parameters | self._buffers).items()}
        h, scale, shift = pixel_rows(x), state["bn_scale"], state["bn_shift"]
        if not ctx.training:
            inverse = torch.rsqrt(state["bn_variance"] + self.bn.eps)
            return like_maps(torch.addcmul(shift, h - state["bn_mean"], scale * inverse), x)
        real = (ctx.real or x.shape[1]) * h.shape[1] // x.shape[1]
        mean = real_rows(h, real).sum(dim=1, keepdim=True) / real  # eq. 15
        centered = h - mean
        variance = real_rows(centered, real).square().sum(dim=1, keepdim=True) / real  # eq. 16
        inverse = torch.rsqrt(variance + self.bn.eps)
        normalized = centered.mul_(inverse)  # eq. 17
        share = ctx.statistics_share(self.bn.alpha, is_new=not self.pretrained)
        for key, batch in (("bn_mean", mean), ("bn_variance", variance)):
            state[key].copy_(batch) if share == 1 else state[key].lerp_(batch, share)  # eqs. 19, 20
        self._saved = normalized, inverse, real
        return like_maps(torch.addcmul(shift, normalized, scale), x)  # eq. 18

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        normalized, inverse, real = self._saved
        del self._saved
        scale, g = self._parameters["bn_scale"], pixel_rows(grad)
        scale_grad = real_rows(g * normalized, real).sum(dim=1, keepdim=True)
        shift_grad = real_rows(g, real).sum(dim=1, keepdim=True)
        grads[f"{self.name}.bn_scale"] = scale_grad.view_as(scale)
        grads[f"{self.name}.bn_shift"] = shift_grad.view_as(scale)
        if not self.needs_input_grad:
            return None
        # each row moves all others through mean and variance (Ioffe & Szegedy 2015, section 3)
        through_statistics = torch.addcmul(shift_grad / real, normalized, scale_grad / real)
        grad_in = torch.sub(g, through_statistics, out=through_statistics)
        return like_maps(grad_in.mul_(scale.flatten(2) * inverse), grad)


@dataclass(frozen=True)
class BatchNormSpec(LayerSpec):
    """Batch normalization of a layer's units or channels."""

    name: str
    shape: Shape
    bn: BatchNorm
    first_scale: float = 1.0

    @property
    def shape_out(self) -> Shape:
        return self.shape

    @property
    def parameters(self) -> dict[str, Shape]:
        return dict.fromkeys(("bn_scale", "bn_shift"), per_channel(self.shape))

    @property
    def buffers(self) -> dict[str, Shape]:
        return dict.fromkeys(("bn_mean", "bn_variance"), per_channel(self.shape))

    def initial_state(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The first scale, shift 0, and moving averages that the first mini-batch will set."""
        shape = per_channel(self.shape)
        ones, zeros, scale = (np.full(shape, value, np.float32) for value in (1, 0, self.first_scale))
        return {"bn_scale": scale, "bn_shift": zeros, "bn_mean": zeros, "bn_variance": ones}

    def build(
        self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device
    ) -> BatchNormLayer:
        return BatchNormLayer(self.name, self.bn, parameters, buffers)
