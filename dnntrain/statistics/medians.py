"""The median with an interval that needs no assumption on the distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from dnntrain.statistics.descriptive import LEVEL, Interval
from dnntrain.utils.lazy import special

FEWEST_FOR_MEDIAN = 6
"""With fewer values, not even their whole range covers the median with 95 % confidence."""


def median_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """The median with the narrowest interval of order statistics that covers it at the level.

    It is the set of medians that a two-sided sign test does not reject, so that a few slow rounds cannot move it
    (Conover 1999, "Practical Nonparametric Statistics", 3.2).

    Returns:
        The median and its interval, with nan ends for too few values; at 95 %, under `FEWEST_FOR_MEDIAN`.
    """
    ordered, n = sorted(values), len(values)
    center = median(ordered) if ordered else math.nan
    # how many values may be cut off at each end: P(Binomial(n, 1/2) ≤ cut) ≤ (1 − level) / 2
    cut = max((k for k in range(n // 2) if special.bdtr(k, n, 0.5) <= (1 - level) / 2), default=None)
    if cut is None:
        return Interval(center, math.nan, math.nan)
    return Interval(center, ordered[cut], ordered[n - 1 - cut])
