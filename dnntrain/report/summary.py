"""From the runs of a study to a row for each arm."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from dnntrain.errors import InputError, did_you_mean
from dnntrain.report.load import Results
from dnntrain.statistics import Interval, deviation, mean, paired_interval
from dnntrain.study import METRICS


@dataclass(frozen=True)
class ArmSummary:
    """What is known of one arm by one metric."""

    name: str
    planned: int
    diverged: int
    values: Mapping[int, float]
    """The finished runs' figures by seed."""
    difference: Interval | None
    """Against the baseline, over the seeds that both finished; None for the baseline itself."""
    health: Mapping[str, int]
    """How many runs have each verdict, the most frequent first, without layer and epoch."""
    seconds: float
    """Mean time of a run."""
    published: Mapping[str, Any] = field(default_factory=dict)

    @property
    def finished(self) -> int:
        """Runs with a result."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """Mean over the finished runs."""
        return mean(list(self.values.values()))

    @property
    def deviation(self) -> float:
        """Standard deviation over the finished runs (ddof 1)."""
        return deviation(list(self.values.values()))


@dataclass(frozen=True)
class Summary:
    """A study, summarised by one metric."""

    results: Results
    metric: str
    baseline: str | None
    arms: list[ArmSummary]


def summarize(results: Results, metric: str | None = None, sort: str | None = None) -> Summary:
    """A row for each arm, in the study's order or sorted; InputError for a metric that the study does not have."""
    metric = metric or results.description["metric"]
    if metric not in METRICS or metric not in results.runs.columns:
        raise InputError(f"unknown metric '{metric}'{did_you_mean(metric, METRICS)}")
    by_arm = {name: frame for name, frame in results.runs.groupby("arm", sort=False)}
    baseline = results.description.get("baseline")
    figures = {name: by_seed(frame, metric) for name, frame in by_arm.items()}
    arms = []
    for arm in results.description["arms"]:
        frame = by_arm.get(arm["name"], results.runs.iloc[:0])
        values = figures.get(arm["name"], {})
        compared = baseline is not None and arm["name"] != baseline and len(results.description["arms"]) > 1
        difference = paired_interval(values, figures.get(str(baseline), {})) if compared else None
        arms.append(
            ArmSummary(
                name=arm["name"],
                planned=len(results.description["seeds"]),
                diverged=int((frame["status"] == "diverged").sum()),
                values=values,
                difference=difference,
                health=verdicts(frame),
                seconds=mean(frame["seconds"].tolist()),
                published=arm.get("published", {}),
            )
        )
    return Summary(results, metric, baseline, sorted(arms, key=SORTS[sort]) if sort else arms)


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


def to_frame(summaries: list[Summary]) -> pd.DataFrame:
    """A row for each study and arm, for files."""
    rows = []
    for summary in summaries:
        for arm in summary.arms:
            published = arm.published.get(summary.metric)
            rows.append(
                {
                    "study": summary.results.name,
                    "arm": arm.name,
                    "metric": summary.metric,
                    "finished": arm.finished,
                    "planned": arm.planned,
                    "diverged": arm.diverged,
                    "mean": arm.mean,
                    "sd": arm.deviation,
                    "baseline": summary.baseline,
                    "difference": arm.difference.mean if arm.difference else None,
                    "low": arm.difference.low if arm.difference else None,
                    "high": arm.difference.high if arm.difference else None,
                    "published": published,
                    "health": "; ".join(f"{state} {count}" for state, count in arm.health.items()),
                    "seconds": arm.seconds,
                    "values": " ".join(f"{value:.6g}" for value in arm.values.values()),
                }
            )
    return pd.DataFrame(rows)
