"""Differences that matter, in one notation for δ, requirements and presets: `0.3pp`, `2%`, `0.01`.

- `0.3pp`: percentage points, for metrics that are shares
- `2%`: a share of the baseline's mean, for any metric
- `0.01`: the metric's own unit; 0.01 of an accuracy is one point
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dnntrain.errors import InputError
from dnntrain.metrics import Metric
from dnntrain.statistics import mean
from dnntrain.utils.fields import odd_number

if TYPE_CHECKING:
    from dnntrain.analysis.runs import ArmRuns

NOTATION = re.compile(r"(?P<size>[\d.eE+-]+)\s*(?P<unit>pp|%)?")


@dataclass(frozen=True)
class Margin:
    """A difference that matters."""

    size: float
    """In the metric's own unit, or as a share of the baseline's mean; never negative."""
    is_relative: bool
    text: str
    """As it was written."""

    def in_units(self, baseline_mean: float) -> float:
        """The margin in the metric's own unit.

        Args:
            baseline_mean: The mean that a relative margin is a share of.

        Raises:
            InputError: For a relative margin where that mean is 0 or missing.
        """
        if not self.is_relative:
            return self.size
        if baseline_mean == 0 or not math.isfinite(baseline_mean):
            shown = "0" if baseline_mean == 0 else "not known"
            raise InputError(f"{self.text} of the baseline's mean, which is {shown}; give an absolute difference")
        return self.size * abs(baseline_mean)


def read_margin(text: str | float, metric: Metric) -> Margin:
    """Reads a difference that matters.

    Args:
        text: Such as '0.3pp', '2%' or '0.01'; a number is in the metric's own unit.
        metric: What it is a difference of.

    Raises:
        InputError: If it cannot be read, is negative, or larger than the metric can differ by. The message does not
            say where the text comes from.
    """
    written = str(text).strip()
    match = NOTATION.fullmatch(written)
    if trouble := odd_number(match["size"] if match else written):
        raise InputError(trouble)
    try:
        size = float(match["size"]) if match else math.nan
    except ValueError:
        size = math.nan
    if not math.isfinite(size):
        raise InputError(f"'{written}' is no difference; write {notation_for(metric)}")
    if size < 0:
        raise InputError(f"'{written}' must be 0 or more")
    unit = match["unit"] if match else None
    if unit == "pp" and not metric.is_share:
        raise InputError(f"'{written}': points are for shares, not for {metric.label}; write {notation_for(metric)}")
    if unit == "%":
        return Margin(size / 100, True, written)
    value = size / 100 if unit == "pp" else size
    low, high = metric.bounds
    if metric.is_share and value > high - low:
        hint = f"; did you mean {match['size']}pp?" if match and not unit and size <= 100 else ""
        raise InputError(f"'{written}' is more than {metric.label} can differ by{hint}")
    if metric.is_share and not unit and value >= 0.1:
        raise InputError(f"'{written}' would be {100 * value:g} points of {metric.label}; did you mean {written}pp?")
    return Margin(value, False, written)


def choose_delta(text: str | None, metric: Metric, baseline: ArmRuns | None) -> tuple[Margin, float]:
    """The smallest difference that matters, as written and in the metric's own unit.

    A relative one is a share of the baseline's mean; without a baseline it is nan.
    """
    try:
        margin = read_margin(metric.delta if text is None else text, metric)
        center = mean(list(baseline.values.values())) if baseline else math.nan
        if margin.is_relative and (math.isnan(center) or (text is None and center == 0)):
            return margin, math.nan
        return margin, margin.in_units(center)
    except InputError as error:
        raise InputError(f"--delta: {error}") from None


def notation_for(metric: Metric) -> str:
    """Examples of margins of a metric."""
    return "0.3pp, 2% or 0.003" if metric.is_share else "2% or a number in the metric's unit"
