"""Muon: momentum whose matrices are orthogonalized, for the hidden layers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, PrivateAttr

from dnntrain.errors import InputError
from dnntrain.nn.gradients import batched_matmul
from dnntrain.nn.layer_spec import ParameterRole, as_matrix
from dnntrain.techniques.optimizers.base import Optimizer, State, StepNumber
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch

A, B, C = 3.4445, -4.7750, 2.0315
"""Coefficients of the polynomial A x + B x³ + C x⁵. Five times in a row it maps singular values from about 0.002 to 1
to values between about 0.7 and 1.2."""


def read_second(text: str) -> str:
    """The second optimizer in canonical form: `adamw`, or `adamw:beta2=0.95/decay=0.1` with slashes for commas."""
    try:
        second = Optimizer.parse(text.replace("/", ","))
    except InputError as error:
        raise ValueError(str(error)) from None
    if isinstance(second, Muon) or second.averages:
        raise ValueError(f"{second.name} cannot be the second optimizer; adamw can")
    return str(second).replace(",", "/")


class Muon(Optimizer):
    """Momentum, orthogonalized by Newton-Schulz."""

    name = "muon"
    summary = "Replaces the singular values of each hidden layer's momentum by about 1 before the step."
    paper = "Jordan et al. 2024, Muon: An optimizer for hidden layers in neural networks; torch.optim.Muon"
    formula = (
        "m ← μ m + (1-μ) g;  u = μ m + (1-μ) g (without nesterov: m);  "
        "W ← (1 - η decay) W - η √max(1, out/in) NS(u), where u = U S Vᵀ and NS(u) ≈ U Vᵀ"
    )
    advice = (
        "lr is for the hidden matrices; start with 0.02. A convolution is a matrix of outputs × rest. All other "
        "parameters (first and output layer, biases, norms, embeddings) are left to `second`, at the rate second_lr, "
        "which the schedule scales too. In a transfer, first and output layer are those of the trained layers. decay "
        "shrinks the matrices only; second has its own. Iterates in float32, where others use bfloat16. Costs 15 "
        "matrix products for each matrix and step."
    )
    remembers = ("momentum",)
    momentum: float = hyperparameter(0.95, "momentum μ", ge=0, lt=1)
    nesterov: bool = hyperparameter(True, "look ahead by one more step of the momentum")
    decay: float = hyperparameter(0.1, "weight decay of the matrices", ge=0)
    steps: int = hyperparameter(5, "Newton-Schulz iterations", ge=1, le=20)
    second: Annotated[str, AfterValidator(read_second)] = hyperparameter(
        "adamw", "optimizer of the other parameters; with slashes between its own: adamw:beta2=0.95/decay=0.1"
    )
    second_lr: float = hyperparameter(
        0.001, "learning rate of the other parameters; unfreeze_lr leaves it alone", gt=0, le=1e6
    )
    _output_axis: int = PrivateAttr(1)
    """The output axis of the weights that it updates, as in `ParameterRole`; a dense kernel's by default."""

    def for_parameter(self, role: ParameterRole) -> Optimizer:
        if not self.takes(role):
            return Optimizer.parse(self.second.replace("/", ",")).for_parameter(role)
        optimizer = self.model_copy()
        optimizer._output_axis = role.output_axis or 0
        return optimizer

    def own_lr(self, role: ParameterRole) -> float | None:
        return None if self.takes(role) else self.second_lr

    def misfit(self, roles: Iterable[ParameterRole]) -> str | None:
        if any(map(self.takes, roles)):
            return None
        return f"optimizer {self}: the network has no weights between its first and its output layer; use {self.second}"

    def takes(self, role: ParameterRole) -> bool:
        """Whether the parameter is a hidden matrix. One with a single row or column is a vector."""
        if role.output_axis is None or role.is_first or role.is_last:
            return False
        outputs = role.shape[role.output_axis]
        return min(outputs, math.prod(role.shape) // outputs) > 1

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: StepNumber) -> None:
        m = state["momentum"].lerp_(g, 1 - self.momentum)
        u = as_matrix(g.lerp(m, self.momentum) if self.nesterov else m, self._output_axis)
        w, rate = as_matrix(p, self._output_axis), lr.view(-1, 1, 1)
        w.mul_(1 - rate * self.decay)
        w.addcmul_(orthogonalize(u, self.steps), rate * math.sqrt(max(1, w.shape[2] / w.shape[1])), value=-1)


def orthogonalize(u: torch.Tensor, steps: int) -> torch.Tensor:
    """U Vᵀ of u = U S Vᵀ, approximately: singular values between about 0.7 and 1.2.

    Args:
        u: Matrices (P, rows, columns), left as they are.
        steps: Iterations of Newton and Schulz.
    """
    x = u.mT if u.shape[1] > u.shape[2] else u  # the products are smaller this way
    norm = torch.linalg.vector_norm(x.flatten(1), dim=1).clamp_(min=1e-7)
    x = x / norm.view(-1, 1, 1)
    for _ in range(steps):
        squares = batched_matmul(x, x.mT)
        factor = torch.baddbmm(squares, squares, squares, beta=B, alpha=C)
        x = torch.baddbmm(x, factor, x, beta=A)
    return x.mT if u.shape[1] > u.shape[2] else x
