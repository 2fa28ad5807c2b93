"""Learning-rate schedules: pure functions of the iteration and of one validation metric so far.

A schedule returns a factor on the run's `lr`, and may set the optimizer's momentum. Members of one population may
follow different schedules, because the training loop only sees each member's rate at each step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dnntrain.metrics import VAL_LOSS
from dnntrain.techniques.base import Choice, Length, RunExtent, Switch, iterations
from dnntrain.utils.fields import format_value, hyperparameter


@dataclass(frozen=True)
class ScheduleContext:
    """What a schedule depends on."""

    steps_per_epoch: int
    total_steps: int
    watched: Sequence[float] = field(default_factory=tuple)
    """The values so far of the metric that the schedule watches, one per epoch."""


class Schedule(Choice):
    """The factor on the learning rate at each iteration."""

    family = "Learning-rate schedule"
    in_graph = False
    slot = "schedule"

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        """The factors on the learning rate.

        Args:
            t: iterations (0-based), float64 of any shape.
            context: the lengths of epoch and run, and the watched metric so far.

        Returns:
            One factor per iteration, same shape as t.
        """
        raise NotImplementedError

    @property
    def watched_metric(self) -> str:
        """The validation metric that it may react to."""
        return VAL_LOSS

    @property
    def time_scale(self) -> str:
        """The length in whose multiples its rate is best read; empty if that is the length of the run."""
        return ""

    @property
    def cycles_momentum(self) -> bool:
        """Whether it sets the optimizer's momentum too, at every step."""
        return False

    def momentum(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        """The optimizer's momentum at each iteration, if the schedule cycles it; arguments as of `multiplier`."""
        raise NotImplementedError


class Constant(Schedule):
    """No change."""

    name = "constant"
    summary = "The same rate from the first step to the last."
    paper = "Robbins & Monro 1951, A Stochastic Approximation Method, show why to decay it instead"
    formula = "η(t) = η₀"
    advice = "The baseline. A good constant rate is about half the largest one that does not diverge."

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        return np.ones_like(t)


class Warmup(Switch):
    """Linear warm-up before the schedule."""

    family = "Learning-rate schedule"
    in_graph = False
    name = "warmup"
    primary = "length"
    summary = "Raises the rate linearly from almost zero; the schedule starts after it."
    paper = "Goyal et al. 2017, Accurate, Large Minibatch SGD, arXiv:1706.02677"
    formula = "η(t) = η₀ (t + 1)/w for t < w, then the schedule at t - w"
    advice = "Helps large batches and adaptive optimizers through the first, noisy steps."
    length: Length = hyperparameter("1ep", "length w of the warm-up", unit="iterations, or 20ep")

    def fault(self, run: RunExtent) -> str | None:
        if iterations(self.length, run.steps_per_epoch) <= run.epochs * run.steps_per_epoch:
            return None
        steps = f"{run.epochs} epochs of {run.steps_per_epoch} iterations"
        return f"warmup {self.length}: longer than the run, {steps}"


def learning_rates(
    lr: float, schedule: Schedule, warmup: Warmup | None, epoch: int, context: ScheduleContext
) -> np.ndarray:
    """The learning rate at each iteration of an epoch.

    Args:
        lr: the run's learning rate, which the schedule multiplies.
        schedule: the schedule, which starts after the warm-up.
        warmup: the warm-up, if any.
        epoch: the epoch, from 0.
        context: the lengths of epoch and run, and the watched metric so far.

    Returns:
        float64 (steps_per_epoch,).
    """
    t = epoch_iterations(epoch, context)
    if warmup is None:
        return lr * schedule.multiplier(t, context)
    w, after = after_warmup(warmup, context)
    scheduled = schedule.multiplier(np.maximum(t - w, 0.0), after)
    return lr * np.where(t < w, np.minimum((t + 1) / w, 1.0), scheduled)


def momenta(schedule: Schedule, warmup: Warmup | None, epoch: int, context: ScheduleContext) -> np.ndarray:
    """The cycled momentum at each iteration of an epoch, float64 (steps_per_epoch,); arguments as of `learning_rates`.

    During the warm-up it has the value with which the schedule starts.
    """
    w, after = after_warmup(warmup, context) if warmup else (0.0, context)
    return schedule.momentum(np.maximum(epoch_iterations(epoch, context) - w, 0.0), after)


def epoch_iterations(epoch: int, context: ScheduleContext) -> np.ndarray:
    """The numbers of an epoch's iterations, float64 (steps_per_epoch,); epoch and iterations count from 0."""
    return epoch * context.steps_per_epoch + np.arange(context.steps_per_epoch, dtype=np.float64)


def scaled_length(length: str, factor: float) -> str:
    """The length times a factor: `2.5ep` for `10ep` and 0.25."""
    return f"{format_value(factor * iterations(length, 1))}{'ep' if length.endswith('ep') else ''}"


def after_warmup(warmup: Warmup, context: ScheduleContext) -> tuple[float, ScheduleContext]:
    """The length of the warm-up in iterations, and the context of the schedule that follows it."""
    w = min(iterations(warmup.length, context.steps_per_epoch), context.total_steps)
    rest = max(1, math.ceil(context.total_steps - w))
    return w, ScheduleContext(context.steps_per_epoch, rest, context.watched)
