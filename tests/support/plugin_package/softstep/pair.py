"""A technique and a metric in one module, which is listed in both groups."""

from __future__ import annotations

import numpy as np

from dnntrain.metrics import ExampleMean, TargetInfo, predicted_classes
from dnntrain.nn.layer_spec import Shape
from dnntrain.nn.torch_code import NamedArrays, TorchCode
from dnntrain.techniques.activations import Activation
from dnntrain.utils.lazy import torch


class ErrorRate(ExampleMean):
    """The share of examples whose class is not found."""

    name, tasks, label = "error_rate", ("classification",), "error rate"
    higher_is_better, bounds, unit, delta = False, (0.0, 1.0), "%", "0.3pp"

    def per_example(self, outputs: np.ndarray, targets: np.ndarray, info: TargetInfo) -> np.ndarray:
        return (predicted_classes(outputs) != targets).astype(float)


class Clip(Activation):
    """Clipped identity."""

    name = "clip"
    summary = "The identity, cut to [-1, 1]."
    paper = "Collobert 2004"
    formula = "min(max(z, -1), 1)"
    advice = "Cheaper than tanh."
    asymptotes = (-1.0, 1.0)

    def __call__(self, z: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        return z.clamp(-1, 1)

    def to_torch(self, shape: Shape, trained: NamedArrays) -> TorchCode:
        return TorchCode("nn.Hardtanh()")

    def module(self) -> torch.nn.Module:
        return torch.nn.Hardtanh()
