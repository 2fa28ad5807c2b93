"""AdaGrad and its successors, which scale each parameter's rate by its squared gradients."""

from __future__ import annotations

from dnntrain.techniques.optimizers.base import Optimizer, State, StepNumber
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class AdaGrad(Optimizer):
    """Adaptive gradients."""

    name = "adagrad"
    summary = "Scales each parameter's rate down by the root of its summed squared gradients."
    paper = "Duchi et al. 2011, Adaptive Subgradient Methods"
    formula = "s ← s + g²;  θ ← θ - η g / (√s + ε)"
    advice = "For simple convex problems. On neural networks the rate falls too early."
    remembers = ("sum",)
    eps: float = hyperparameter(1e-10, "smoothing term ε", gt=0)

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: StepNumber) -> None:
        s = state["sum"].addcmul_(g, g)
        p.addcmul_(g / s.sqrt().add_(self.eps), lr, value=-1)


class RMSProp(Optimizer):
    """AdaGrad with an exponential average."""

    name = "rmsprop"
    summary = "AdaGrad with an exponential average, so that only recent gradients count."
    paper = "Tieleman & Hinton 2012, Coursera lecture 6.5"
    formula = "s ← rho s + (1 - rho) g²;  θ ← θ - η g / (√s + ε)"
    advice = "Good, but mostly superseded by Adam. rho is torch's alpha (0.99); Keras uses 0.9."
    remembers = ("square",)
    rho: float = hyperparameter(0.99, "decay rate of the average", ge=0, lt=1)
    eps: float = hyperparameter(1e-8, "smoothing term ε", gt=0)

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: StepNumber) -> None:
        s = state["square"].mul_(self.rho).addcmul_(g, g, value=1 - self.rho)
        p.addcmul_(g / s.sqrt().add_(self.eps), lr, value=-1)


class Adadelta(Optimizer):
    """RMSProp with steps in the units of the parameters."""

    name = "adadelta"
    summary = "RMSProp that scales each step by the size of the last ones, so that the rate has no unit."
    paper = "Zeiler 2012, ADADELTA: An Adaptive Learning Rate Method, arXiv:1212.5701"
    formula = "s ← rho s + (1-rho) g²;  Δ = √(d + ε) / √(s + ε) · g;  d ← rho d + (1-rho) Δ²;  θ ← θ - η Δ"
    advice = (
        "Use lr 1, as in the paper; smaller rates only slow it down. Starts slowly, because ε sets its first steps."
    )
    remembers = ("square", "step")
    rho: float = hyperparameter(0.9, "decay rate of both averages", ge=0, lt=1)
    eps: float = hyperparameter(1e-6, "smoothing term ε", gt=0)

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: StepNumber) -> None:
        s, d = state["square"].mul_(self.rho).addcmul_(g, g, value=1 - self.rho), state["step"]
        delta = d.add(self.eps).sqrt_().div_(s.add(self.eps).sqrt_()).mul_(g)
        d.mul_(self.rho).addcmul_(delta, delta, value=1 - self.rho)
        p.addcmul_(delta, lr, value=-1)
