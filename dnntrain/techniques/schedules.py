"""Learning-rate schedules: pure functions of the iteration and of the validation losses so far.

A schedule returns a factor on the run's `lr`. Members of one population may follow different schedules, because the
training loop only sees each member's rate at each step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import AfterValidator, model_validator

from dnntrain.techniques.base import Choice, Length, RunExtent, Switch, iterations, read_length
from dnntrain.utils.fields import format_value, hyperparameter


@dataclass(frozen=True)
class ScheduleContext:
    """What a schedule depends on."""

    steps_per_epoch: int
    total_steps: int
    val_losses: Sequence[float] = field(default_factory=tuple)


class Schedule(Choice):
    """The factor on the learning rate at each iteration."""

    family = "Learning-rate schedule"
    in_graph = False
    slot = "schedule"

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        """The factors on the learning rate.

        Args:
            t: iterations (0-based), float64 of any shape.
            context: the lengths of epoch and run, and the validation losses so far.

        Returns:
            One factor per iteration, same shape as t.
        """
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


class Power(Schedule):
    """Power scheduling, the lecture's eq. 1."""

    name = "power"
    summary = "Drops quickly at first, then more and more slowly: to 1/2 after s steps, 1/3 after 2 s, …"
    paper = "Géron, Hands-On Machine Learning, ch. 11; Bottou 2012, Stochastic Gradient Descent Tricks"
    formula = "η(t) = η₀ / (1 + t/s)^c"
    advice = "Robust; use an s of a few epochs. Keras's `decay` is 1/s with c = 1."
    s: Length = hyperparameter("10000", "time until the rate has halved (for c = 1)", unit="iterations, or 20ep")
    c: float = hyperparameter(1.0, "exponent", gt=0)

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        return (1.0 + t / iterations(self.s, context.steps_per_epoch)) ** -self.c


class Exponential(Schedule):
    """Exponential scheduling, the lecture's eq. 2."""

    name = "exponential"
    summary = "Falls by the same factor every s steps."
    paper = "Senior et al. 2013, An Empirical Study of Learning Rates in Deep Neural Networks for Speech Recognition"
    formula = "η(t) = η₀ · base^(t/s)"
    advice = "Choose s close to the length of the run; if it is much shorter, the rate vanishes too early."
    s: Length = hyperparameter("20ep", "time in which the rate falls by `base`", unit="iterations, or 20ep")
    base: float = hyperparameter(0.1, "factor after s", gt=0, lt=1)

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        return self.base ** (t / iterations(self.s, context.steps_per_epoch))


def at_the_end(schedule: Schedule, first: str, run: RunExtent) -> str | None:
    """A message if the schedule's first change, after the length `first`, comes after the end of the run; else None."""
    if iterations(first, run.steps_per_epoch) < run.epochs * run.steps_per_epoch:
        return None
    return f"schedule {schedule}: constant in effect, as the {run.epochs} epochs of the run end before its first change"


def read_list(text: object, item: str) -> list[str]:
    """`5ep/15ep` → ['5ep', '15ep']."""
    parts = [part.strip() for part in str(text).split("/")]
    if not all(parts):
        raise ValueError(f"{text!r} is not a list of {item} like a/b/c")
    return parts


def read_lengths(text: object) -> str:
    """Several lengths in canonical form."""
    return "/".join(read_length(part) for part in read_list(text, "lengths"))


def read_factors(text: object) -> str:
    """Several factors in canonical form."""
    factors = [float(part) for part in read_list(text, "factors")]
    if not all(math.isfinite(factor) and factor >= 0 for factor in factors):
        raise ValueError(f"{text!r}: factors are finite and not negative")
    return "/".join(format_value(factor) for factor in factors)


class Piecewise(Schedule):
    """Piecewise constant scheduling."""

    name = "piecewise"
    summary = "A constant rate until a given time, then another, and so on."
    paper = "Géron, Hands-On Machine Learning, ch. 11"
    formula = "η(t) = η₀ · factors[i] for at[i-1] ≤ t < at[i]"
    advice = "Strong when the times are tuned, but they rarely transfer to another problem."
    at: Annotated[str, AfterValidator(read_lengths)] = hyperparameter("5ep/15ep", "times of the changes", unit="a/b/…")
    factors: Annotated[str, AfterValidator(read_factors)] = hyperparameter("1/0.5/0.1", "factors, one more than times")

    @model_validator(mode="after")
    def check(self) -> Piecewise:
        """Check that there is one more factor than times, and that the times rise."""
        times, factors = self.at.count("/") + 1, self.factors.count("/") + 1
        if factors != times + 1:
            raise ValueError(f"{times} times need {times + 1} factors, not {factors}")
        for unit in ("ep", ""):
            same = [iterations(part, 1) for part in self.at.split("/") if part.endswith("ep") == bool(unit)]
            if same != sorted(set(same)):
                raise ValueError(f"the times {self.at} must rise")
        return self

    def idle(self, run: RunExtent) -> str | None:
        return at_the_end(self, min(self.at.split("/"), key=lambda at: iterations(at, run.steps_per_epoch)), run)

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        times = sorted(iterations(part, context.steps_per_epoch) for part in self.at.split("/"))
        factors = np.array([float(part) for part in self.factors.split("/")])
        return factors[np.searchsorted(times, t, side="right")]


class Step(Schedule):
    """Step decay."""

    name = "step"
    summary = "Multiplies the rate by a factor every `every` steps."
    paper = "He et al. 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385"
    formula = "η(t) = η₀ · factor^⌊t/every⌋"
    advice = "Exponential scheduling in steps; torch's StepLR."
    every: Length = hyperparameter("10ep", "time between drops", unit="iterations, or 20ep")
    # named as in torch; Keras calls it the drop factor
    gamma: float = hyperparameter(0.1, "factor at each drop", gt=0, lt=1)

    def idle(self, run: RunExtent) -> str | None:
        return at_the_end(self, self.every, run)

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        return self.gamma ** np.floor(t / iterations(self.every, context.steps_per_epoch))


class Cosine(Schedule):
    """Cosine annealing over the whole run."""

    name = "cosine"
    summary = "Follows half a cosine wave from the full rate down to `final` at the end of the run."
    paper = "Loshchilov & Hutter 2017, SGDR, arXiv:1608.03983"
    formula = "η(t) = η₀ (final + (1 - final)(1 + cos(π t/T)) / 2)"
    advice = "A strong default when the length of the run is known."
    final: float = hyperparameter(0.0, "fraction of the rate that is left at the end", ge=0, lt=1)

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        return self.final + (1 - self.final) * (1 + np.cos(np.pi * np.minimum(t / context.total_steps, 1))) / 2


class OneCycle(Schedule):
    """1cycle, as in Géron's OneCycleScheduler."""

    name = "1cycle"
    aliases: ClassVar = {"onecycle": {}}
    summary = "Rises linearly to `lr` by mid-run, falls back, then drops to almost zero in the last tenth."
    paper = "Smith 2018, A disciplined approach to neural network hyper-parameters, arXiv:1803.09820"
    formula = "start → 1 over the first 45 %, 1 → start over the next 45 %, start → start/1000 over the last 10 %"
    advice = "`lr` is the maximum rate here, and can be several times a good constant rate."
    start: float = hyperparameter(0.1, "fraction of the maximum rate at the start", gt=0, lt=1)
    last: float = hyperparameter(0.1, "fraction of the run spent near zero at the end", gt=0, lt=1)

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        half = (1 - self.last) / 2
        knots = [0.0, half, 2 * half, 1.0]
        return np.interp(t / context.total_steps, knots, [self.start, 1.0, self.start, self.start / 1000])


class Performance(Schedule):
    """Performance scheduling, as in Keras's ReduceLROnPlateau."""

    name = "performance"
    aliases: ClassVar = {"plateau": {}}
    summary = "Multiplies the rate by λ whenever the validation loss has not improved for some epochs."
    paper = "Géron, Hands-On Machine Learning, ch. 11; Keras, ReduceLROnPlateau"
    formula = "η ← λ η after `patience` epochs without val_loss < best - min_delta"
    advice = "Needs no length in advance. In a run shorter than a few times `patience` it never fires."
    factor: float = hyperparameter(0.1, "factor λ at each drop", gt=0, lt=1)
    patience: int = hyperparameter(5, "epochs without improvement before a drop", ge=1, unit="epochs")
    min_delta: float = hyperparameter(1e-4, "smallest fall of the validation loss that counts", ge=0)

    def idle(self, run: RunExtent) -> str | None:
        # the first epoch always counts as an improvement, and a drop after the last epoch has no effect
        return at_the_end(self, f"{self.patience + 1}ep", run)

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        return np.full_like(t, self.factor ** self.drops(context.val_losses))

    def drops(self, val_losses: Sequence[float]) -> int:
        """How often the rate has been lowered after these epochs, by Keras's rule (when wait reaches patience)."""
        best, wait, drops = math.inf, 0, 0
        for loss in val_losses:
            if loss < best - self.min_delta:
                best, wait = loss, 0
            else:
                wait += 1
                if wait >= self.patience:
                    drops, wait = drops + 1, 0
        return drops


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
        context: the lengths of epoch and run, and the validation losses so far.

    Returns:
        float64 (steps_per_epoch,).
    """
    t = epoch * context.steps_per_epoch + np.arange(context.steps_per_epoch, dtype=np.float64)
    if warmup is None:
        return lr * schedule.multiplier(t, context)
    w = min(iterations(warmup.length, context.steps_per_epoch), context.total_steps)
    after = ScheduleContext(context.steps_per_epoch, max(1, math.ceil(context.total_steps - w)), context.val_losses)
    scheduled = schedule.multiplier(np.maximum(t - w, 0.0), after)
    return lr * np.where(t < w, np.minimum((t + 1) / w, 1.0), scheduled)
