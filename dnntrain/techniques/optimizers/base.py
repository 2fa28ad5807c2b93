"""What all optimizers share: their state, their step, and how they treat each parameter of a network.

A step updates all P members in place, in a few elementwise operations without waiting for the device. Every rule is
that of its reference implementation, term for term; a test compares each with it, member by member.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar, Self, Union

from pydantic import model_validator

from dnntrain.nn.gradients import FactoredGradient, densify
from dnntrain.nn.layer_spec import ParameterRole
from dnntrain.techniques.base import Choice, Switch
from dnntrain.techniques.schedules.base import Schedule
from dnntrain.utils.fields import hyperparameter
from dnntrain.utils.lazy import torch

State = dict[str, "torch.Tensor"]
"""An optimizer's state for one parameter tensor; every entry has the leading axis P."""

StepNumber = Union[int, "torch.Tensor"]
"""The number of a step, from 1. In a CUDA graph, which runs the same kernels at every step, it is a float64 tensor
without axes, so that a rule must not branch on it."""


def square_root(x: float | torch.Tensor) -> float | torch.Tensor:
    """√x of a number or a tensor."""
    return x.sqrt() if isinstance(x, torch.Tensor) else math.sqrt(x)


class Optimizer(Choice):
    """Moves parameters against their gradients."""

    family = "Optimizer"
    slot = "optimizer"
    remembers: ClassVar[tuple[str, ...]] = ()
    """Names of its running averages, each shaped like the parameter and starting at zero."""
    averages: ClassVar[bool] = False
    """Whether the network is evaluated at other weights than those it is trained at: see `evaluated`."""

    @property
    def cycled(self) -> str | None:
        """The hyperparameter that a schedule can cycle against the learning rate; None if there is none."""
        return None

    def for_parameter(self, role: ParameterRole) -> Optimizer:
        """The optimizer of one parameter: this one, or another one for parameters that it does not suit."""
        return self

    def own_lr(self, role: ParameterRole) -> float | None:
        """The parameter's own learning rate, which the schedule scales; None if it is the run's."""
        return None

    def misfit(self, roles: Iterable[ParameterRole]) -> str | None:
        """Why a network with these parameters has nothing for it to train, starting with the key; None if it has."""
        return None

    def conflict(self, schedule: Schedule, switches: Iterable[Switch]) -> str | None:
        """Why it cannot work with this schedule or one of these switches, starting with the key; None if it can."""
        if schedule.cycles_momentum and self.cycled is None:
            return f"schedule {schedule}: {self} has no momentum to cycle; sgd:momentum=0.9, adam, and adamw have one"
        return None

    def with_momentum(self, momentum: torch.Tensor) -> Self:
        """This optimizer with the values of a cycled momentum at one step, (P, 1, …), in place of its own."""
        assert self.cycled is not None
        return self.model_copy(update={self.cycled: momentum})

    def state(self, p: torch.Tensor) -> State:
        """The state before the first step for a parameter p (P, …)."""
        return {name: torch.zeros_like(p) for name in self.remembers}

    def update(
        self, p: torch.Tensor, g: torch.Tensor | FactoredGradient, state: State, lr: torch.Tensor, t: StepNumber
    ) -> None:
        """As `step`, for a gradient that may still be a product of two factors."""
        self.step(p, densify(g), state, lr, t)

    def step(self, p: torch.Tensor, g: torch.Tensor, state: State, lr: torch.Tensor, t: StepNumber) -> None:
        """Updates the parameter in place.

        Args:
            p: the parameter (P, …).
            g: its gradient, same shape.
            state: what `state` returned, updated in place.
            lr: the learning rates (P, 1, …), broadcast over p.
            t: the number of this step, from 1.
        """
        raise NotImplementedError

    def evaluated(self, p: torch.Tensor, state: State) -> torch.Tensor:
        """The weights to evaluate the network at, for a parameter p (P, …) and its state."""
        return p


class DecayingOptimizer(Optimizer):
    """An optimizer with a weight decay of its own."""

    decay: float = hyperparameter(0.0, "weight decay", ge=0)
    decay_exempt: bool = hyperparameter(False, "decay weights only, and leave biases, norms, and embeddings alone")

    @model_validator(mode="after")
    def check_decay(self) -> Self:
        """Nothing can be exempt from no decay."""
        if self.decay_exempt and not self.decay:
            raise ValueError("decay_exempt needs a decay above 0")
        return self

    def for_parameter(self, role: ParameterRole) -> Optimizer:
        exempt = self.decay_exempt and role.output_axis is None
        return self.model_copy(update={"decay": 0.0}) if exempt else self
