"""Learning-rate schedules: pure functions of the iteration, and of the validation losses so far.

A schedule gives the factor on the run's `lr`; members of one population may follow different schedules, since all
that the loop sees is the rate of each member at each step.
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
    """What a schedule may know: the epoch's length, the run's length, the validation losses of the epochs so far."""

    steps_per_epoch: int
    total_steps: int
    val_losses: Sequence[float] = field(default_factory=tuple)


class Schedule(Choice):
    """The factor on the learning rate at each iteration."""

    family = "Learning-rate schedule"
    in_graph = False
    slot = "schedule"

    def multiplier(self, t: np.ndarray, clock: ScheduleContext) -> np.ndarray:
        """Factors for the iterations t (0-based, float64, any shape); same shape."""
        raise NotImplementedError


class Constant(Schedule):
    """No change."""

    name = "constant"
    summary = "The same rate from the first step to the last."
    paper = "Robbins & Monro 1951 give the reason not to: convergence needs a falling rate"
    formula = "η(t) = η₀"
    advice = "The baseline. A good constant rate is about half of the largest that does not diverge."

    def multiplier(self, t: np.ndarray, clock: ScheduleContext) -> np.ndarray:
        return np.ones_like(t)


class Power(Schedule):
    """Power scheduling, the lecture's eq. 1."""

    name = "power"
    summary = "Drops quickly at first, then ever more slowly: half after s steps, a third after 2 s, …"
    paper = "Géron, Hands-On Machine Learning, ch. 11; Bottou 2012, Stochastic Gradient Descent Tricks"
    formula = "η(t) = η₀ / (1 + t/s)^c"
    advice = "Robust; s of some epochs. Keras's `decay` is 1/s with c = 1."
    s: Length = hyperparameter("10000", "time until the rate is half (for c = 1)", unit="iterations, or 20ep")
    c: float = hyperparameter(1.0, "exponent", gt=0)

    def multiplier(self, t: np.ndarray, clock: ScheduleContext) -> np.ndarray:
        return (1.0 + t / iterations(self.s, clock.steps_per_epoch)) ** -self.c


class Exponential(Schedule):
    """Exponential scheduling, the lecture's eq. 2."""

    name = "exponential"
    summary = "Falls by the same factor every s steps, without end."
    paper = "Senior et al. 2013, An Empirical Study of Learning Rates in Deep Neural Networks for Speech Recognition"
    formula = "η(t) = η₀ · base^(t/s)"
    advice = "Choose s near the length of the run: a few times shorter and training stops before it has learned."
    s: Length = hyperparameter("20ep", "time in which the rate falls by `base`", unit="iterations, or 20ep")
    base: float = hyperparameter(0.1, "factor after s", gt=0, lt=1)

    def multiplier(self, t: np.ndarray, clock: ScheduleContext) -> np.ndarray:
        return self.base ** (t / iterations(self.s, clock.steps_per_epoch))


def at_the_end(schedule: Schedule, first: str, run: RunExtent) -> str | None:
    """That a schedule's first change, which comes after `first`, is too late for a run; None where it is not."""
    if iterations(first, run.steps_per_epoch) < run.epochs * run.steps_per_epoch:
        return None
    return f"schedule {schedule}: constant in effect, as the {run.epochs} epochs of the run end before its first change"


def read_list(text: object, item: str) -> list[str]:
    """`5ep/15ep` → ['5ep', '15ep']."""
    parts = [part.strip() for part in str(text).split("/")]
    if not all(parts):
        raise ValueError(f"{text!r} is no list of {item} like a/b/c")
    return parts


def read_lengths(text: object) -> str:
    """Several lengths, in their canonical form."""
    return "/".join(read_length(part) for part in read_list(text, "lengths"))


def read_factors(text: object) -> str:
    """Several factors, in their canonical form."""
    factors = [float(part) for part in read_list(text, "factors")]
    if not all(math.isfinite(factor) and factor >= 0 for factor in factors):
        raise ValueError(f"{text!r}: factors are finite and not negative")
    return "/".join(format_value(factor) for factor in factors)


class Piecewise(Schedule):
    """Piecewise constant scheduling."""

    name = "piecewise"
    summary = "One constant rate until a given time, then another, …"
    paper = "Géron, Hands-On Machine Learning, ch. 11"
    formula = "η(t) = η₀ · factors[i] for at[i-1] ≤ t < at[i]"
    advice = "Strong when the times are tuned; they rarely carry over to another problem."
    at: Annotated[str, AfterValidator(read_lengths)] = hyperparameter("5ep/15ep", "times of the changes", unit="a/b/…")
    factors: Annotated[str, AfterValidator(read_factors)] = hyperparameter("1/0.5/0.1", "factors, one more than times")

    @model_validator(mode="after")
    def check(self) -> Piecewise:
        """One factor more than times."""
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

    def multiplier(self, t: np.ndarray, clock: ScheduleContext) -> np.ndarray:
        times = sorted(iterations(part, clock.steps_per_epoch) for part in self.at.split("/"))
        factors = np.array([float(part) for part in self.factors.split("/")])
        return factors[np.searchsorted(times, t, side="right")]


class Step(Schedule):
    """Step decay."""

    name = "step"
    summary = "Multiplies the rate by a factor every `every` steps."
    paper = "He et al. 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385"
    formula = "η(t) = η₀ · factor^⌊t/every⌋"
    advice = "The staircase form of exponential scheduling; torch's StepLR."
    every: Length = hyperparameter("10ep", "time between drops", unit="iterations, or 20ep")
    # named as people know it: torch's gamma, Keras's drop factor
    gamma: float = hyperparameter(0.1, "factor at each drop", gt=0, lt=1)

    def idle(self, run: RunExtent) -> str | None:
        return at_the_end(self, self.every, run)

    def multiplier(self, t: np.ndarray, clock: ScheduleContext) -> np.ndarray:
        return self.gamma ** np.floor(t / iterations(self.every, clock.steps_per_epoch))


class Cosine(Schedule):
    """Cosine annealing over the whole run."""

    name = "cosine"
    summary = "Follows half a cosine wave from the full rate to `final` at the end of the run."
    paper = "Loshchilov & Hutter 2017, SGDR, arXiv:1608.03983"
    formula = "η(t) = η₀ (final + (1 - final)(1 + cos(π t/T)) / 2)"
    advice = "A strong default when the length of the run is known."
    final: float = hyperparameter(0.0, "share of the rate that is left at the end", ge=0, lt=1)

    def multiplier(self, t: np.ndarray, clock: ScheduleContext) -> np.ndarray:
        return self.final + (1 - self.final) * (1 + np.cos(np.pi * np.minimum(t / clock.total_steps, 1))) / 2


class OneCycle(Schedule):
    """1cycle, as in Géron's OneCycleScheduler."""

    name = "1cycle"
    aliases: ClassVar = {"onecycle": {}}
    summary = "Rises linearly to `lr` by the middle of the run, falls back, then nearly to zero in the last tenth."
    paper = "Smith 2018, A disciplined approach to neural network hyper-parameters, arXiv:1803.09820"
    formula = "start → 1 over the first 45 %, 1 → start over the next 45 %, start → start/1000 over the last 10 %"
    advice = "`lr` is the largest rate here, and may be several times a good constant one."
    start: float = hyperparameter(0.1, "share of the largest rate at the start", gt=0, lt=1)
    last: float = hyperparameter(0.1, "share of the run spent at the end near zero", gt=0, lt=1)

    def multiplier(self, t: np.ndarray, clock: ScheduleContext) -> np.ndarray:
        half = (1 - self.last) / 2
        knots = [0.0, half, 2 * half, 1.0]
        return np.interp(t / clock.total_steps, knots, [self.start, 1.0, self.start, self.start / 1000])


class Performance(Schedule):
    """Performance scheduling, by Keras's ReduceLROnPlateau."""

    name = "performance"
    aliases: ClassVar = {"plateau": {}}
    summary = "Multiplies the rate by λ whenever the validation loss has not improved for some epochs."
    paper = "Géron, Hands-On Machine Learning, ch. 11; Keras, ReduceLROnPlateau"
    formula = "η ← λ η after `patience` epochs without val_loss < best - min_delta"
    advice = "Needs no length in advance. In runs shorter than a few patiences it never fires: constant in effect."
    factor: float = hyperparameter(0.1, "factor λ at each drop", gt=0, lt=1)
    patience: int = hyperparameter(5, "epochs without improvement before a drop", ge=1, unit="epochs")
    min_delta: float = hyperparameter(1e-4, "smallest fall of the validation loss that counts", ge=0)

    def idle(self, run: RunExtent) -> str | None:
        # the first epoch always improves on none, and a drop after the last one comes too late
        return at_the_end(self, f"{self.patience + 1}ep", run)

    def multiplier(self, t: np.ndarray, clock: ScheduleContext) -> np.ndarray:
        return np.full_like(t, self.factor ** self.drops(clock.val_losses))

    def drops(self, val_losses: Sequence[float]) -> int:
        """How often the rate has been lowered after these epochs (Keras's rule: when wait reaches patience)."""
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
    """Linear warm-up before any schedule."""

    family = "Learning-rate schedule"
    in_graph = False
    name = "warmup"
    primary = "length"
    summary = "Raises the rate linearly from near zero at the start; the schedule begins after it."
    paper = "Goyal et al. 2017, Accurate, Large Minibatch SGD, arXiv:1706.02677"
    formula = "η(t) = η₀ (t + 1)/w for t < w, then the schedule at t - w"
    advice = "Helps large batches and adaptive optimizers over the first, noisy steps."
    length: Length = hyperparameter("1ep", "length w of the warm-up", unit="iterations, or 20ep")

    def fault(self, run: RunExtent) -> str | None:
        if iterations(self.length, run.steps_per_epoch) <= run.epochs * run.steps_per_epoch:
            return None
        steps = f"{run.epochs} epochs of {run.steps_per_epoch} iterations"
        return f"warmup {self.length}: longer than the run, {steps}"


def learning_rates(
    lr: float, schedule: Schedule, warmup: Warmup | None, epoch: int, clock: ScheduleContext
) -> np.ndarray:
    """The run's learning rate at each iteration of the epoch (0-based), float64 (steps_per_epoch,)."""
    t = epoch * clock.steps_per_epoch + np.arange(clock.steps_per_epoch, dtype=np.float64)
    if warmup is None:
        return lr * schedule.multiplier(t, clock)
    w = min(iterations(warmup.length, clock.steps_per_epoch), clock.total_steps)
    after = ScheduleContext(clock.steps_per_epoch, max(1, math.ceil(clock.total_steps - w)), clock.val_losses)
    scheduled = schedule.multiplier(np.maximum(t - w, 0.0), after)
    return lr * np.where(t < w, np.minimum((t + 1) / w, 1.0), scheduled)
