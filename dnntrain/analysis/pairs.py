"""Compares every arm of a study with every other."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dnntrain.analysis.summary import Summary, are_identical
from dnntrain.analysis.verdicts import arm_verdict
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
    pairs = compare_pairs(values, delta=delta, level=summary.options.level, higher_is_better=summary.higher_is_better)
    rows, nothing = summary.results.runs, summary.results.runs.iloc[:0]
    frames = dict(iter(rows.groupby("arm", sort=False)))
    compared = []
    for pair in pairs:
        ours, theirs = summary.arm(pair.arm).runs, summary.arm(pair.other).runs
        identical = are_identical(frames.get(pair.arm, nothing), frames.get(pair.other, nothing))
        words = arm_verdict(ours, theirs, pair.comparison, identical, pair.other)
        compared.append(PairResult(pair.arm, pair.other, pair.comparison, words))
    return compared
