"""Schedules that rise and fall: one cycle, or many."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import AfterValidator

from dnntrain.techniques.base import Length, iterations
from dnntrain.techniques.schedules.base import Schedule, ScheduleContext, scaled_length
from dnntrain.utils.fields import format_value, hyperparameter


def read_momenta(text: str) -> str:
    """The range of a cycled momentum in canonical form: `0.85/0.95`, or off."""
    if text == "off":
        return text
    try:
        low, high = (float(part) for part in text.split("/"))
    except ValueError:
        raise ValueError(f"{text!r} is not a range like 0.85/0.95, or off") from None
    if not 0 <= low < high < 1:
        raise ValueError(f"{text!r}: the momenta rise, and are at least 0 and below 1")
    return f"{format_value(low)}/{format_value(high)}"


class OneCycle(Schedule):
    """1cycle, as in Géron's OneCycleScheduler."""

    name = "1cycle"
    aliases: ClassVar = {"onecycle": {}}
    summary = "Rises linearly to `lr` by mid-run, falls back, then drops to almost zero in the last tenth."
    paper = "Smith 2018, A disciplined approach to neural network hyper-parameters, arXiv:1803.09820"
    formula = "start → 1 over the first 45 %, 1 → start over the next 45 %, start → start/1000 over the last 10 %"
    advice = (
        "`lr` is the maximum rate here, and can be several times a good constant rate. In the paper the momentum falls "
        "while the rate rises: momenta=0.85/0.95 does so, in place of sgd's momentum or adam's beta1."
    )
    start: float = hyperparameter(0.1, "fraction of the maximum rate at the start", gt=0, lt=1)
    last: float = hyperparameter(0.1, "fraction of the run spent near zero at the end", gt=0, lt=1)
    momenta: Annotated[str, AfterValidator(read_momenta)] = hyperparameter(
        "off", "smallest and largest momentum, 0.85/0.95 in the paper; off leaves the optimizer's alone"
    )

    @property
    def cycles_momentum(self) -> bool:
        return self.momenta != "off"

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        half = (1 - self.last) / 2
        knots = [0.0, half, 2 * half, 1.0]
        return np.interp(t / context.total_steps, knots, [self.start, 1.0, self.start, self.start / 1000])

    def momentum(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        low, high = map(float, self.momenta.split("/"))
        half = (1 - self.last) / 2
        return np.interp(t / context.total_steps, [0.0, half, 2 * half, 1.0], [high, low, high, high])


class CosineRestarts(Schedule):
    """Cosine annealing with warm restarts."""

    name = "cosine_restarts"
    summary = "Falls along half a cosine wave to `final`, jumps back to the full rate, and falls again."
    paper = "Loshchilov & Hutter 2017, SGDR: Stochastic Gradient Descent with Warm Restarts, arXiv:1608.03983"
    formula = "η(t) = η₀ (final + (1 - final)(1 + cos(π u/Tᵢ)) / 2), u since the last restart;  Tᵢ₊₁ = growth Tᵢ"
    advice = "Let the run end with a cycle: period 10ep and growth 2 end after 10, 30, 70 epochs. Good for snapshots."
    period: Length = hyperparameter("10ep", "length of the first cycle", unit="iterations, or 20ep")
    growth: int = hyperparameter(1, "how many times as long each cycle is as the one before", ge=1, le=100)
    final: float = hyperparameter(0.0, "fraction of the rate that is left at the end of a cycle", ge=0, lt=1)

    @property
    def time_scale(self) -> str:
        return scaled_length(self.period, 0.25)

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        # 0.55 epochs of 100 steps are just above 55 in floating point, which would put off the restart by a step
        t, length = t.round(6), round(iterations(self.period, context.steps_per_epoch), 6)
        if self.growth == 1:
            u = t % length / length
        else:
            starts, lengths = [0.0], [length]
            while starts[-1] + lengths[-1] <= t.max(initial=0):
                starts.append(starts[-1] + lengths[-1])
                lengths.append(lengths[-1] * self.growth)
            cycle = np.searchsorted(starts, t, side="right") - 1
            u = (t - np.array(starts)[cycle]) / np.array(lengths)[cycle]
        return self.final + (1 - self.final) * (1 + np.cos(np.pi * u)) / 2


class Cyclic(Schedule):
    """Triangular cycles."""

    name = "cyclic"
    summary = "Rises and falls in straight lines between `low` and the full rate, again and again."
    paper = "Smith 2017, Cyclical Learning Rates for Training Neural Networks, arXiv:1506.01186"
    formula = "η(t) = η₀ (low + (1 - low) shrink^i (1 - |u/half - 1|)), u since the start of cycle i"
    advice = "A half cycle of 2 to 10 epochs; stop at the end of a cycle. shrink 0.5 is the paper's triangular2."
    half: Length = hyperparameter("2ep", "length of half a cycle", unit="iterations, or 20ep")
    low: float = hyperparameter(0.1, "fraction of the rate between the cycles", ge=0, lt=1)
    shrink: float = hyperparameter(1.0, "factor on the height of each cycle after the last", gt=0, le=1)

    @property
    def time_scale(self) -> str:
        return self.half

    def multiplier(self, t: np.ndarray, context: ScheduleContext) -> np.ndarray:
        halves = t / iterations(self.half, context.steps_per_epoch)
        height: np.ndarray = self.shrink ** np.floor(halves / 2) * (1 - np.abs(halves % 2 - 1))
        return self.low + (1 - self.low) * height
