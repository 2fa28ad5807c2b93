"""Mean ranks over blocks such as data sets: a description, not a verdict (Demšar 2006 has the tests on ranks)."""

from __future__ import annotations

from collections.abc import Mapping

from dnntrain.analysis.runs import ArmRuns
from dnntrain.statistics import mean


def mean_ranks(arms: Mapping[str, ArmRuns], higher_is_better: bool) -> dict[str, float]:
    """Each arm's mean rank over the blocks that all arms have, 1 for the best; equal arms share the mean of theirs.

    Returns:
        Nothing if no block has all arms.
    """
    values = {name: arm.values for name, arm in arms.items()}
    shared = set.intersection(*(set(by_block) for by_block in values.values()))
    sign = -1 if higher_is_better else 1
    ranks: dict[str, list[float]] = {name: [] for name in arms}
    for block in shared:
        scores = [sign * by_block[block] for by_block in values.values()]
        for name, by_block in values.items():
            mine = sign * by_block[block]
            ranks[name].append(sum(score < mine for score in scores) + (scores.count(mine) + 1) / 2)
    return {name: mean(own) for name, own in ranks.items()} if shared else {}
