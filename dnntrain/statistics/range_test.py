"""The losses of a learning-rate range test, and the rates that they suggest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real

import numpy as np

from dnntrain.errors import InputError

DIVERGENCE_FACTOR = 4.0
"""A loss this many times the lowest one, and above the first one, has diverged."""
RECENT = 5
"""Steps whose mean loss says whether a run has diverged."""
SMOOTHING = 0.04
"""Half the width of the smoothing window, as a share of all steps."""

RULES = {
    "third": "a third of the rate at which the smoothed loss is least",
    "tenth": "a tenth of that rate",
    "steepest": "the rate at which the smoothed loss falls fastest",
}
"""What is suggested, by the name of the rule; the first one is the suggestion, the others are alternatives.

In 8 settings (MLPs and a CNN; SGD, momentum, Adam, RMSprop, batch norm; 4 epochs of Fashion-MNIST), a third lost 0 to
3.5 points of validation accuracy against the best rate of a grid, 1 in the mean; a tenth 0 to 10, 3 in the mean; the
steepest 0 to 6, 2 in the mean.
"""


@dataclass(frozen=True)
class RateRange:
    """The learning rates that are tried, one a step and at equal ratios.

    Raises:
        InputError: If the rates do not grow, or the steps are too few or too many.
    """

    low: float = 1e-6
    high: float = 10.0
    steps: int = 200

    def __post_init__(self) -> None:
        for name, value, kind in (("from", self.low, Real), ("to", self.high, Real), ("steps", self.steps, Integral)):
            if not isinstance(value, kind):
                raise InputError(f"{name} {value!r}: must be a {'number' if kind is Real else 'whole number'}")
        if not 0 < self.low < self.high <= 1e6:
            raise InputError(f"from {self.low:g} to {self.high:g}: must be rates that grow, above 0 and at most 1e6")
        if not 20 <= self.steps <= 100_000:
            raise InputError(f"steps {self.steps}: must be from 20 to 100000")

    def rates(self) -> np.ndarray:
        """The rate of each step, float64 (steps,)."""
        return np.geomspace(self.low, self.high, self.steps)


@dataclass(frozen=True)
class Suggestion:
    """A suggested learning rate."""

    rate: float
    """The geometric mean over the seeds; nan if no seed suggests one."""
    low: float
    """The lowest of any seed."""
    high: float


@dataclass(frozen=True)
class RangeTest:
    """The losses of several seeds while the rate grew."""

    tried: RateRange
    seeds: tuple[int, ...]
    losses: np.ndarray
    """The mean loss of each step's mini-batch, (steps, seeds); fewer steps than rates if all seeds diverged."""

    @property
    def rates(self) -> np.ndarray:
        """The rate of each step, (steps,)."""
        return self.tried.rates()[: len(self.losses)]

    @cached_property
    def curves(self) -> np.ndarray:
        """Each seed's smoothed losses, (steps, seeds); nan from the step on at which it diverged."""
        curves = np.full(self.losses.shape, np.nan)
        for curve, losses in zip(curves.T, self.losses.T, strict=True):
            end = diverged_at(losses)
            if end:
                curve[:end] = smoothed(losses[:end], self.tried.steps)
        return curves

    @property
    def band(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The lowest, mean and highest smoothed loss of the seeds that have not diverged, each (steps,)."""
        alive = ~np.isnan(self.curves)
        total = np.where(alive, self.curves, 0).sum(axis=1)
        mean = np.divide(total, alive.sum(axis=1), out=np.full(len(total), np.nan), where=alive.any(axis=1))
        low, high = (np.where(alive, self.curves, end) for end in (np.inf, -np.inf))
        return np.fmin(low.min(axis=1), mean), mean, np.fmax(high.max(axis=1), mean)

    @cached_property
    def suggestions(self) -> dict[str, Suggestion]:
        """What each of the `RULES` suggests."""
        by_seed = [suggested(self.rates, curve) for curve in self.curves.T]
        found = {}
        for rule in RULES:
            rates = [each[rule] for each in by_seed if each]
            mean = math.exp(math.fsum(map(math.log, rates)) / len(rates)) if rates else math.nan
            found[rule] = Suggestion(mean, min(rates, default=math.nan), max(rates, default=math.nan))
        return found

    @property
    def falls_to_the_end(self) -> bool:
        """Whether some seed's loss is least at the highest rate, so that higher ones may be better."""
        ends = self.curves[-1] if len(self.losses) == self.tried.steps else np.full(len(self.seeds), np.nan)
        return bool(np.any(ends <= lowest(self.curves)))


def lowest(curves: np.ndarray) -> np.ndarray:
    """The lowest value of each column; infinity where there is none."""
    least: np.ndarray = np.where(np.isnan(curves), np.inf, curves).min(axis=0)
    return least


def diverged_at(losses: np.ndarray) -> int:
    """The number of steps before a run diverged; all of them if it did not.

    Args:
        losses: The loss of each step, (steps,).
    """
    finite = np.isfinite(losses)
    end = len(losses) if finite.all() else int(np.argmin(finite))
    if end <= RECENT:
        return end
    recent = np.convolve(losses[:end], np.full(RECENT, 1 / RECENT), mode="valid")
    best = np.minimum(losses[0], np.minimum.accumulate(recent))
    beyond = recent > np.maximum(losses[0], DIVERGENCE_FACTOR * best)
    return int(np.argmax(beyond)) + RECENT - 1 if beyond.any() else end


def smoothed(losses: np.ndarray, steps: int) -> np.ndarray:
    """A centered mean with triangular weights. Unlike a running mean, it does not shift the curve to higher rates.

    Args:
        losses: The loss of each step before the run diverged.
        steps: The steps of the whole test, which decide the width of the window.
    """
    half = min(max(1, round(SMOOTHING * steps)), len(losses) - 1)
    weights = np.bartlett(2 * half + 3)[1:-1]
    padded, ones = (np.pad(values, half) for values in (losses, np.ones_like(losses)))
    curve: np.ndarray = np.convolve(padded, weights, mode="valid") / np.convolve(ones, weights, mode="valid")
    return curve


def suggested(rates: np.ndarray, curve: np.ndarray) -> dict[str, float]:
    """What each of the `RULES` suggests by one seed's smoothed losses, (steps,); empty if they never fall."""
    curve = curve[np.isfinite(curve)]
    least = int(np.argmin(curve)) if curve.size else 0
    if least == 0:
        return {}
    steepest = int(np.argmin(np.diff(curve[: least + 1])))
    return {
        "third": float(rates[least]) / 3,
        "tenth": float(rates[least]) / 10,
        "steepest": float(np.sqrt(rates[steepest] * rates[steepest + 1])),
    }
