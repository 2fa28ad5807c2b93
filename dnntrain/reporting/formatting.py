"""Numbers, intervals and verdicts as text, shared by the terminal and every export."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dnntrain.analysis.summary import ArmSummary, Summary
from dnntrain.metrics import metric_of
from dnntrain.statistics import Interval, binomial_se
from dnntrain.store.provenance import data_notes, datasets_of, environments_line
from dnntrain.store.records import StudyDataset

MAX_RUNS_LISTED = 5
"""An arm with at most this many runs shows the value of each."""


def heading(metric: str) -> str:
    """The metric as a table heading; shares with their percent sign."""
    return f"{metric} %" if metric_of(metric).is_share else metric


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
    """An arm's mean ± standard deviation."""
    return mean_and_deviation(arm.mean, arm.deviation, metric)


def difference(interval: Interval | None, metric: str, *deviations: float) -> str:
    """Formats a signed difference with its interval: +2.00 [-0.10, +4.10].

    Args:
        interval: The difference and its ends; None gives a dash, nan ends give the difference alone.
        metric: The metric with its part, such as val_acc.
        deviations: Standard deviations of both sides; the larger sets the precision. Without one, half the interval's
            width does.
    """
    if interval is None:
        return "-"
    digits = max((d for d in deviations if d > 0), default=(interval.high - interval.low) / 2)
    ends = (signed(end, metric, digits) for end in (interval.low, interval.high))
    return signed(interval.mean, metric, digits) + ("" if math.isnan(interval.low) else f" [{', '.join(ends)}]")


def against_baseline(arm: ArmSummary, summary: Summary) -> str:
    """An arm's difference from the baseline with its simultaneous interval."""
    baseline = next(other for other in summary.arms if other.name == summary.baseline)
    return difference(arm.difference, summary.metric, arm.deviation, baseline.deviation)


def brief(value: float) -> str:
    """Formats seconds or a ratio: 1,234.5, 0.4, 0.03; empty for nan."""
    return "" if math.isnan(value) else f"{value:,.1f}" if value >= 0.1 else f"{value:.1g}"


def health(arm: ArmSummary) -> str:
    """The health of the arm's runs, with counts unless all are healthy."""
    if set(arm.health) <= {"healthy"}:
        return "healthy" if arm.health else ""
    total = sum(arm.health.values())
    return ", ".join(f"{state} {count}/{total}" for state, count in arm.health.items())


def p_value(p: float) -> str:
    """A p value to two digits."""
    return "-" if math.isnan(p) else "<.001" if p < 0.001 else f"{p:.2g}"


def footer(summary: Summary) -> Iterator[str]:
    """The lines below a study's tables: comparisons and correction, power, divergence, data and environment."""
    record, family, metric = summary.results.record, summary.family, summary.metric
    unit = "points" if metric_of(metric).is_share else f"units of {metric}"
    if family:
        yield (
            f"Δ from {summary.baseline} in {unit}, with simultaneous 95 % intervals of {family.k} "
            f"comparison{'s' if family.k != 1 else ''} by method {family.method}; δ = {summary.margin.text}."
        )
    for arm in summary.arms:
        if arm.runs.lost and not math.isnan(arm.lost_p):
            p = p_value(arm.lost_p)
            yield f"{arm.name}: {arm.runs.lost} lost (Fisher's exact p against {summary.baseline}: {p})."
    yield from data_lines(summary)
    if record.note:
        yield f"The preset's note: {record.note}"


def data_lines(summary: Summary) -> Iterator[str]:
    """The data sets with their sizes and notes, the precision of a test set of that size, and the environments."""
    record = summary.results.record
    datasets = datasets_of(record)
    for data in datasets:
        arms = f", arms {', '.join(data.arms)}" if len(datasets) > 1 else ""
        counts = f"{data.train_examples:,} training and {data.test_examples:,} test examples"
        yield f"data: {data.name} ({counts}){arms}"
    yield from data_notes(record)
    for data in datasets:
        error = sampling_error(data, summary)
        if not math.isnan(error):
            whose = f" of {data.name}" if len(datasets) > 1 else ""
            yield f"The test set's own binomial standard error{whose} is {number(error, summary.metric)} points."
    yield from filter(None, [environments_line(record)])


def sampling_error(data: StudyDataset, summary: Summary) -> float:
    """The binomial standard error of the best arm's mean on a test set; nan unless the metric is a share of it."""
    means = [arm.mean for arm in summary.arms if arm.name in data.arms or not data.arms]
    best = max((mean for mean in means if not math.isnan(mean)), default=math.nan)
    applies = metric_of(summary.metric).is_share and "test" in summary.metric and not math.isnan(best)
    return binomial_se(best, data.test_examples) if applies else math.nan


def implied(summary: Summary) -> Iterator[str]:
    """What else the arms' settings changed, one line per arm."""
    for arm in summary.arms:
        if arm.implied:
            yield f"{arm.name}: {'; '.join(arm.implied)}"
