"""Numbers, intervals and verdicts as text, shared by the terminal and every export."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dnntrain.analysis.arm_summary import ArmSummary
from dnntrain.analysis.summary import Summary
from dnntrain.metrics import metric_of
from dnntrain.statistics import Interval, deviation, mean
from dnntrain.store.records import HEALTHY, NOT_JUDGED

MAX_RUNS_LISTED = 5
"""An arm with at most this many runs shows the value of each."""


def heading(metric: str) -> str:
    """The metric as a table heading; shares with their percent sign."""
    return f"{metric} %" if metric_of(metric).is_share else metric


def difference_unit(metric: str) -> str:
    """The unit of a difference in a sentence."""
    return "points" if metric_of(metric).is_share else f"units of {metric}"


def figure(value: float, spread: float = math.nan, sign: str = "") -> str:
    """Formats a number to the precision that its spread supports.

    Args:
        value: The number, in its own unit.
        spread: Its standard deviation. Its second significant digit is the last place shown: 25,173 for ± 904, 0.3412
            for ± 0.0021. Without one, `value` gets five significant digits.
        sign: "+" to show the sign of positive numbers.

    Returns:
        The text; a dash for nan. Whole digits are never rounded away, except in exponent notation, which numbers from
        1e15 and spreads below 1e-5 get.
    """
    if not math.isfinite(value):
        return "-" if math.isnan(value) else f"{value:{sign}}"
    size = magnitude(value)
    if not 0 < spread < math.inf:
        return f"{value:{sign}z,.0f}" if 5 <= size < 15 else f"{value:{sign}z,.5g}"
    last = magnitude(spread) - 1
    if last < -6 or size >= 15:
        rounded = round(value, -last)
        return f"{rounded:{sign}z.{magnitude(rounded) - last}e}" if rounded else f"{0:{sign}}"
    return f"{value:{sign}z,.{max(0, -last)}f}"


def magnitude(value: float) -> int:
    """The power of ten of the first digit, after rounding to five digits: 2 for 904; 0 for 0."""
    return int(f"{value:.4e}".partition("e")[2])


def number(value: float, metric: str, spread: float = math.nan, sign: str = "") -> str:
    """Formats a value of a metric as the metric declares.

    Args:
        value: In the metric's own unit; a share is shown in percent.
        metric: The metric with its part, such as val_acc.
        spread: Its standard deviation; see `figure`.
        sign: "+" to show the sign of positive numbers.
    """
    declared = metric_of(metric)
    if declared.decimals is None or not math.isfinite(value):
        return figure(declared.scale * value, declared.scale * spread, sign)
    return f"{declared.scale * value:{sign}z,.{declared.decimals}f}"


def signed(value: float, metric: str, spread: float = math.nan) -> str:
    """Formats a difference with its sign, in percentage points for a share."""
    return number(value, metric, spread, "+")


def exact(value: float, metric: str) -> str:
    """Formats a difference that a user chose (δ, a margin) in full, with its sign; percentage points for a share."""
    return f"{metric_of(metric).scale * value:+.12g}"


def mean_and_deviation(mean: float, deviation: float, metric: str) -> str:
    """Mean ± standard deviation; the mean alone for one run, a dash where no run finished."""
    shown = number(mean, metric, deviation)
    return shown if math.isnan(deviation) else f"{shown} ± {number(deviation, metric, deviation)}"


def spread(arm: ArmSummary, metric: str) -> str:
    """An arm's mean ± standard deviation over its runs; if some were lost, with the mean of the finished ones."""
    shown = mean_and_deviation(arm.mean, arm.deviation, metric)
    if not arm.runs.lost:
        return shown
    if not arm.finished:
        return f"{shown} (none finished)"
    if math.isnan(arm.runs.lost_value):
        return f"{shown} (finished only)"
    return f"{shown} ({number(arm.finished_mean, metric, arm.deviation)} finished)"


def spread_of_runs(values: Sequence[float], metric: str) -> str:
    """Mean ± standard deviation of some runs' values."""
    return mean_and_deviation(mean(values), deviation(values), metric)


def difference(item: Interval | None, metric: str, *deviations: float) -> str:
    """Formats a signed difference with its interval: +2.00 [-0.10, +4.10].

    Args:
        item: The difference and its ends; None gives a dash, nan ends give the difference alone.
        metric: The metric with its part, such as val_acc.
        deviations: Standard deviations of both sides; the larger sets the precision. Without one, half the interval's
            width does.
    """
    if item is None:
        return "-"
    digits = max((d for d in deviations if d > 0), default=(item.high - item.low) / 2)
    ends = "" if math.isnan(item.low) else f" {interval(item.low, item.high, metric, digits)}"
    return signed(item.mean, metric, digits) + ends


def interval(low: float, high: float, metric: str, spread: float = math.nan) -> str:
    """Formats the ends of an interval of differences: [-0.10, +4.10]; a dash for nan."""
    return "-" if math.isnan(low) else f"[{signed(low, metric, spread)}, {signed(high, metric, spread)}]"


def against_baseline(arm: ArmSummary, summary: Summary) -> str:
    """An arm's difference from the baseline with its simultaneous interval."""
    baseline = next(other for other in summary.arms if other.name == summary.baseline)
    return difference(arm.difference, summary.metric, arm.deviation, baseline.deviation)


def delta_in_words(summary: Summary) -> str:
    """The smallest difference that matters, as it was written and in the metric's own unit."""
    margin = summary.margin
    if not margin.is_relative:
        return f"δ = {margin.text}"
    if math.isnan(summary.delta):
        return f"δ = {margin.text} of {summary.baseline}'s mean, which is 0 or not known, so no arm can be equivalent"
    value = number(summary.delta, summary.metric, summary.delta)
    return f"δ = {margin.text} of {summary.baseline}'s mean ({value})"


def brief(value: float) -> str:
    """Formats seconds or a ratio: 1,234.5, 0.4, 0.03; empty for nan."""
    return "" if math.isnan(value) else f"{value:,.1f}" if value >= 0.1 else f"{value:.1g}"


def cosine(value: float) -> str:
    """Formats a cosine: 0.87; empty for nan."""
    return "" if math.isnan(value) else f"{value:.2f}"


def health(arm: ArmSummary, summary: Summary) -> str:
    """The health of the arm's runs, with counts unless all are equally healthy; empty for a table that does not say."""
    if summary.results.is_table:
        return ""
    total = arm.runs.made
    failed = total - sum(arm.health.values())
    states = {**arm.health} | ({"failed": failed} if failed else {})
    if not states or states.keys() in ({HEALTHY}, {NOT_JUDGED}):
        return next(iter(states), "not run yet")
    return ", ".join(f"{state} {count}/{total}" for state, count in states.items())


def p_value(p: float) -> str:
    """A p value to two digits."""
    return "-" if math.isnan(p) else "< .001" if p < 0.001 else f"{p:.2g}"


def percent(share: float) -> str:
    """A share in percent, to at most four digits: 95 %, 98.33 %."""
    return f"{100 * share:.4g} %"


def two_digits(value: float, metric: str) -> str:
    """An estimate of a difference to two digits; more than the metric can differ by is '> ' that."""
    declared = metric_of(metric)
    low, high = declared.bounds
    if value > high - low:
        return f"> {declared.scale * (high - low):g}"
    return figure(declared.scale * value, declared.scale * value)


def listed(names: Sequence[str], most: int) -> str:
    """The names, or the first `most` of them and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
