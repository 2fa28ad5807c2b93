"""Lion: steps of equal size in every component."""

from __future__ import annotations

from dnntrain.techniques.optimizers.base import DecayingOptimizer, State, StepNumber
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class Lion(DecayingOptimizer):
    """Evolved sign momentum."""

    name = "lion"
    summary = "Moves every parameter by the rate, in the direction of the sign of a momentum."
    paper = "Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, arXiv:2302.06675"
    formula = "θ ← (1 - η decay) θ - η sign(β₁m + (1-β₁)g);  m ← β₂m + (1-β₂)g"
    advice = (
        "Use a rate 3 to 10 times smaller than AdamW's, and a decay larger by the same factor. One average instead of "
        "two. Decays every parameter; decay_exempt=on only weights."
    )
    remembers = ("mean",)
    beta1: float = hyperparameter(0.9, "share of the mean in the step", ge=0, lt=1)
    beta2: float = hyperparameter(0.99, "decay rate of the mean", ge=0, lt=1)

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: StepNumber) -> None:
        m = state["mean"]
        if self.decay:
            p.mul_(1 - lr * self.decay)
        p.addcmul_(m.lerp(g, 1 - self.beta1).sign_(), lr, value=-1)
        m.lerp_(g, 1 - self.beta2)
