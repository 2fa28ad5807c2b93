"""The arms of a study that may be the best."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dnntrain.analysis.runs import ArmRuns
from dnntrain.statistics import best_set, mean


def best_arms(arms: Mapping[str, ArmRuns], higher_is_better: bool) -> list[str]:
    """The arms that may be the best, lost runs included, the one with the best mean over the shared seeds first.

    Args:
        arms: All arms, the baseline among them.
        higher_is_better: The metric's direction.

    Returns:
        Nothing if the arms share fewer than three seeds, or if it is not known what a lost run counts as.
    """
    if any(arm.lost and math.isnan(arm.lost_value) for arm in arms.values()):
        return []
    values = {name: arm.values for name, arm in arms.items()}
    among = best_set(values, higher_is_better=higher_is_better)
    if among is None:
        return []
    shared = sorted(set.intersection(*(set(by_seed) for by_seed in values.values())))
    sign = 1 if higher_is_better else -1
    first = max(among, key=lambda name: sign * mean([values[name][seed] for seed in shared]))
    return [first, *(name for name in among if name != first)]
