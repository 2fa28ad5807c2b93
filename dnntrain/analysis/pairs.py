"""Compares every arm of a study with every other."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dnntrain.analysis.comparisons import within_bounds
from dnntrain.analysis.runs import outcomes
from dnntrain.analysis.summary import Summary
from dnntrain.analysis.verdicts import arm_verdict
from dnntrain.metrics import metric_of
from dnntrain.statistics import Comparison, compare_pairs


@dataclass(frozen=True)
class PairResult:
    """Two arms compared: arm − other, with an interval that is simultaneous over all pairs of the study."""

    arm: str
    other: str
    comparison: Comparison
    verdict: str
    """The verdict on the arm, in words."""


def compare_all_pairs(summary: Summary) -> list[PairResult]:
    """Compares each pair of arms by the summary's metric, level and δ, lost runs included."""
    values = {arm.name: arm.values for arm in summary.arms}
    delta = 0.0 if math.isnan(summary.delta) else summary.delta
    pairs = compare_pairs(values, delta=delta, level=summary.level, higher_is_better=summary.higher_is_better)
    ends = outcomes(summary.results.runs)
    is_complete = all(arm.runs.made >= arm.runs.planned for arm in summary.arms)
    compared = []
    for pair in pairs:
        ours, theirs = summary.arm(pair.arm).runs, summary.arm(pair.other).runs
        is_identical = not summary.results.is_table and ends.get(pair.arm) == ends.get(pair.other)
        words = arm_verdict(ours, theirs, pair.comparison, is_identical, pair.other, is_complete)
        comparison = within_bounds(pair.comparison, metric_of(summary.metric))
        compared.append(PairResult(pair.arm, pair.other, comparison, words))
    return compared
