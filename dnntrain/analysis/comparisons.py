"""Every arm of a study compared with the baseline, at the study's look and within what the metric allows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from dnntrain.analysis.looks import compare_at_look
from dnntrain.analysis.options import AnalysisOptions
from dnntrain.errors import InputError
from dnntrain.metrics import Metric, metric_of
from dnntrain.statistics import Comparison, ComparisonFamily
from dnntrain.store.study_record import StudyRecord


def compare_with_baseline(
    study: StudyRecord,
    values: Mapping[str, Mapping[int, float]],
    baseline: str,
    metric: str,
    delta: float,
    options: AnalysisOptions,
    errors: Mapping[str, tuple[float, float]] | None,
) -> ComparisonFamily:
    """Compares every arm with the baseline, at the level of the study's look."""
    declared = metric_of(metric)
    try:
        family = compare_at_look(
            study,
            values,
            baseline,
            metric,
            delta=0.0 if math.isnan(delta) else delta,
            method=options.method,
            higher_is_better=declared.higher_is_better,
            metrics=options.metrics,
            errors=errors,
        )
    except ValueError as error:
        raise InputError(f"--method: {error}") from None
    return replace(family, comparisons={name: within_bounds(c, declared) for name, c in family.comparisons.items()})


def within_bounds(comparison: Comparison, metric: Metric) -> Comparison:
    """The comparison with its intervals clipped to the differences that the metric can have."""
    low, high = metric.bounds
    most = high - low
    if not math.isfinite(most):
        return comparison
    return replace(
        comparison,
        low=max(comparison.low, -most),
        high=min(comparison.high, most),
        narrow_low=max(comparison.narrow_low, -most),
        narrow_high=min(comparison.narrow_high, most),
    )
