"""Transfer compared with training from scratch at each number of training examples."""

from __future__ import annotations

import math

from dnntrain.analysis.arm_names import size_pairs
from dnntrain.analysis.looks import current_level
from dnntrain.analysis.summary import Summary
from dnntrain.statistics import Comparison, compare


def compare_sizes(summary: Summary) -> dict[str, Comparison]:
    """Compares transfer with scratch at each training size; the intervals are simultaneous (Bonferroni).

    Returns:
        The comparisons by the name of the transfer's arm, in the order of the sizes; empty for other studies.
    """
    arms = {arm.name: arm for arm in summary.arms}
    pairs = size_pairs(arms)
    compared = {}
    for scratch, transfer in pairs.values():
        family = compare(
            arms[scratch].values,
            {transfer: arms[transfer].values},
            delta=0.0 if math.isnan(summary.delta) else summary.delta,
            level=1 - current_level(summary.results.record) / len(pairs),
            higher_is_better=summary.higher_is_better,
        )
        compared[transfer] = family.comparisons[transfer]
    return compared
