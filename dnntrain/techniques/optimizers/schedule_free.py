"""Schedule-free optimizers, which replace the decay of the learning rate by an average of the weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from dnntrain.techniques.averaging import Averaging
from dnntrain.techniques.base import Switch
from dnntrain.techniques.optimizers.base import DecayingOptimizer, State, StepNumber
from dnntrain.techniques.regularization import WeightRegularizer
from dnntrain.techniques.schedules.base import Constant, Schedule
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch


class ScheduleFree(DecayingOptimizer):
    """Trains at weights y between a fast sequence z and its average x, at which the network is evaluated.

    The parameter is y = (1 - β) z + β x; the state holds z, and x follows from both.
    """

    averages: ClassVar[bool] = True
    paper = "Defazio et al. 2024, The Road Less Scheduled, arXiv:2405.15682; package schedulefree"

    @property
    def beta(self) -> float:
        """The share β of the average in the weights that are trained."""
        raise NotImplementedError

    def conflict(self, schedule: Schedule, switches: Iterable[Switch]) -> str | None:
        if not isinstance(schedule, Constant):
            return f"schedule {schedule}: {self.name} needs none; leave it out, and use warmup if the start needs one"
        for switch in switches:
            if isinstance(switch, WeightRegularizer) and switch.changes_weights:
                return f"{switch.name}: {self.name} averages the weights, which nothing else may change; use its decay"
            if isinstance(switch, Averaging):
                return f"{switch.name}: {self.name} is evaluated at an average already"
        return super().conflict(schedule, switches)

    def state(self, p: torch.Tensor) -> State:
        total = torch.zeros(len(p), *[1] * (p.dim() - 1), device=p.device)
        return super().state(p) | {"z": p.clone(), "weight_sum": total}

    def move(self, y: torch.Tensor, step: torch.Tensor, state: State, lr: torch.Tensor) -> None:
        """Move z against the step, which is scaled in place, and update y and the sum of the average's weights."""
        # the package weights by the square of the largest rate so far, which is the rate now: it never falls
        weight = lr.square()
        share = weight / state["weight_sum"].add_(weight).clamp_(min=torch.finfo(lr.dtype).tiny)
        y.lerp_(state["z"], share)
        y.addcmul_(step, lr * (self.beta * (1 - share) - 1))
        state["z"].addcmul_(step, lr, value=-1)

    def evaluated(self, p: torch.Tensor, state: State) -> torch.Tensor:
        return p.lerp(state["z"], 1 - 1 / self.beta)


class ScheduleFreeSGD(ScheduleFree):
    """Schedule-free stochastic gradient descent."""

    name = "schedule_free_sgd"
    summary = "SGD at a constant rate, evaluated at an average of its weights, in place of momentum and a schedule."
    formula = "y = (1-β)z + βx;  z ← z - η (∇L(y) + decay y);  x ← (1-c)x + cz, c = η²/Ση²;  validated and tested at x"
    advice = (
        "Use a rate 10 to 50 times that of SGD with momentum, and --warmup. Refuses schedules. Batch norm's statistics "
        "are measured anew for x. Decays every parameter through the gradient; decay_exempt=on only weights."
    )
    momentum: float = hyperparameter(0.9, "share β of the average in the trained weights", gt=0, lt=1)

    @property
    def beta(self) -> float:
        return self.momentum

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: StepNumber) -> None:
        self.move(p, g.add(p, alpha=self.decay) if self.decay else g, state, lr)


class ScheduleFreeAdamW(ScheduleFree):
    """Schedule-free AdamW."""

    name = "schedule_free_adamw"
    summary = "AdamW at a constant rate, evaluated at an average of its weights, in place of momentum and a schedule."
    formula = (
        "y = (1-β₁)z + β₁x;  s ← β₂s + (1-β₂)g²;  z ← z - η (g / (√ŝ + ε) + decay y);  x ← (1-c)x + cz, c = η²/Ση²"
    )
    advice = (
        "Use 1 to 10 times the rate of AdamW with a schedule, and --warmup. Refuses schedules. Batch norm's statistics "
        "are measured anew for x. Decays every parameter; decay_exempt=on only weights."
    )
    remembers = ("square",)
    beta1: float = hyperparameter(0.9, "share β₁ of the average in the trained weights", gt=0, lt=1)
    beta2: float = hyperparameter(0.999, "decay rate of the mean square", ge=0, lt=1)
    eps: float = hyperparameter(1e-8, "smoothing term ε", gt=0)

    @property
    def beta(self) -> float:
        return self.beta1

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: StepNumber) -> None:
        s = state["square"].mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
        step = g / s.div(1 - self.beta2**t).sqrt_().add_(self.eps)
        self.move(p, step.add_(p, alpha=self.decay) if self.decay else step, state, lr)
