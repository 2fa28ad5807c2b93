"""Stochastic gradient descent, with momentum and with Nesterov's."""

from __future__ import annotations

from pydantic import model_validator

from dnntrain.nn.gradients import FactoredGradient, sgd_update
from dnntrain.techniques.optimizers.base import Optimizer, State, StepNumber
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class SGD(Optimizer):
    """Stochastic gradient descent."""

    name = "sgd"
    summary = "Steps against the gradient, with optional momentum."
    paper = "Polyak 1964; Nesterov 1983; Sutskever et al. 2013, On the importance of initialization and momentum"
    formula = "m ← momentum m + g;  θ ← θ - η m  (nesterov: θ - η (g + momentum m))"
    advice = "Momentum 0.9 speeds it up about tenfold; nesterov is a little better still."
    momentum: float = hyperparameter(0.0, "fraction of the last step that is kept", ge=0, lt=1)
    nesterov: bool = hyperparameter(False, "measure the gradient slightly ahead; needs momentum")

    @model_validator(mode="after")
    def check(self) -> SGD:
        """Nesterov's gradient needs momentum."""
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0, 0.9 for example")
        return self

    @property
    def cycled(self) -> str | None:
        return "momentum" if self.momentum else None

    def state(self, p: torch.Tensor) -> State:
        return {"momentum": torch.zeros_like(p)} if self.momentum else {}

    def update(
        self, p: torch.Tensor, g: torch.Tensor | FactoredGradient, state: State, lr: torch.Tensor, t: StepNumber
    ) -> None:
        super().update(p, g, state, lr, t) if state else sgd_update(p, g, lr)

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: StepNumber) -> None:
        if state:
            m = state["momentum"].mul_(self.momentum).add_(g)
            if not self.nesterov:
                g = m
            elif isinstance(self.momentum, torch.Tensor):  # a cycled momentum
                g = g.addcmul(m, self.momentum)
            else:
                g = g.add(m, alpha=self.momentum)
        p.addcmul_(g, lr, value=-1)
