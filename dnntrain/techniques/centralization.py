"""Gradient centralization."""

from __future__ import annotations

from dnntrain.techniques.base import Switch
from dnntrain.utils.lazy import torch


class GradientCentralization(Switch):
    """Centers the gradient of each unit's incoming weights."""

    family = "Gradient centralization"
    name = "centralize"
    summary = "Subtracts the mean over its inputs from the gradient of each unit's weights."
    paper = "Yong et al. 2020, Gradient Centralization, arXiv:2004.01461"
    formula = "g ← g - mean(g) over the inputs of each unit or channel, before penalties and clipping"
    advice = "One line for convolutional networks with batch norm; gains are small. Leaves biases and norms alone."

    def centralize(self, grad: torch.Tensor, output_axis: int) -> torch.Tensor:
        """The centered gradient.

        Args:
            grad: Of weights, (P, …).
            output_axis: Their output axis in one member's shape, the first or the last.
        """
        inputs = [axis for axis in range(1, grad.dim()) if axis != range(1, grad.dim())[output_axis]]
        return grad - grad.mean(dim=inputs, keepdim=True)
