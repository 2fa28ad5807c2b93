"""How a study is analyzed: what users choose when they ask for a report."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
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

    within: str | None = None
    """The factor whose levels are compared at each setting of the other factors; by default the study's own, if any."""
    order: tuple[str, ...] | None = None
    """Arms in the order to test, the best first; by default the study's own, if any."""

    def __post_init__(self) -> None:
        for name, known in (("sort", SORTS), ("method", METHODS)):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise InputError(f"unknown {name} '{value}'{did_you_mean(value, known)}")
        if self.population and (self.pairs or self.method != METHODS[0]):
            raise InputError("--population: has a method of its own, so it takes neither --method nor --pairs")


def check_order(names: Sequence[str], arms: Collection[str]) -> tuple[str, ...]:
    """The arms in the order to test; InputError unless they are at least three different arms of the study."""
    for name in names:
        if name not in arms:
            raise InputError(f"no arm '{name}'{did_you_mean(name, arms)}")
        if names.count(name) > 1:
            raise InputError(f"'{name}' is named twice")
    if len(names) < 3:
        raise InputError("needs at least three arms; for two, use --require 'a > b'")
    return tuple(names)
