"""Numbers and verdicts as words: what the terminal and every export share."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dnntrain.metrics import is_share
from dnntrain.report.summary import ArmSummary, Summary
from dnntrain.statistics import Interval, binomial_se

FEW = 5
"""Up to so many runs, every value is shown."""


def heading(metric: str) -> str:
    """The metric as a column's heading."""
    return f"{metric} %" if is_share(metric) else metric


def number(value: float, metric: str) -> str:
    """One figure: 87.12 (percent) or 0.3412; a dash for nan."""
    if math.isnan(value):
        return "-"
    return f"{100 * value:.2f}" if is_share(metric) else f"{value:.4f}"


def signed(value: float, metric: str) -> str:
    """One difference, in points or the metric's own unit."""
    return f"{100 * value:+.2f}" if is_share(metric) else f"{value:+.4f}"


def spread(arm: ArmSummary, metric: str) -> str:
    """Mean ± standard deviation; a dash where no run finished."""
    deviation = "" if math.isnan(arm.deviation) else f" ± {number(arm.deviation, metric)}"
    return number(arm.mean, metric) + deviation


def difference(interval: Interval | None, metric: str) -> str:
    """A signed difference with its interval."""
    if interval is None:
        return "-"
    ends = "" if math.isnan(interval.low) else f" [{signed(interval.low, metric)}, {signed(interval.high, metric)}]"
    return signed(interval.mean, metric) + ends


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
    return f"+{needed}" if needed <= 1000 else "> 1000"


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
    description, family, metric = summary.results.description, summary.family, summary.metric
    unit = "points" if is_share(metric) else f"units of {metric}"
    if family and family.method != "none":
        yield (
            f"Δ from {summary.baseline} in {unit}, with simultaneous 95 % intervals of {family.k} "
            f"comparison{'s' if family.k > 1 else ''} by {family.method}: {family.reason}."
        )
        found, matters = signed(family.smallest_detectable, metric), signed(family.delta, metric)
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
    if description.get("note"):
        yield f"The preset's note: {description['note']}"


def data_lines(summary: Summary) -> Iterator[str]:
    """What the numbers were measured on, and how sure a test set of that size can be."""
    data = summary.results.description.get("data", {})
    if not data:
        return
    yield f"data: {data['name']} ({data['train_examples']:,} training and {data['test_examples']:,} test examples)"
    if is_share(summary.metric) and "test" in summary.metric:
        best = max((arm.mean for arm in summary.arms if not math.isnan(arm.mean)), default=math.nan)
        error = binomial_se(best, data["test_examples"]) if not math.isnan(best) else math.nan
        yield f"The test set's own binomial standard error is {number(error, summary.metric)} points."


def implied(summary: Summary) -> Iterator[str]:
    """What else the arms' settings changed."""
    for arm in summary.arms:
        if arm.implied:
            yield f"{arm.name}: {'; '.join(arm.implied)}"
