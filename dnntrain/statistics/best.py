"""The arms without a clear difference from the best one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dnntrain.statistics.descriptive import LEVEL, ROUNDING
from dnntrain.statistics.distributions import Array, tail_level
from dnntrain.statistics.moderation import moderate
from dnntrain.statistics.verdicts import FEWEST_SEEDS
from dnntrain.utils.lazy import special


def best_set(
    values: Mapping[str, Mapping[int, float]], *, higher_is_better: bool, level: float = LEVEL
) -> list[str] | None:
    """The arms that may be the best: in 95 % of studies, the truly best arm is among them.

    An arm is left out if some other arm is better by a one-sided Dunnett test in which the arm is the baseline
    (multiple comparisons with the best; Hsu 1981, 1996), with moderated variances. The one-sided critical value is that
    of the two-sided test at 90 %, which equals it to two digits in the tables of Dunnett 1955. A difference that is the
    same at every seed has no variance and leaves no arm out.

    Args:
        values: The values by seed of each arm, the baseline among them. Only seeds that all arms have are used.
        higher_is_better: The metric's direction.
        level: The confidence that the best arm is among those returned.

    Returns:
        The arms in the order given, always including the one with the best mean; None for a single arm, or if the arms
        share fewer than `FEWEST_SEEDS` seeds.

    Raises:
        ValueError: If a value is not finite.
    """
    shared = sorted(set.intersection(*(set(by_seed) for by_seed in values.values()))) if values else []
    if len(values) < 2 or len(shared) < FEWEST_SEEDS:
        return None
    table = np.array([[by_seed[seed] for seed in shared] for by_seed in values.values()])
    if not np.isfinite(table).all():
        raise ValueError("a value is not finite")
    gains = table if higher_is_better else -table
    return [name for i, name in enumerate(values) if not is_beaten(gains - gains[i], np.abs(table).max(), level)]


def is_beaten(gains: Array, scale: float, level: float) -> bool:
    """Whether some arm is significantly better than the one that the gains [arm, seed] are measured from."""
    varying = np.ptp(gains, axis=1) > ROUNDING * scale
    if not varying.any():
        return False
    arms = moderate(gains[varying])
    tail = tail_level(int(varying.sum()), gains.shape[1], 2 * level - 1)
    return bool((arms.mean > -special.stdtrit(arms.df, tail / 2) * arms.se).any())
