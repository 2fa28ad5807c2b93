"""Compares every arm of a study with every other."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dnntrain.analysis.comparisons import within_bounds
from dnntrain.analysis.summary import Summary
from dnntrain.analysis.verdicts import PairVerdicts
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
    verdicts, compared = PairVerdicts.of(summary.results, summary.runs), []
    for pair in pairs:
        words = verdicts.verdict(pair.arm, pair.other, pair.comparison)
        comparison = within_bounds(pair.comparison, metric_of(summary.metric))
        compared.append(PairResult(pair.arm, pair.other, comparison, words))
    return compared
