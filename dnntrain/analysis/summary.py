"""Summarizes the runs of a study by one metric: means, comparisons, effects, and health of each arm."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from dnntrain.analysis.arm_names import EVERYTHING, without
from dnntrain.analysis.margins import Margin, read_margin
from dnntrain.analysis.runs import ArmRuns, arms_by_metric
from dnntrain.analysis.verdicts import arm_verdict
from dnntrain.errors import InputError, did_you_mean
from dnntrain.metrics import Metric, metric_columns, metric_of, validation_column
from dnntrain.statistics import (
    LEVEL,
    METHODS,
    Comparison,
    ComparisonFamily,
    Contribution,
    Effect,
    Interval,
    compare,
    deviation,
    effects,
    fisher_exact,
    mean,
    prediction_interval,
    solo_and_marginal,
)
from dnntrain.store.records import StudyRecord
from dnntrain.store.study_files import Results

FEWEST_TO_COMPARE = 3
"""With fewer runs the prediction interval is too wide for any published figure to differ."""


@dataclass(frozen=True)
class AnalysisOptions:
    """How a study is analyzed."""

    delta: str | None = None
    """The smallest difference that matters, such as '0.3pp', '2%' or '0.01'; by default as the metric declares."""
    baseline: str | None = None
    """The arm that the others are compared with; by default the study's own."""
    method: str = METHODS[0]
    """One of `statistics.METHODS`."""
    sort: str | None = None
    """A key of `SORTS` for the order of the arms; by default the study's order."""
    metrics: int = 1
    """How many metrics are judged at once: the level of each is 1 − .05 / metrics."""

    def __post_init__(self) -> None:
        for name, known in (("sort", SORTS), ("method", METHODS)):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise InputError(f"unknown {name} '{value}'{did_you_mean(value, known)}")


@dataclass(frozen=True)
class ArmSummary:
    """One arm by one metric. Its values include the lost runs, which count as a constant prediction."""

    runs: ArmRuns
    comparison: Comparison | None
    """The comparison with the baseline; None for the baseline itself, and without one."""
    verdict: str
    """The verdict in words; empty for the baseline itself, and without one."""
    lost_p: float
    """Fisher's exact test of its share of lost runs against the baseline's; nan for the baseline."""
    validation: Mapping[int, float]
    """The validation metric of the finished runs by seed, where the study is judged by a test metric."""
    health: Mapping[str, int]
    """Runs by diagnosis (without layer and epoch), the most frequent first."""
    seconds: float
    """Mean time of a run, in seconds."""
    published: Mapping[str, float] = field(default_factory=dict)
    implied: tuple[str, ...] = ()
    """Other ways in which its settings differ from the baseline's."""

    @property
    def name(self) -> str:
        """The arm's name."""
        return self.runs.name

    @property
    def finished(self) -> int:
        """Runs with a result."""
        return len(self.runs.finished)

    @cached_property
    def values(self) -> dict[int, float]:
        """The metric by seed, lost runs included."""
        return self.runs.values

    @cached_property
    def mean(self) -> float:
        """Mean over the runs, lost runs included."""
        return mean(list(self.values.values()))

    @cached_property
    def deviation(self) -> float:
        """Standard deviation over the runs (ddof 1), lost runs included."""
        return deviation(list(self.values.values()))

    @property
    def finished_mean(self) -> float:
        """Mean over the finished runs only."""
        return mean(list(self.runs.finished.values()))

    @property
    def difference(self) -> Interval | None:
        """The difference from the baseline with its simultaneous interval."""
        c = self.comparison
        return None if c is None or math.isnan(c.difference) else Interval(c.difference, c.low, c.high)

    @cached_property
    def prediction_interval(self) -> Interval:
        """The 95 % prediction interval of one more run."""
        return prediction_interval(list(self.values.values()))

    def reproduced(self, metric: str) -> str:
        """Whether a published run lies in the prediction interval: reproduced, differs, or not comparable."""
        interval = self.prediction_interval
        if metric not in self.published or math.isnan(interval.low) or self.finished < FEWEST_TO_COMPARE:
            return "not comparable"
        return "reproduced" if interval.low <= self.published[metric] <= interval.high else "differs"


@dataclass(frozen=True)
class Summary:
    """A study, summarized by one metric."""

    results: Results
    metric: str
    options: AnalysisOptions
    baseline: str | None
    arms: list[ArmSummary]
    margin: Margin
    """The smallest difference that matters."""
    delta: float
    """The same in the metric's own unit."""
    family: ComparisonFamily | None
    """All comparisons with the baseline; None without a baseline."""
    effects: list[Effect]
    """Main effects and interactions of a factorial design."""
    contributions: Mapping[str, Contribution]
    """Solo gain and marginal loss of each factor of an in-and-out design."""

    @property
    def higher_is_better(self) -> bool:
        """The metric's direction."""
        return metric_of(self.metric).higher_is_better

    def arm(self, name: str) -> ArmSummary:
        """The arm of a name."""
        return next(arm for arm in self.arms if arm.name == name)

    def by_metric(self, metric: str) -> Summary:
        """The same study by another metric, with that metric's own δ."""
        return self if metric == self.metric else summarize(self.results, metric, replace(self.options, delta=None))

    @cached_property
    def published(self) -> list[tuple[ArmSummary, str]]:
        """The arms by each metric that they have a published value of; the study's metric first."""
        metrics = {name: None for arm in self.arms for name in arm.published if name != "sd"}
        ordered = sorted(metrics, key=lambda name: name != self.metric)
        return [(arm, metric) for metric in ordered for arm in self.by_metric(metric).arms if metric in arm.published]


def summarize(results: Results, metric: str | None = None, options: AnalysisOptions | None = None) -> Summary:
    """Summarizes a study by a metric.

    Args:
        results: The study as recorded.
        metric: The metric with its part, such as test_acc; by default the study's own.
        options: How to analyze it.

    Raises:
        InputError: For a metric that does not exist or that the study lacks, a δ that the metric cannot have, or a
            baseline that is not an arm.
    """
    study, options = results.record, options or AnalysisOptions()
    metric = metric or study.metric
    declared = metric_of(metric)
    if metric not in results.runs.columns:
        raise InputError(no_metric(results, metric))
    runs = arms_by_metric(results, metric)
    baseline = choose_baseline(study, options.baseline)
    margin, delta = choose_delta(options.delta, declared, runs.get(baseline or ""))
    values = {name: arm.values for name, arm in runs.items()}
    family = compare_with_baseline(values, baseline, declared, delta, options) if baseline else None
    frames = dict(iter(results.runs.groupby("arm", sort=False)))
    arms = []
    for arm in study.arms:
        name, frame = arm.name, frames.get(arm.name, results.runs.iloc[:0])
        is_compared = family is not None and name != baseline
        comparison = family.comparisons.get(name) if family else None
        identical = is_compared and are_identical(frame, frames.get(str(baseline), frame.iloc[:0]))
        arms.append(
            ArmSummary(
                runs=runs[name],
                comparison=comparison,
                verdict=arm_verdict(runs[name], runs[str(baseline)], comparison, identical) if is_compared else "",
                lost_p=lost_p(runs[name], runs[str(baseline)]) if is_compared else math.nan,
                validation=validation_values(frame, metric),
                health=health_counts(frame),
                seconds=mean(frame["seconds"].tolist()),
                published=arm.published,
                implied=tuple(arm.implied),
            )
        )
    return Summary(
        results=results,
        metric=metric,
        options=options,
        baseline=baseline,
        arms=sorted(arms, key=SORTS[options.sort]) if options.sort else arms,
        margin=margin,
        delta=delta,
        family=family,
        effects=factorial_effects(study, values, delta),
        contributions=contributions(study, values, delta, declared.higher_is_better),
    )


def no_metric(results: Results, metric: str) -> str:
    """The error for a metric that a study lacks."""
    known = ", ".join(name for name in metric_columns() if name in results.runs.columns)
    return f"{results.folder} has no metric {metric}; it has {known}"


def choose_baseline(study: StudyRecord, wanted: str | None) -> str | None:
    """The arm to compare with; None if there is none. InputError for one that is not an arm."""
    names = [arm.name for arm in study.arms]
    if wanted is not None and wanted not in names:
        raise InputError(f"--baseline {wanted}: {study.name} has no such arm{did_you_mean(wanted, names)}")
    return (wanted or study.baseline) if len(names) > 1 else None


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


def compare_with_baseline(
    values: Mapping[str, Mapping[int, float]], baseline: str, metric: Metric, delta: float, options: AnalysisOptions
) -> ComparisonFamily:
    """Compares every arm with the baseline."""
    others = {name: by_seed for name, by_seed in values.items() if name != baseline}
    try:
        return compare(
            values[baseline],
            others,
            delta=0.0 if math.isnan(delta) else delta,
            method=options.method,
            level=1 - (1 - LEVEL) / options.metrics,
            higher_is_better=metric.higher_is_better,
        )
    except ValueError as error:
        raise InputError(f"--method: {error}") from None


def are_identical(ours: pd.DataFrame, theirs: pd.DataFrame) -> bool:
    """Whether two arms have the same records: the same seeds with the same outcome and the same metrics."""
    columns = ["status", "epochs_run", "best_epoch", *metric_columns()]
    shared = [column for column in columns if column in ours.columns]
    first, second = (frame.set_index("seed")[shared].sort_index() for frame in (ours, theirs))
    return len(first) > 0 and first.equals(second)


def lost_p(arm: ArmRuns, baseline: ArmRuns) -> float:
    """Fisher's exact test of an arm's share of lost runs against the baseline's; nan without runs."""
    if not arm.made or not baseline.made:
        return math.nan
    return fisher_exact(arm.lost, arm.made, baseline.lost, baseline.made)


def factorial_effects(study: StudyRecord, values: Mapping[str, Mapping[int, float]], delta: float) -> list[Effect]:
    """Main effects and two-way interactions of a factorial design with several factors; empty for other designs."""
    levels = {arm.name: arm.levels for arm in study.arms}
    if study.design != "factorial" or any(len(cell) < 2 for cell in levels.values()):
        return []
    named = {
        arm: {factor: "on" if level == factor else level or "off" for factor, level in cell.items()}
        for arm, cell in levels.items()
    }
    return effects(named, values)


def contributions(
    study: StudyRecord, values: Mapping[str, Mapping[int, float]], delta: float, higher_is_better: bool
) -> dict[str, Contribution]:
    """Solo gain and marginal loss of each factor of an in-and-out design; empty for other designs."""
    if study.design != "in-and-out":
        return {}
    one_in = {name: by_seed for name, by_seed in values.items() if without(name) in values}
    one_out = {name: values[without(name)] for name in one_in}
    baseline, everything = values[str(study.baseline)], values[EVERYTHING]
    return solo_and_marginal(baseline, everything, one_in, one_out, higher_is_better=higher_is_better)


def validation_values(frame: pd.DataFrame, metric: str) -> dict[int, float]:
    """The validation counterpart of a test metric, of the finished runs by seed; empty for other metrics."""
    column = validation_column(metric)
    if column == metric or column not in frame:
        return {}
    finished = frame[(frame["status"] == "finished") & np.isfinite(frame[column].astype(float))]
    return dict(zip(finished["seed"].astype(int), finished[column].astype(float), strict=True))


def health_counts(frame: pd.DataFrame) -> dict[str, int]:
    """Runs by diagnosis, without layer and epoch, the most frequent first."""
    return dict(Counter(str(text).split(" (")[0] for text in frame["health"]).most_common())


def lowest_nan_last(value: float) -> tuple[bool, float]:
    """A sort key that puts nan last."""
    return (math.isnan(value), value)


SORTS = {
    "arm": lambda arm: arm.name,
    "mean": lambda arm: lowest_nan_last(-arm.mean),
    "seconds": lambda arm: lowest_nan_last(arm.seconds),
}
"""The orders of `--sort`: by name, by the metric's mean from the highest, by time from the shortest."""
