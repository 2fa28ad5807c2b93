"""From the runs of a study to what is said of each arm, by one metric."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from dnntrain.errors import InputError, did_you_mean
from dnntrain.metrics import METRICS, higher_is_better
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

DELTA = 0.003
"""The difference that matters, unless `--delta` says otherwise: 0.3 points of accuracy."""


FEWEST_TO_COMPARE = 3
"""Runs below which one more could end anywhere, so that no published figure could differ."""


@dataclass(frozen=True)
class ArmSummary:
    """What is known of one arm by one metric."""

    name: str
    planned: int
    diverged: int
    diverged_p: float
    """Fisher's exact test of its share of diverged runs against the baseline's; nan for the baseline."""
    values: Mapping[int, float]
    """The finished runs' figures by seed."""
    comparison: Comparison | None
    """Against the baseline; None for the baseline itself, or where there is none."""
    health: Mapping[str, int]
    """How many runs have each verdict, the most frequent first, without layer and epoch."""
    seconds: float
    """Mean time of a run."""
    published: Mapping[str, float] = field(default_factory=dict)
    implied: tuple[str, ...] = ()
    """What else sets it apart from the baseline, by its settings."""
    identical: bool = False
    """Whether every run gave what the baseline's gave: the same in effect."""

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
        """Where one more run would lie, in 95 of 100 cases."""
        return prediction_interval(list(self.values.values()))

    def reproduced(self, metric: str) -> str:
        """Whether a published run lies where one more run of ours might."""
        interval = self.prediction_interval
        if metric not in self.published or math.isnan(interval.low) or self.finished < FEWEST_TO_COMPARE:
            return "not comparable"
        return "reproduced" if interval.low <= self.published[metric] <= interval.high else "differs"


@dataclass(frozen=True)
class Summary:
    """A study, summarised by one metric."""

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
    """What a study says by a metric; InputError for a metric that it does not have."""
    study = results.record
    metric = metric or study.metric
    if metric not in METRICS:
        raise InputError(f"unknown metric '{metric}'{did_you_mean(metric, METRICS)}")
    if metric not in results.runs.columns:
        raise InputError(no_metric(results, metric))
    names = [arm.name for arm in study.arms]
    frames = {name: results.runs[results.runs["arm"] == name] for name in names}
    values = {name: by_seed(frame, metric) for name, frame in frames.items()}
    baseline = study.baseline if len(names) > 1 else None
    diverged = {name: int((frame["status"] == "diverged").sum()) for name, frame in frames.items()}
    family = compare_all(values, baseline, diverged, metric, DELTA if delta is None else delta)
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
                health=verdicts(frame),
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
    """What an error says where a study lacks a metric."""
    known = ", ".join(name for name in METRICS if name in results.runs.columns)
    return f"{results.folder} has no metric {metric}; it has {known}"


def compare_all(
    values: Mapping[str, Mapping[int, float]],
    baseline: str | None,
    diverged: Mapping[str, int],
    metric: str,
    delta: float,
) -> ComparisonFamily | None:
    """Every arm against the baseline."""
    if baseline is None:
        return None
    others = {name: figures for name, figures in values.items() if name != baseline}
    better = higher_is_better(metric)
    return compare(values[baseline], others, diverged=diverged, delta=delta, higher_is_better=better)


def divergence_p(
    name: str, baseline: str | None, diverged: Mapping[str, int], frames: Mapping[str, pd.DataFrame]
) -> float:
    """Fisher's exact test of an arm's share of diverged runs against the baseline's."""
    if baseline is None or name == baseline or not len(frames[name]) or not len(frames[baseline]):
        return math.nan
    return fisher_exact(diverged[name], len(frames[name]), diverged[baseline], len(frames[baseline]))


def factorial_effects(study: StudyRecord, values: Mapping[str, Mapping[int, float]]) -> list[Effect]:
    """Main effects and two-way interactions, where the arms are a factorial design of more than one factor."""
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
    """Solo gains beside marginal losses, where the study has both."""
    if study.design != "in-and-out":
        return {}
    one_in = {name: figures for name, figures in values.items() if without(name) in values}
    one_out = {name: values[without(name)] for name in one_in}
    baseline, better = values[str(study.baseline)], higher_is_better(metric)
    return solo_and_marginal(baseline, values["all"], one_in, one_out, higher_is_better=better)


def by_seed(frame: pd.DataFrame, metric: str) -> dict[int, float]:
    """The finished runs' figures."""
    finished = frame[(frame["status"] == "finished") & frame[metric].notna()]
    return dict(zip(finished["seed"].astype(int), finished[metric].astype(float), strict=True))


def verdicts(frame: pd.DataFrame) -> dict[str, int]:
    """How many runs have each verdict, without layer and epoch."""
    return dict(Counter(str(text).split(" (")[0] for text in frame["health"]).most_common())


def lowest_nan_last(value: float) -> tuple[bool, float]:
    """A sorting key by which nan comes last."""
    return (math.isnan(value), value)


SORTS = {
    "arm": lambda arm: arm.name,
    "mean": lambda arm: lowest_nan_last(-arm.mean),
    "seconds": lambda arm: lowest_nan_last(arm.seconds),
}
"""What `--sort` takes: the arm's name, the metric's mean from the highest, the time from the shortest."""
