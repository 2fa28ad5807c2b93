"""Numbers and verdicts as words: what the terminal and every export share."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dnntrain.metrics import is_share
from dnntrain.reporting.summary import ArmSummary, Summary
from dnntrain.statistics import Interval, binomial_se
from dnntrain.store.provenance import data_notes, datasets_of, environments_line
from dnntrain.store.records import StudyDataset

FEW = 5
"""Up to so many runs, every value is shown."""


def heading(metric: str) -> str:
    """The metric as a column's heading."""
    return f"{metric} %" if is_share(metric) else metric


def figure(value: float, spread: float = math.nan, sign: str = "") -> str:
    """One figure in its own unit, to two significant digits of its spread: 25,173 for ± 904, 0.3412 for ± 0.0021.

    Without a spread it has five significant digits. It is never rounded beyond whole numbers, except where it takes an
    exponent: from 1e15 on, and where the spread is below 1e-5. A dash for nan.
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
    """The power of ten of the first of five digits: 2 for 904; 0 for 0."""
    return int(f"{value:.4e}".partition("e")[2])


def number(value: float, metric: str, spread: float = math.nan, sign: str = "") -> str:
    """One figure of a metric: shares in percent with two decimals, 87.12; others as `figure`."""
    if is_share(metric) and math.isfinite(value):
        return f"{100 * value:{sign}z,.2f}"
    return figure(value, spread, sign)


def signed(value: float, metric: str, spread: float = math.nan) -> str:
    """One difference, in points or the metric's own unit."""
    return number(value, metric, spread, "+")


def exact(value: float, metric: str) -> str:
    """A difference that somebody chose (δ, a margin), in full: +0.3 points, or the metric's own unit."""
    return f"{(100 if is_share(metric) else 1) * value:+.12g}"


def mean_and_deviation(mean: float, deviation: float, metric: str) -> str:
    """Mean ± standard deviation; the mean alone where one run has no deviation, a dash where no run finished."""
    shown = number(mean, metric, deviation)
    return shown if math.isnan(deviation) else f"{shown} ± {number(deviation, metric, deviation)}"


def spread(arm: ArmSummary, metric: str) -> str:
    """An arm's mean ± standard deviation."""
    return mean_and_deviation(arm.mean, arm.deviation, metric)


def difference(interval: Interval | None, metric: str, *deviations: float) -> str:
    """A signed difference with its interval, to the place of the larger standard deviation of the two sides.

    Where these are not known, to the place of half the interval's width.
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
    """Seconds or a ratio: 1,234.5, 0.4, 0.03; empty for nan."""
    return "" if math.isnan(value) else f"{value:,.1f}" if value >= 0.1 else f"{value:.1g}"


def verdict(arm: ArmSummary) -> str:
    """What may be said of the arm against the baseline."""
    if arm.comparison is None:
        return ""
    if arm.identical:
        return "identical"
    return arm.comparison.verdict.replace("no uncertainty available", "no uncertainty")


def further(arm: ArmSummary) -> str:
    """How many further seeds would probably settle an open verdict."""
    if arm.identical:
        return ""
    needed = arm.comparison.further_seeds if arm.comparison else None
    if not needed:
        return ""
    return f"+{needed}" if needed <= 1000 else ">1000"


def health(arm: ArmSummary) -> str:
    """The verdicts on the arm's runs, with their counts where some are ill."""
    if set(arm.health) <= {"healthy"}:
        return "healthy" if arm.health else ""
    total = sum(arm.health.values())
    return ", ".join(f"{state} {count}/{total}" for state, count in arm.health.items())


def p_value(p: float) -> str:
    """A p value to two digits."""
    return "-" if math.isnan(p) else "<.001" if p < 0.001 else f"{p:.2g}"


def footer(summary: Summary) -> Iterator[str]:
    """Metric, family, correction, what could be seen, data and its size; nothing is left unsaid."""
    record, family, metric = summary.results.record, summary.family, summary.metric
    unit = "points" if is_share(metric) else f"units of {metric}"
    if family and family.method != "none":
        yield (
            f"Δ from {summary.baseline} in {unit}, with simultaneous 95 % intervals of {family.k} "
            f"comparison{'s' if family.k > 1 else ''} by {family.method}: {family.reason}."
        )
        found, matters = signed(family.smallest_detectable, metric), exact(family.delta, metric)
        yield f"Smallest effect found with 80 % power: {found}; what would matter: δ = {matters}."
    elif family:
        yield f"Δ from {summary.baseline} in {unit}: {family.reason}."
    open_arms = [f"{arm.name} {further(arm)}" for arm in summary.arms if further(arm)]
    if open_arms:
        yield f"Further seeds that would probably resolve a difference of δ: {', '.join(open_arms)}."
    for arm in summary.arms:
        if arm.diverged and not math.isnan(arm.diverged_p):
            p = p_value(arm.diverged_p)
            yield f"{arm.name}: {arm.diverged} diverged (Fisher's exact p against {summary.baseline}: {p})."
    yield from data_lines(summary)
    if record.note:
        yield f"The preset's note: {record.note}"


def data_lines(summary: Summary) -> Iterator[str]:
    """What the numbers were measured on, what was left out of it, and how sure a test set of that size can be."""
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
    """The binomial standard error of the best mean of the arms on a data set; nan unless it is a test accuracy."""
    means = [arm.mean for arm in summary.arms if arm.name in data.arms or not data.arms]
    best = max((mean for mean in means if not math.isnan(mean)), default=math.nan)
    judged = is_share(summary.metric) and "test" in summary.metric and not math.isnan(best)
    return binomial_se(best, data.test_examples) if judged else math.nan


def implied(summary: Summary) -> Iterator[str]:
    """What else the arms' settings changed."""
    for arm in summary.arms:
        if arm.implied:
            yield f"{arm.name}: {'; '.join(arm.implied)}"
