"""The arms of a study that may be the best."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dnntrain.analysis.runs import ArmRuns
from dnntrain.statistics import FEWEST_SEEDS, LEVEL, WELCH, best_set, compare_arms, mean


def best_arms(
    arms: Mapping[str, ArmRuns], higher_is_better: bool, is_paired: bool = True, level: float = LEVEL
) -> list[str]:
    """The arms that may be the best, lost runs included, the one with the best mean over the shared seeds first.

    An arm that never finishes is worse than any that does, and not among the best.

    Args:
        arms: All arms, the baseline among them.
        higher_is_better: The metric's direction.
        is_paired: Whether runs of two arms with the same seed are pairs.
        level: The confidence that the best arm is among those returned.

    Returns:
        Nothing if the arms share fewer than three seeds, or if it is not known what a lost run counts as.
    """
    if any(arm.lost and math.isnan(arm.lost_value) for arm in arms.values()):
        return []
    values = {name: arm.values for name, arm in arms.items() if not arm.never_finishes}
    if len(values) < 2:
        return []
    if not is_paired:
        return best_unpaired(values, higher_is_better, level)
    among = best_set(values, higher_is_better=higher_is_better, level=level)
    if among is None:
        return []
    shared = sorted(set.intersection(*(set(by_seed) for by_seed in values.values())))
    sign = 1 if higher_is_better else -1
    first = max(among, key=lambda name: sign * mean([values[name][seed] for seed in shared]))
    return [first, *(name for name in among if name != first)]


def best_unpaired(values: Mapping[str, Mapping[int, float]], higher_is_better: bool, level: float = LEVEL) -> list[str]:
    """As `best_arms`, by one-sided Welch tests of each arm against all others with Bonferroni's correction."""
    if min(map(len, values.values())) < FEWEST_SEEDS:
        return []
    sign = 1 if higher_is_better else -1
    among = []
    for name, own in values.items():
        others = {other: by_run for other, by_run in values.items() if other != name}
        comparisons = compare_arms(
            own, others, delta=0.0, method=WELCH, level=level, higher_is_better=higher_is_better
        ).comparisons
        # the ends of a two-sided 90 % interval are one-sided 95 % bounds
        if not any(sign * (c.narrow_low if higher_is_better else c.narrow_high) > 0 for c in comparisons.values()):
            among.append(name)
    means = {name: sign * mean(list(values[name].values())) for name in among}
    return sorted(among, key=lambda name: means[name] < max(means.values()))
