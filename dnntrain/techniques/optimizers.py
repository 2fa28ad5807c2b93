"""Optimizers: one update step for P members at once, each member with its own learning rate.

Every rule is torch.optim's, term for term; a test compares each with it, member by member. Steps are in place.
"""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import model_validator

from dnntrain.nn.gradients import FactoredGradient, densify, sgd_update
from dnntrain.techniques.base import Choice
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch

State = dict[str, "torch.Tensor"]
"""An optimizer's state for one parameter tensor; every entry has the leading axis P."""


class Optimizer(Choice):
    """Moves parameters against their gradients."""

    family = "Optimizer"
    slot = "optimizer"
    remembers: ClassVar[tuple[str, ...]] = ()
    """Names of its running averages, each shaped like the parameter and starting at zero."""

    def state(self, p: torch.Tensor) -> State:
        """The state before the first step for a parameter p (P, …)."""
        return {name: torch.zeros_like(p) for name in self.remembers}

    def update(
        self, p: torch.Tensor, g: torch.Tensor | FactoredGradient, state: State, lr: torch.Tensor, t: int
    ) -> None:
        """As `step`, for a gradient that may still be a product of two factors."""
        self.step(p, densify(g), state, lr, t)

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: int) -> None:
        """Updates the parameter in place.

        Args:
            p: the parameter (P, …).
            g: its gradient, same shape.
            state: what `state` returned, updated in place.
            lr: the learning rates (P, 1, …), broadcast over p.
            t: the number of this step, from 1.
        """
        raise NotImplementedError


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

    def state(self, p: torch.Tensor) -> State:
        return {"momentum": torch.zeros_like(p)} if self.momentum else {}

    def update(
        self, p: torch.Tensor, g: torch.Tensor | FactoredGradient, state: State, lr: torch.Tensor, t: int
    ) -> None:
        super().update(p, g, state, lr, t) if self.momentum else sgd_update(p, g, lr)

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: int) -> None:
        if self.momentum:
            m = state["momentum"].mul_(self.momentum).add_(g)
            g = g.add(m, alpha=self.momentum) if self.nesterov else m
        p.addcmul_(g, lr, value=-1)


class AdaGrad(Optimizer):
    """Adaptive gradients."""

    name = "adagrad"
    summary = "Scales each parameter's rate down by the root of its summed squared gradients."
    paper = "Duchi et al. 2011, Adaptive Subgradient Methods"
    formula = "s ← s + g²;  θ ← θ - η g / (√s + ε)"
    advice = "For simple convex problems. On neural networks the rate falls too early."
    remembers = ("sum",)
    eps: float = hyperparameter(1e-10, "smoothing term ε", gt=0)

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: int) -> None:
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

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: int) -> None:
        s = state["square"].mul_(self.rho).addcmul_(g, g, value=1 - self.rho)
        p.addcmul_(g / s.sqrt().add_(self.eps), lr, value=-1)


class Adam(Optimizer):
    """Adaptive moment estimation."""

    name = "adam"
    summary = "Combines momentum and RMSProp, with bias correction for both."
    paper = "Kingma & Ba 2015, arXiv:1412.6980"
    formula = "m ← β₁m + (1-β₁)g;  s ← β₂s + (1-β₂)g²;  θ ← θ - η m̂ / (√ŝ + ε)"
    advice = "Works out of the box with lr 0.001 on most problems; SGD with momentum sometimes generalizes better."
    remembers = ("mean", "square")
    beta1: float = hyperparameter(0.9, "decay rate of the mean", ge=0, lt=1)
    beta2: float = hyperparameter(0.999, "decay rate of the mean square", ge=0, lt=1)
    eps: float = hyperparameter(1e-8, "smoothing term ε", gt=0)

    def moments(self, g: torch.Tensor, state: State, t: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The updated mean of g, and √ŝ + ε."""
        m = state["mean"].lerp_(g, 1 - self.beta1)
        s = state["square"].mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
        return m, s.sqrt().div_(math.sqrt(1 - self.beta2**t)).add_(self.eps)

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: int) -> None:
        m, root = self.moments(g, state, t)
        p.addcmul_(m / root, lr / (1 - self.beta1**t), value=-1)


class AdamW(Adam):
    """Adam with decoupled weight decay."""

    name = "adamw"
    summary = "Adam that decays the weights directly instead of through the gradient."
    paper = "Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization, arXiv:1711.05101"
    formula = "θ ← (1 - η decay) θ, then Adam's step"
    advice = "The usual choice for large networks. Decays every parameter, as torch does; --weight-decay only weights."
    decay: float = hyperparameter(0.01, "weight decay", ge=0)

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: int) -> None:
        p.mul_(1 - lr * self.decay)
        super().step(p, g, state, lr, t)


class Adamax(Optimizer):
    """Adam with the infinity norm."""

    name = "adamax"
    summary = "Adam with a decaying maximum of the gradients in place of their mean square."
    paper = "Kingma & Ba 2015, arXiv:1412.6980, section 7.1"
    formula = "m ← β₁m + (1-β₁)g;  u ← max(β₂u, |g| + ε);  θ ← θ - η m̂ / u"
    advice = "Sometimes more stable than Adam; rarely better."
    remembers = ("mean", "largest")
    beta1: float = hyperparameter(0.9, "decay rate of the mean", ge=0, lt=1)
    beta2: float = hyperparameter(0.999, "decay rate of the maximum", ge=0, lt=1)
    eps: float = hyperparameter(1e-8, "smoothing term ε", gt=0)

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: int) -> None:
        m = state["mean"].lerp_(g, 1 - self.beta1)
        u = state["largest"].mul_(self.beta2)
        torch.maximum(u, g.abs().add_(self.eps), out=u)
        p.addcmul_(m / u, lr / (1 - self.beta1**t), value=-1)


class Nadam(Adam):
    """Adam with Nesterov momentum."""

    name = "nadam"
    summary = "Adam with Nesterov momentum, which warms up."
    paper = "Dozat 2016, Incorporating Nesterov Momentum into Adam"
    formula = "as Adam, with m̂ = μₜ₊₁ m / (1-Πμ) + (1-μₜ) g / (1-Πμ),  μₜ = β₁(1 - ½ 0.96^(t ψ))"
    advice = "Often a little faster than Adam."
    psi: float = hyperparameter(4e-3, "momentum decay ψ", ge=0)

    def state(self, p: torch.Tensor) -> State:
        # Πμ is the same for every member, but each member takes its state along when members leave the population
        return super().state(p) | {"mu_product": torch.ones(len(p), *[1] * (p.dim() - 1), device=p.device)}

    def mu(self, t: int) -> float:
        """The momentum at step t."""
        return self.beta1 * (1 - 0.5 * math.pow(0.96, t * self.psi))

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: int) -> None:
        m, root = self.moments(g, state, t)
        product = state["mu_product"].mul_(self.mu(t))
        p.addcmul_(g / root, lr * (1 - self.mu(t)) / (1 - product), value=-1)
        p.addcmul_(m / root, lr * self.mu(t + 1) / (1 - product * self.mu(t + 1)), value=-1)
