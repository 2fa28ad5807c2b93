"""Schedules that stay constant for a while and then drop, at given times or by a validation metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import AfterValidator, model_validator

from dnntrain.metrics import VAL_LOSS, metric_of
from dnntrain.techniques.base import Length, RunExtent, iterations, read_length
from dnntrain.techniques.early_stopping import check_watched, metric_fault
from dnntrain.techniques.schedules.base import Schedule, ScheduleContext, scaled_length
from dnntrain.utils.fields import format_value, hyperparameter


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

    @property
    def time_scale(self) -> str:
        *_, last = sorted(self.at.split("/"), key=lambda at: (at.endswith("ep"), iterations(at, 1)))
        return scaled_length(last, 0.25)

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

    @property
    def time_scale(self) -> str:
        return self.every

    def idle(self, run: RunExtent) -> str | None:
        return at_the_end(self, self.every, run)

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        return self.gamma ** np.floor(t / iterations(self.every, context.steps_per_epoch))


class Performance(Schedule):
    """Performance scheduling, as in Keras's ReduceLROnPlateau."""

    name = "performance"
    aliases: ClassVar = {"plateau": {}}
    summary = "Multiplies the rate by λ whenever a validation metric has not improved for some epochs."
    paper = "Géron, Hands-On Machine Learning, ch. 11; Keras, ReduceLROnPlateau"
    formula = "η ← λ η after `patience` epochs in which the metric is not better than its best by more than min_delta"
    advice = "Needs no length in advance. In a run shorter than a few times `patience` it never fires."
    factor: float = hyperparameter(0.1, "factor λ at each drop", gt=0, lt=1)
    patience: int = hyperparameter(5, "epochs without improvement before a drop", ge=1, unit="epochs")
    min_delta: float = hyperparameter(1e-4, "smallest change of the metric that counts as an improvement", ge=0)
    metric: Annotated[str, AfterValidator(check_watched)] = hyperparameter(
        VAL_LOSS, "the validation metric to watch, such as val_acc"
    )

    @property
    def watched_metric(self) -> str:
        return self.metric

    @property
    def time_scale(self) -> str:
        return f"{self.patience}ep"

    def fault(self, run: RunExtent) -> str | None:
        return metric_fault(f"schedule {self}", self.metric, run.task)

    def idle(self, run: RunExtent) -> str | None:
        # the first epoch always counts as an improvement, and a drop after the last epoch has no effect
        return at_the_end(self, f"{self.patience + 1}ep", run)

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        return np.full_like(t, self.factor ** self.drops(context.watched))

    def drops(self, values: Sequence[float]) -> int:
        """How often the rate has been lowered after these epochs, by Keras's rule (when wait reaches patience).

        Args:
            values: The watched metric after each epoch.
        """
        sign = -1.0 if metric_of(self.metric).higher_is_better else 1.0
        best, wait, drops = math.inf, 0, 0
        for value in values:
            if sign * value < best - self.min_delta:
                best, wait = sign * value, 0
            else:
                wait += 1
                if wait >= self.patience:
                    drops, wait = drops + 1, 0
        return drops
