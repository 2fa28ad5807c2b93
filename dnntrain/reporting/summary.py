"""Summarizes the runs of a study by one metric: means, comparisons, effects and health of each arm."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from dnntrain.errors import InputError
from dnntrain.metrics import metric_columns, metric_of
from dnntrain.statistics import (
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
from dnntrain.studies.designs import without

FEWEST_TO_COMPARE = 3
"""With fewer runs the prediction interval is too wide for any published figure to differ."""


@dataclass(frozen=True)
class ArmSummary:
    """One arm by one metric."""

    name: str
    planned: int
    diverged: int
    diverged_p: float
    """Fisher's exact test of its share of diverged runs against the baseline's; nan for the baseline."""
    values: Mapping[int, float]
    """The metric of the finished runs, by seed."""
    comparison: Comparison | None
    """Against the baseline; None for the baseline itself, or where there is none."""
    health: Mapping[str, int]
    """Runs by diagnosis (without layer and epoch), the most frequent first."""
    seconds: float
    """Mean time of a run, in seconds."""
    published: Mapping[str, float] = field(default_factory=dict)
    implied: tuple[str, ...] = ()
    """Other ways in which its settings differ from the baseline's."""
    identical: bool = False
    """Whether every run has exactly the baseline's value: the setting had no effect."""

    @property
    def finished(self) -> int:
        """Runs with a result."""
        return len(self.values)

    @cached_property
    def mean(self) -> float:
        """Mean over the finished runs."""
        return mean(list(self.values.values()))

    @cached_property
    def deviation(self) -> float:
        """Standard deviation over the finished runs (ddof 1)."""
        return deviation(list(self.values.values()))

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
    baseline: str | None
    arms: list[ArmSummary]
    family: ComparisonFamily | None
    """All comparisons with the baseline; None where there is nothing to compare."""
    effects: list[Effect]
    """Main effects and interactions of a factorial design."""
    contributions: Mapping[str, Contribution]
    """Solo gain and marginal loss of each factor of an in-and-out design."""

    @cached_property
    def published(self) -> list[tuple[ArmSummary, str]]:
        """The arms by each metric that they have a published value of; the study's metric first."""
        metrics = {name: None for arm in self.arms for name in arm.published if name != "sd"}
        found = []
        for metric in sorted(metrics, key=lambda name: name != self.metric):
            summary = self if metric == self.metric else summarize(self.results, metric)
            found += [(arm, metric) for arm in summary.arms if metric in arm.published]
        return found


def summarize(
    results: Results, metric: str | None = None, sort: str | None = None, delta: float | None = None
) -> Summary:
    """Summarizes a study by a metric.

    Args:
        results: The study as recorded.
        metric: The metric with its part, such as test_acc; by default the study's own.
        sort: A key of `SORTS` for the order of the arms; by default the study's order.
        delta: The smallest difference that matters, in the metric's own unit; by default as the metric declares.

    Raises:
        InputError: For a metric that does not exist or that the study lacks.
    """
    study = results.record
    metric = metric or study.metric
    metric_of(metric)
    if metric not in results.runs.columns:
        raise InputError(no_metric(results, metric))
    names = [arm.name for arm in study.arms]
    frames = {name: results.runs[results.runs["arm"] == name] for name in names}
    values = {name: by_seed(frame, metric) for name, frame in frames.items()}
    baseline = study.baseline if len(names) > 1 else None
    diverged = {name: int((frame["status"] == "diverged").sum()) for name, frame in frames.items()}
    family = compare_all(values, baseline, diverged, metric, delta)
    arms = []
    for arm in study.arms:
        name, frame = arm.name, frames[arm.name]
        arms.append(
            ArmSummary(
                name=name,
                planned=len(study.seeds),
                diverged=diverged[name],
                diverged_p=divergence_p(name, baseline, diverged, frames),
                values=values[name],
                comparison=family.comparisons.get(name) if family else None,
                health=health_counts(frame),
                seconds=mean(frame["seconds"].tolist()),
                published=arm.published,
                implied=tuple(arm.implied),
                identical=baseline is not None and name != baseline and values[name] == values[baseline] != {},
            )
        )
    return Summary(
        results=results,
        metric=metric,
        baseline=baseline,
        arms=sorted(arms, key=SORTS[sort]) if sort else arms,
        family=family,
        effects=factorial_effects(study, values),
        contributions=contributions(study, values, metric),
    )


def no_metric(results: Results, metric: str) -> str:
    """The error for a metric that a study lacks."""
    known = ", ".join(name for name in metric_columns() if name in results.runs.columns)
    return f"{results.folder} has no metric {metric}; it has {known}"


def compare_all(
    values: Mapping[str, Mapping[int, float]],
    baseline: str | None,
    diverged: Mapping[str, int],
    metric: str,
    delta: float | None,
) -> ComparisonFamily | None:
    """Compares every arm with the baseline; None without a baseline."""
    if baseline is None:
        return None
    others = {name: figures for name, figures in values.items() if name != baseline}
    judge = metric_of(metric)
    delta = judge.delta if delta is None else delta
    return compare(values[baseline], others, diverged=diverged, delta=delta, higher_is_better=judge.higher_is_better)


def divergence_p(
    name: str, baseline: str | None, diverged: Mapping[str, int], frames: Mapping[str, pd.DataFrame]
) -> float:
    """Fisher's exact test of an arm's share of diverged runs against the baseline's; nan for the baseline."""
    if baseline is None or name == baseline or not len(frames[name]) or not len(frames[baseline]):
        return math.nan
    return fisher_exact(diverged[name], len(frames[name]), diverged[baseline], len(frames[baseline]))


def factorial_effects(study: StudyRecord, values: Mapping[str, Mapping[int, float]]) -> list[Effect]:
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
    study: StudyRecord, values: Mapping[str, Mapping[int, float]], metric: str
) -> dict[str, Contribution]:
    """Solo gain and marginal loss of each factor of an in-and-out design; empty for other designs."""
    if study.design != "in-and-out":
        return {}
    one_in = {name: figures for name, figures in values.items() if without(name) in values}
    one_out = {name: values[without(name)] for name in one_in}
    baseline, better = values[str(study.baseline)], metric_of(metric).higher_is_better
    return solo_and_marginal(baseline, values["all"], one_in, one_out, higher_is_better=better)


def by_seed(frame: pd.DataFrame, metric: str) -> dict[int, float]:
    """The metric of the finished runs, by seed."""
    finished = frame[(frame["status"] == "finished") & frame[metric].notna()]
    return dict(zip(finished["seed"].astype(int), finished[metric].astype(float), strict=True))


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
