"""Batch normalization (Ioffe & Szegedy 2015, arXiv:1502.03167), the lecture's equations 15 to 20.

Equation 16 is the variance, although the lecture calls it the standard deviation. Equation 20 averages σ over the
mini-batches; this layer averages σ², as Keras and torch do. That gives the larger value: after mini-batches with σ = 1,
3, 1, and 2, and α = 0.1, this layer tests with √1.948 = 1.40, and equation 20 with 1.26. Both agree where σ does not
change.

With ghost batches (Hoffer et al. 2017, arXiv:1705.08741) parts of the mini-batch are normalized one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from dnntrain.nn.gradients import Gradients
from dnntrain.nn.layer import ForwardContext, Layer, Tensors, real_rows
from dnntrain.nn.layer_spec import Shape
from dnntrain.nn.maps import like_maps, pixel_rows
from dnntrain.nn.torch_code import NamedArrays, TorchCode
from dnntrain.techniques.base import RunExtent
from dnntrain.techniques.normalization.base import Normalization, NormSpec, Place
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class BatchNorm(Normalization):
    """Normalizes each unit or channel over the mini-batch, then scales and shifts it by what it learns."""

    name = "bn"
    essential = True
    normalizes_units = True
    summary = "Zero-centers and normalizes each layer's units over the mini-batch, then scales and shifts them."
    paper = "Ioffe & Szegedy 2015, Batch Normalization, arXiv:1502.03167"
    formula = "x̂ = (x - μ_B) / √(σ²_B + ε);  z = γ x̂ + β;  testing uses moving averages of μ and σ²"
    advice = (
        "Allows larger rates and poor initialization; before or after the activation is a matter of trial. σ² is "
        "averaged as in Keras and torch; the lecture's eq. 20 averages σ (after σ = 1, 3, 1, 2: 1.40 against 1.26)."
    )
    input: bool = hyperparameter(False, "normalize the network's inputs too")
    eps: float = hyperparameter(1e-5, "smoothing term ε", gt=0)
    alpha: float = hyperparameter(0.1, "share of the newest mini-batch in the moving averages", gt=0, le=1)
    ghost: int | None = hyperparameter(
        None,
        "normalize parts of the mini-batch by their own statistics (ghost batches, Hoffer et al. 2017, "
        "arXiv:1705.08741); examples in a part, the last one also has what is left over",
        ge=2,
    )

    def stands(self, place: Place) -> bool:
        return self.input if place == "input" else super().stands(place)

    def fault(self, run: RunExtent) -> str | None:
        if run.net == "module" and (self.input or self.place != "before"):
            return "bn: the norms of your own module stay where they are, so bn_place and bn_input have no meaning"
        if run.net == "module" and self.ghost:
            return "bn_ghost: the norms of your own module take whole mini-batches"
        if not run.hidden and not run.conv and not self.input:
            return "bn: there are no hidden layers; bn_input normalizes the inputs"
        return "bn: needs at least 2 training examples" if run.n_train < 2 else None

    def idle(self, run: RunExtent) -> str | None:
        if self.ghost is None or run.n_train >= 2 * self.ghost:
            return None
        return f"bn_ghost {self.ghost}: a batch of all {run.n_train} training examples has no two such parts"

    def layer(self, name: str, shape: Shape) -> BatchNormSpec:
        return BatchNormSpec(name, shape, self)

    def module(self, channels: int) -> torch.nn.Module:
        from dnntrain.nn.modules.stand_ins import AnyBatchNorm

        return AnyBatchNorm(channels, eps=self.eps, momentum=self.alpha)

    def to_torch(self, shape: Shape, tensors: NamedArrays) -> TorchCode:
        settings = {"eps": (self.eps, 1e-5), "momentum": (self.alpha, 0.1)}
        changed = "".join(f", {key}={value}" for key, (value, default) in settings.items() if value != default)
        state = {
            "weight": tensors["bn_scale"],
            "bias": tensors["bn_shift"],
            "running_mean": tensors["bn_mean"],
            "running_var": tensors["bn_variance"],
            "num_batches_tracked": np.array(0),  # torch counts them, and uses the count only without a momentum
        }
        kind = "BatchNorm2d" if len(shape) == 3 else "BatchNorm1d"
        ghost = f"Its batch norm takes whole mini-batches, where training took parts of {self.ghost} examples."
        return TorchCode(f"nn.{kind}({shape[0]}{changed})", state, notes=(ghost,) if self.ghost else ())


class BatchNormLayer(Layer):
    """Normalizes x (P, rows, units) over the real rows of the mini-batch; when testing, by the moving averages.

    Each pixel of maps (P, rows, C, H, W) counts as a row of C units. Trains `bn_scale` γ and `bn_shift` β, keeps
    `bn_mean` μ and `bn_variance` σ², all (P, 1, units) or (P, 1, C, 1, 1). The moving averages take the mean of the
    statistics of all ghost batches.
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
        parts = self._saved = self._ghost_batches(h, ctx.real or x.shape[1], h.shape[1] // x.shape[1])
        mean, variance = mean_of([part.mean for part in parts]), mean_of([part.variance for part in parts])
        if share := ctx.statistics_share(self.bn.alpha, is_new=not self.pretrained):
            for key, batch in (("bn_mean", mean), ("bn_variance", variance)):
                state[key].copy_(batch) if share == 1 else state[key].lerp_(batch, share)  # eqs. 19, 20 (of σ²)
        normalized = concatenated([part.normalized for part in parts])
        return like_maps(torch.addcmul(shift, normalized, scale), x)  # eq. 18

    def _ghost_batches(self, h: torch.Tensor, real: int, pixels: int) -> list[GhostBatch]:
        """The rows of h, `pixels` for each example, in ghost batches. The last one has the padding too."""
        size = self.bn.ghost or real
        starts = [size * i for i in range(max(1, real // size))]
        parts = h.tensor_split([start * pixels for start in starts[1:]], dim=1)
        ends = [*starts[1:], real]
        return [
            GhostBatch.of(part, (end - start) * pixels, self.bn.eps)
            for part, start, end in zip(parts, starts, ends, strict=True)
        ]

    def backward(self, grad: torch.Tensor, grads: Gradients) -> torch.Tensor | None:
        parts = self._saved
        del self._saved
        scale, sizes = self._parameters["bn_scale"], [part.normalized.shape[1] for part in parts]
        own = torch.split(pixel_rows(grad), sizes, dim=1)
        found = [part.parameter_gradients(g) for part, g in zip(parts, own, strict=True)]
        for key, gradients in zip(("bn_scale", "bn_shift"), zip(*found, strict=True), strict=True):
            grads[f"{self.name}.{key}"] = sum_of(gradients).view_as(scale)
        if not self.needs_input_grad:
            return None
        factor = scale.flatten(2)
        grads_in = [part.input_gradient(g, factor, *pair) for part, g, pair in zip(parts, own, found, strict=True)]
        return like_maps(concatenated(grads_in), grad)


@dataclass(frozen=True, slots=True)
class GhostBatch:
    """Rows (P, rows, units) that are normalized by their own statistics: the whole mini-batch, or a part of it."""

    normalized: torch.Tensor
    mean: torch.Tensor
    """(P, 1, units), of the real rows."""
    variance: torch.Tensor
    inverse: torch.Tensor
    """1 / √(σ² + ε)."""
    real: int
    """The number of real rows; padding follows."""

    @classmethod
    def of(cls, h: torch.Tensor, real: int, eps: float) -> Self:
        """Normalize h (P, rows, units)."""
        mean = real_rows(h, real).sum(dim=1, keepdim=True) / real  # eq. 15
        centered = h - mean
        variance = real_rows(centered, real).square().sum(dim=1, keepdim=True) / real  # eq. 16
        inverse = torch.rsqrt(variance + eps)
        return cls(centered.mul_(inverse), mean, variance, inverse, real)  # eq. 17

    def parameter_gradients(self, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradients of scale and shift, from that of the outputs, g (P, rows, units)."""
        scale_grad = real_rows(g * self.normalized, self.real).sum(dim=1, keepdim=True)
        return scale_grad, real_rows(g, self.real).sum(dim=1, keepdim=True)

    def input_gradient(
        self, g: torch.Tensor, scale: torch.Tensor, scale_grad: torch.Tensor, shift_grad: torch.Tensor
    ) -> torch.Tensor:
        """The gradient of the rows, from that of the outputs and those of scale and shift."""
        # each row moves all others through mean and variance (Ioffe & Szegedy 2015, section 3)
        through_statistics = torch.addcmul(shift_grad / self.real, self.normalized, scale_grad / self.real)
        grad_in = torch.sub(g, through_statistics, out=through_statistics)
        return grad_in.mul_(scale * self.inverse)


def sum_of(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """The sum, added one by one."""
    return sum(parts[1:], parts[0])


def mean_of(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """The mean, added one by one."""
    return parts[0] if len(parts) == 1 else sum_of(parts) / len(parts)


def concatenated(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """The rows (P, rows, units) of all ghost batches."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)


@dataclass(frozen=True)
class BatchNormSpec(NormSpec):
    """Batch normalization of a layer's units or channels."""

    norm: BatchNorm

    @property
    def parameters(self) -> dict[str, Shape]:
        return dict.fromkeys(("bn_scale", "bn_shift"), self.parameter_shape)

    @property
    def buffers(self) -> dict[str, Shape]:
        return dict.fromkeys(("bn_mean", "bn_variance"), self.parameter_shape)

    def initial_state(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The first scale, shift 0, and moving averages that the first mini-batch will set."""
        ones, zeros, scale = (np.full(self.parameter_shape, value, np.float32) for value in (1, 0, self.first_scale))
        return {"bn_scale": scale, "bn_shift": zeros, "bn_mean": zeros, "bn_variance": ones}

    def build(
        self, parameters: Tensors, buffers: Tensors, members: Sequence[Self], device: torch.device
    ) -> BatchNormLayer:
        return BatchNormLayer(self.name, self.norm, parameters, buffers)
