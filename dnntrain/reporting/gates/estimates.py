"""Judges an estimate by its interval, and by the rules for few and lost runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from dnntrain.analysis.runs import ArmRuns
from dnntrain.reporting import formatting
from dnntrain.reporting.gates.grammar import bound_in_words
from dnntrain.reporting.gates.results import Finding, GateStatus, status_of
from dnntrain.statistics import FEWEST_SEEDS, POWER, Comparison, Interval, deviation, t_critical, t_interval
from dnntrain.statistics.distributions import detectable
from dnntrain.statistics.planning import MANY_SEEDS, seeds_needed


@dataclass(frozen=True)
class IntervalEstimate:
    """A mean or a difference of means, with its interval."""

    interval: Interval
    """Without values that are impossible; nan ends if there is no interval."""
    n: int
    """Values of the smaller side."""
    variance: float
    """Of one value, or of one difference; nan or 0 if there is no interval."""
    df: float
    """Degrees of freedom of the variance."""
    detectable: float
    """The distance from a bound that is noticed with 80 % power; nan without variance."""
    scale: float
    """The size of the largest value, on which the rounding error depends."""
    counted: str = "seeds"
    """What `n` counts."""

    @classmethod
    def of_mean(cls, values: Sequence[float], level: float, bounds: tuple[float, float]) -> Self:
        """The mean of one sample with Student's t interval.

        Args:
            values: The sample.
            level: Confidence of the interval.
            bounds: The lowest and the highest possible mean.
        """
        n, spread = len(values), deviation(values)
        noticed = math.nan
        if spread > 0:
            noticed = detectable(t_critical(level, n - 1), n - 1, POWER) * spread / math.sqrt(n)
        interval, scale = clipped(t_interval(values, level), bounds), max(map(abs, values), default=0.0)
        return cls(interval, n, spread**2, n - 1, noticed, scale)

    @classmethod
    def of_difference(cls, comparison: Comparison, values: Sequence[float], bounds: tuple[float, float]) -> Self:
        """The difference of two samples, of which `values` are all values; for the bounds see `of_mean`."""
        interval = Interval(comparison.difference, comparison.low, comparison.high)
        n, scale = comparison.n, max(map(abs, values), default=0.0)
        variance = n * comparison.se**2
        return cls(clipped(interval, bounds), n, variance, comparison.df, comparison.smallest_detectable, scale)

    @classmethod
    def of_interval(cls, interval: Interval, n: int, level: float, counted: str) -> Self:
        """An interval whose values have no variance of their own, such as a median's.

        The variance is the one that gives Student's t interval the same width, so that `seeds_to_decide` assumes that
        the width shrinks with √n.
        """
        half_width = (interval.high - interval.low) / 2
        variance = n * (half_width / t_critical(level, n - 1)) ** 2 if n > 1 else math.nan
        return cls(interval, n, variance, n - 1, math.nan, abs(interval.high), counted)

    def seeds_to_decide(self, bound: float, level: float) -> int | None:
        """How many seeds (or what `n` counts) tell the estimate from a bound with 80 % power, if it is the truth.

        Args:
            bound: What the estimate is compared with.
            level: The confidence of the interval that will judge them.

        Returns:
            One more than `MANY_SEEDS` if it takes more than that; None if the estimate has no variance, or equals the
            bound.
        """
        distance = abs(self.interval.mean - bound)
        if self.n < FEWEST_SEEDS or not (self.variance > 0 and distance > 0):
            return None
        return seeds_needed(self.variance * (1 + 1 / self.df), self.df, self.n, 1, distance, level=level)

    def in_words(self, number: Callable[[float], str]) -> str:
        """The mean with its interval, if there is one."""
        ends = self.interval.low, self.interval.high
        return number(self.interval.mean) + ("" if math.isnan(ends[0]) else f" [{', '.join(map(number, ends))}]")


@dataclass(frozen=True)
class Limit:
    """What an estimate must satisfy."""

    sign: str
    """One of `grammar.INEQUALITIES`."""
    bound: float
    good: ArmRuns | None
    """The arm that has to be good for the requirement to hold; None if none has."""
    gap: str
    """Why a run has no value; '' if each has one."""
    level: float
    """Confidence of the interval."""

    def judge(
        self, estimate: IntervalEstimate, subject: str, shown: str, required: str, unit: str = "", scale: float = 1.0
    ) -> Finding:
        """Judges an estimate.

        Args:
            estimate: The estimate.
            subject: What is estimated, up to the number: 'test_acc of elu: '.
            shown: The estimate with its interval in words.
            required: The bound in words.
            unit: What follows a difference, with a blank before it.
            scale: The factor to this unit.
        """
        level = "" if math.isnan(estimate.interval.low) else f" ({formatting.percent(self.level)} interval)"
        details = [f"{subject}{shown}{level}; required: {bound_in_words(self.sign, required)}"]
        if estimate.detectable > 0:
            noticed = scale * estimate.detectable
            away = f"{formatting.figure(noticed, noticed)}{unit}"
            details.append(f"clear in {100 * POWER:g} of 100 studies like this if the truth is {away} away from that")
        answer, why = self.answer(estimate)
        seeds = None
        if answer is GateStatus.INCONCLUSIVE and not why:
            seeds = estimate.seeds_to_decide(self.bound, self.level)
        if seeds:
            count = f"{seeds:,}" if seeds <= MANY_SEEDS else f"more than {MANY_SEEDS:,}"
            details.append(
                f"if the truth is as estimated, {count} {estimate.counted} decide it with {100 * POWER:g} % power"
            )
        is_known = not math.isnan(estimate.interval.mean)
        return Finding(
            answer=answer,
            details=tuple(filter(None, [why, *(details if is_known else ())])),
            headline=shown if is_known else "",
            estimate=estimate.interval.mean,
            low=estimate.interval.low,
            high=estimate.interval.high,
            bound=self.bound,
            detectable=estimate.detectable,
            error_rate=(1 - self.level) / 2,
            n=estimate.n,
            seeds_to_decide=seeds,
        )

    def answer(self, estimate: IntervalEstimate) -> tuple[GateStatus, str]:
        """The answer, and why if it is not the interval's."""
        if self.good is not None and self.good.never_finishes:
            return GateStatus.FAILS, f"{self.good.name} never finishes"
        if self.gap:
            return GateStatus.INCONCLUSIVE, self.gap
        if estimate.n < FEWEST_SEEDS:
            plural = "" if estimate.n == 1 else "s"
            return GateStatus.INCONCLUSIVE, f"{estimate.n} value{plural}, but {FEWEST_SEEDS} are needed"
        low, high = estimate.interval.low, estimate.interval.high
        answer = status_of(low, high, self.sign, self.bound, max(estimate.scale, abs(self.bound)))
        if answer is GateStatus.HOLDS and self.good is not None and 2 * self.good.lost > self.good.made:
            return GateStatus.INCONCLUSIVE, f"{self.good.name} lost more than half of its runs"
        return answer, ""


def clipped(interval: Interval, bounds: tuple[float, float]) -> Interval:
    """The interval without what lies outside of the bounds; nan ends stay."""
    if math.isnan(interval.low):
        return interval
    low, high = (min(max(end, bounds[0]), bounds[1]) for end in (interval.low, interval.high))
    return Interval(interval.mean, low, high)
