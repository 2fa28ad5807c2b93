"""How a study is analyzed: what users choose when they ask for a report."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dnntrain.errors import InputError, did_you_mean
from dnntrain.statistics import METHODS


def lowest_nan_last(value: float) -> tuple[bool, float]:
    """A sort key that puts nan last."""
    return (math.isnan(value), value)


SORTS = {
    "arm": lambda arm: arm.name,
    "mean": lambda arm: lowest_nan_last(-arm.mean),
    "seconds": lambda arm: lowest_nan_last(arm.seconds),
}
"""The orders of `--sort`: by name, by the metric's mean from the highest, by time from the shortest."""


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
    pairs: bool = False
    """Whether to compare every arm with every other as well."""
    population: bool = False
    """Whether to judge over other test examples, too, and not only over other seeds with this test set."""

    per_class: bool = False
    """Whether to show how well each class is found."""

    def __post_init__(self) -> None:
        for name, known in (("sort", SORTS), ("method", METHODS)):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise InputError(f"unknown {name} '{value}'{did_you_mean(value, known)}")
        if self.population and (self.pairs or self.method != METHODS[0]):
            raise InputError("--population: has a method of its own, so it takes neither --method nor --pairs")
