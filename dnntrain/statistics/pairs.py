"""Compares all pairs of arms, with simultaneous intervals over the pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from dnntrain.statistics.comparisons import Comparison, describe
from dnntrain.statistics.corrections import TUKEY, Correction
from dnntrain.statistics.descriptive import LEVEL
from dnntrain.statistics.estimates import Estimate, ValuesBySeed, estimate_arms
from dnntrain.statistics.significance import TTest


@dataclass(frozen=True)
class PairComparison:
    """Two arms compared: arm − other. Its p and interval hold simultaneously over all pairs."""

    arm: str
    other: str
    comparison: Comparison


def compare_pairs(
    values: Mapping[str, ValuesBySeed], *, delta: float, higher_is_better: bool, level: float = LEVEL
) -> list[PairComparison]:
    """Compares every arm with every other.

    Each pair is compared with either arm as the baseline, by moderated variances as in `compare_arms`, and keeps the
    larger standard error with its degrees of freedom. The family's p is that of the studentized range (Tukey 1953;
    Kramer 1956), with the same degrees of freedom as in Dunnett's. In simulations of 3 to 16 arms with equal and
    unequal variances, the family-wise error is at most 6.4 % from 5 seeds on, and at most 9.4 % at 3 seeds.

    Args:
        values: The values by seed of each arm. A pair is compared at the seeds that both have.
        delta: The smallest difference that matters, in the metric's unit.
        higher_is_better: The metric's direction.
        level: The simultaneous confidence of all intervals.

    Returns:
        One comparison of each pair, later arm − earlier arm, in the order of the arms.

    Raises:
        ValueError: If delta is negative or a value is not finite.
    """
    if not delta >= 0:
        raise ValueError(f"delta must not be negative, but is {delta}")
    estimates = {
        other: estimate_arms(values[other], {arm: values[arm] for arm in values if arm != other}).by_arm
        for other in values
    }
    varying = [name for name, by_arm in estimates.items() if any(each.test.judgeable for each in by_arm.values())]
    seeds = max((len(by_seed) for by_seed in values.values()), default=0)
    correction = Correction(TUKEY, max(len(varying) - 1, 1), max(seeds, 2))
    return [
        PairComparison(
            arm,
            other,
            describe(
                larger_error(estimates[other][arm], estimates[arm][other]),
                values[arm],
                values[other],
                correction,
                level,
                delta,
                higher_is_better,
            ),
        )
        for other, arm in combinations(values, 2)
    ]


def larger_error(forward: Estimate, backward: Estimate) -> Estimate:
    """The estimate of a difference, with the larger of the standard errors that its two directions give.

    They are equal where both directions trust the pool fully; the fewer degrees of freedom count then.
    """
    ours, theirs = forward.test, backward.test
    are_equal = math.isclose(ours.se, theirs.se, rel_tol=1e-9)
    if theirs.df < ours.df if are_equal else theirs.se > ours.se:
        return Estimate(TTest(ours.difference, theirs.se, theirs.df), forward.n, backward.pooling)
    return forward
