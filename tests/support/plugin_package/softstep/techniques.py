"""An activation, a penalty, a network, and a loss."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from dnntrain.nn.layer_spec import Shape
from dnntrain.nn.torch_code import NamedArrays, TorchCode, source_of
from dnntrain.techniques.activations import Activation
from dnntrain.techniques.base import per_member
from dnntrain.techniques.losses import Loss, TrainingLoss
from dnntrain.techniques.losses.plain import PlainLoss
from dnntrain.techniques.networks.base import Net, NetworkSettings, Unit
from dnntrain.techniques.regularization import WeightRegularizer
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class SoftStep(Activation):
    """A smooth step."""

    name = "soft_step"
    summary = "A smooth step from -1 to 1, with slower tails than tanh."
    paper = "none"
    formula = "z / √(1 + z²)"
    advice = "Saturates more slowly than tanh."
    asymptotes = (-1.0, 1.0)

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return z * torch.rsqrt(1 + z * z)

    def to_torch(self, shape: Shape, trained: NamedArrays) -> TorchCode:
        from softstep.modules import SoftStepModule

        return TorchCode("SoftStepModule()", helpers=(source_of(SoftStepModule),))

    def module(self) -> torch.nn.Module:
        from softstep.modules import SoftStepModule

        return SoftStepModule()


class Elastic(WeightRegularizer):
    """Lasso and ridge."""

    name = "elastic"
    primary = "strength"
    summary = "Adds the weights' absolute values and their squares to the loss."
    paper = "Zou & Hastie 2005"
    formula = "loss + λ Σ (r |w| + (1 - r) w²)"
    advice = "Where l1 alone drops too much."
    strength: float = hyperparameter(1e-4, "λ", ge=0, per_member=True)
    ratio: float = hyperparameter(0.5, "share of the absolute values, r", ge=0, le=1)

    def penalize(self, grad: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        slope = self.ratio * torch.sign(w) + 2 * (1 - self.ratio) * w
        return grad.addcmul(slope, per_member(self.strength, w))


class Funnel(Net):
    """Dense layers, each half as wide as the one below."""

    name = "funnel"
    summary = "Dense layers, each half as wide as the one below it."
    paper = "none"
    formula = "h ← act(W h + b), with W of half the width"
    advice = "For tables."
    auto: ClassVar = {"hidden": "none", "act": "relu"}
    width: int = hyperparameter(16, "units of the lowest layer", ge=2, le=4096)
    depth: int = hyperparameter(2, "number of layers", ge=1, le=10)

    @property
    def conv_units(self) -> int:
        return self.depth

    def units(self, settings: NetworkSettings) -> list[Unit]:
        width = settings.data.n_features
        units = [settings.inputs((width,))]
        for unit in range(1, self.depth + 1):
            name, narrower = f"funnel{unit}", max(1, self.width >> (unit - 1))
            dense = settings.dense(name, width, narrower, unit)
            activated, dropped = (
                settings.activated(name, dense.shape_out, unit),
                settings.dropped(name, (narrower,), unit),
            )
            units.append([dense, *activated, *dropped])
            width = narrower
        hidden = settings.hidden_units(width)
        return [*units, *hidden, settings.output((width, *settings.hidden)[-1])]


class Poly(TrainingLoss):
    """Cross-entropy with a larger first term."""

    name = "poly"
    summary = "Cross-entropy plus ε times the probability of all other classes."
    paper = "Leng et al. 2022, PolyLoss"
    formula = "-log p + ε (1 - p)"
    advice = "ε = 1 is a start."
    task = "classification"
    epsilon: float = hyperparameter(1.0, "ε", ge=0, le=100)

    def objective(self, plain: PlainLoss, class_counts: np.ndarray, device: torch.device) -> Loss:
        return PolyObjective(plain, self.epsilon)


class PolyObjective(Loss):
    """The loss of P members."""

    def __init__(self, plain: PlainLoss, epsilon: float) -> None:
        self.plain, self.epsilon = plain, epsilon

    def losses(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        plain = self.plain.losses(outputs, y)
        return plain + self.epsilon * (1 - torch.exp(-plain))
