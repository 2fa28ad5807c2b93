"""Compares arms with published values of the same settings."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dnntrain.analysis.predicted_metrics import with_metric
from dnntrain.analysis.runs import ArmRuns, arms_by_metric
from dnntrain.metrics import metric_of
from dnntrain.statistics import FEWEST_SEEDS, LEVEL, PublishedComparison, compare_published
from dnntrain.statistics.published import CANNOT_TELL, DIFFERS
from dnntrain.statistics.verdicts import TOO_FEW_SEEDS
from dnntrain.store.published import PublishedValue
from dnntrain.store.study_files import Results


@dataclass(frozen=True)
class PublishedResult:
    """An arm's runs, lost runs included, and a published value of the same metric."""

    runs: ArmRuns
    metric: str
    published: PublishedValue
    comparison: PublishedComparison | None
    """None without runs of ours."""
    verdict: str
    """In words."""

    @property
    def is_judged(self) -> bool:
        """Whether there are enough runs of ours for a verdict."""
        return len(self.runs.values) >= FEWEST_SEEDS


def published_results(results: Results, metric: str, level: float = LEVEL) -> list[PublishedResult]:
    """Compares every arm with its published values, whatever their metric.

    The intervals are simultaneous over all published values that get a verdict (Bonferroni).

    Args:
        results: The study.
        metric: The metric whose published values come first.
        level: The simultaneous confidence.
    """
    published = {arm.name: results.record.published_of(arm) for arm in results.record.arms}
    named = {column for values in published.values() for column in values}
    for column in sorted(named):
        results = with_metric(results, column)
    unknown = sorted(named - {*results.runs.columns})
    no_values = dict.fromkeys(unknown, [math.nan] * len(results.runs))
    results = replace(results, runs=results.runs.with_columns(no_values))
    pairs = [
        (runs, column, published[runs.name][column])
        for column in sorted(named, key=lambda column: (column != metric, column))
        for runs in arms_by_metric(results, column).values()
        if column in published[runs.name]
    ]
    k = max(1, sum(len(runs.values) >= FEWEST_SEEDS for runs, *_ in pairs))
    compared = []
    for runs, column, value in pairs:
        ours = list(runs.values.values())
        comparison = compare_published(ours, value.mean, value.sd, value.runs, 1 - level, k) if ours else None
        if comparison:
            low, high = (bound - value.mean for bound in metric_of(column).bounds)
            comparison = replace(comparison, low=max(comparison.low, low), high=min(comparison.high, high))
        compared.append(PublishedResult(runs, column, value, comparison, published_verdict(runs, comparison)))
    return compared


def published_verdict(runs: ArmRuns, comparison: PublishedComparison | None) -> str:
    """The verdict in words. An arm that lost runs is never called compatible."""
    if comparison is None:
        return "not measured" if runs.made else "not run yet"
    if len(runs.values) < FEWEST_SEEDS:
        return TOO_FEW_SEEDS[len(runs.values)]
    lost = f"{runs.lost} of {runs.made} lost" if runs.lost else ""
    if comparison.verdict == DIFFERS:
        return f"{DIFFERS} ({lost})" if lost else DIFFERS
    if lost:
        return f"{CANNOT_TELL}: {lost}"
    if comparison.verdict != CANNOT_TELL:
        return comparison.verdict
    if math.isnan(comparison.z):
        return f"{CANNOT_TELL}: all runs are equal"
    if comparison.runs_needed is None:
        return f"{CANNOT_TELL}: more runs of ours would not help"
    return f"{CANNOT_TELL} (would need about {comparison.runs_needed} runs)"
