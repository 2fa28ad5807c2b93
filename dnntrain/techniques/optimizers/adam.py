"""Adam and its variants."""

from __future__ import annotations

from dnntrain.techniques.optimizers.base import DecayingOptimizer, Optimizer, State, StepNumber, square_root
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch

FUSED_FROM = 8192
"""Numbers in a member's share of a parameter from which torch's fused kernel pays on a CPU. It reads and writes each
number once and takes the members one by one: of 401,408 numbers, a member takes 0.5 ms instead of 1.5 alone, and 0.6
instead of 2.7 among four."""


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

    @property
    def cycled(self) -> str | None:
        return "beta1"

    def moments(self, g: torch.Tensor, state: State, t: StepNumber) -> tuple[torch.Tensor, torch.Tensor]:
        """The updated mean of g, and √ŝ + ε."""
        m = state["mean"].lerp_(g, 1 - self.beta1)
        s = state["square"].mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
        return m, s.sqrt().div_(square_root(1 - self.beta2**t)).add_(self.eps)

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: StepNumber) -> None:
        is_constant = isinstance(t, int) and not isinstance(self.beta1, torch.Tensor)
        if is_constant and p.device.type == "cpu" and p[0].numel() >= FUSED_FROM and p[0].is_contiguous():
            self._fused_step(p, g, state, lr, t)
        else:
            m, root = self.moments(g, state, t)
            p.addcmul_(m / root, lr / (1 - self.beta1**t), value=-1)

    def _fused_step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: StepNumber) -> None:
        """The same step by torch's kernel, member by member, so that a member has the same bits in any population."""
        number = torch.tensor(t, dtype=torch.float32)
        members = zip(p, g.contiguous(), state["mean"], state["square"], lr.flatten().tolist(), strict=True)
        for own, gradient, mean, square, rate in members:
            torch._fused_adam_(
                [own],
                [gradient],
                [mean],
                [square],
                [],
                [number],
                lr=rate,
                beta1=self.beta1,
                beta2=self.beta2,
                eps=self.eps,
                weight_decay=0.0,
                amsgrad=False,
                maximize=False,
            )


class AdamW(DecayingOptimizer, Adam):
    """Adam with decoupled weight decay."""

    name = "adamw"
    summary = "Adam that decays the weights directly instead of through the gradient."
    paper = "Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization, arXiv:1711.05101"
    formula = "θ ← (1 - η decay) θ, then Adam's step"
    advice = "The usual choice for large networks. Decays every parameter, as torch does; decay_exempt=on only weights."
    decay: float = hyperparameter(0.01, "weight decay", ge=0)

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: StepNumber) -> None:
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

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: StepNumber) -> None:
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

    @property
    def cycled(self) -> str | None:
        return None  # its own rule already changes the momentum from step to step

    def state(self, p: torch.Tensor) -> State:
        # Πμ is the same for every member, but each member takes its state along when members leave the population
        return super().state(p) | {"mu_product": torch.ones(len(p), *[1] * (p.dim() - 1), device=p.device)}

    def mu(self, t: StepNumber) -> float | torch.Tensor:
        """The momentum at step t."""
        return self.beta1 * (1 - 0.5 * 0.96 ** (t * self.psi))

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: StepNumber) -> None:
        m, root = self.moments(g, state, t)
        product = state["mu_product"].mul_(self.mu(t))
        p.addcmul_(g / root, lr * (1 - self.mu(t)) / (1 - product), value=-1)
        p.addcmul_(m / root, lr * self.mu(t + 1) / (1 - product * self.mu(t + 1)), value=-1)


class RAdam(Adam):
    """Rectified Adam."""

    name = "radam"
    summary = "Adam that starts as SGD with momentum, until its mean square is reliable enough to divide by."
    paper = "Liu et al. 2020, On the Variance of the Adaptive Learning Rate and Beyond, arXiv:1908.03265"
    formula = (
        "ρ∞ = 2/(1-β₂) - 1;  ρ = ρ∞ - 2t β₂ᵗ/(1-β₂ᵗ);  r² = (ρ-4)(ρ-2)ρ∞ / ((ρ∞-4)(ρ∞-2)ρ);  "
        "θ ← θ - η r m̂ / √ŝ if ρ > 5, else θ - η m̂"
    )
    advice = "Adam with a warm-up built in: try it where Adam needs --warmup. Has no decay of its own: --weight-decay."

    @property
    def cycled(self) -> str | None:
        return None

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: StepNumber) -> None:
        m = state["mean"].lerp_(g, 1 - self.beta1)
        s = state["square"].mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
        rate, unbiased = lr / (1 - self.beta1**t), 1 - self.beta2**t
        limit = 2 / (1 - self.beta2) - 1
        length = limit - 2 * t * self.beta2**t / unbiased  # of the moving average that has the same center of mass
        if not isinstance(length, torch.Tensor) and length <= 5:
            p.addcmul_(m, rate, value=-1)
            return
        reliable = length.clamp(min=5) if isinstance(length, torch.Tensor) else length
        step, rectified = m / s.sqrt().add_(self.eps), rate * (self.rectification(reliable) * square_root(unbiased))
        if isinstance(length, torch.Tensor):  # no branch: see `StepNumber`
            step, rectified = torch.where(length > 5, step, m), torch.where(length > 5, rectified, rate)
        p.addcmul_(step, rectified, value=-1)

    def rectification(self, length: float | torch.Tensor) -> float | torch.Tensor:
        """The factor r for a moving average of this length ρ, above 4."""
        limit = 2 / (1 - self.beta2) - 1
        return square_root((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length))
