"""What may be said of a handful of runs: pure functions on numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95
"""Two-sided confidence of every interval."""


@dataclass(frozen=True)
class Interval:
    """A mean with its two-sided t interval."""

    mean: float
    low: float
    high: float


def mean(values: Sequence[float]) -> float:
    """The mean; nan of nothing."""
    return math.fsum(values) / len(values) if values else math.nan


def deviation(values: Sequence[float]) -> float:
    """The sample's standard deviation (ddof 1); nan below two values."""
    if len(values) < 2:
        return math.nan
    center = mean(values)
    return math.sqrt(math.fsum((value - center) ** 2 for value in values) / (len(values) - 1))


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Student's interval of the mean; unbounded (nan) below two values.

    Unlike the bootstrap's it keeps its coverage at 3 to 10 values (Student 1908).
    """
    from scipy.special import stdtrit  # scipy.stats would take a second to import

    n, center = len(values), mean(values)
    if n < 2:
        return Interval(center, math.nan, math.nan)
    margin = float(stdtrit(n - 1, (1 + level) / 2)) * deviation(values) / math.sqrt(n)
    return Interval(center, center - margin, center + margin)


def paired_interval(ours: dict[int, float], theirs: dict[int, float], level: float = LEVEL) -> Interval | None:
    """The interval of the mean difference over the seeds that both have; None where they share none."""
    shared = sorted(ours.keys() & theirs.keys())
    return t_interval([ours[seed] - theirs[seed] for seed in shared], level) if shared else None
