"""How many seeds a study's comparisons need, by their variances so far."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dnntrain.statistics import DIFFERENCE, EQUIVALENCE, LEVEL, ComparisonFamily, SeedRange, plan_seeds


@dataclass(frozen=True)
class SeedPlan:
    """What seeds show of one comparison with 80 % power; None where that cannot be said."""

    smallest_detectable: float
    """The smallest difference that the seeds so far would show, in the metric's unit."""
    for_delta: SeedRange | None
    """The seeds that show a true difference of δ."""
    for_equivalence: SeedRange | None
    """The seeds that show equivalence where there is no difference."""
    for_difference: SeedRange | None
    """The seeds that show a true difference as large as the one seen."""


def plan_family(family: ComparisonFamily, arms: Collection[str], level: float = LEVEL) -> dict[str, SeedPlan]:
    """The seeds that each comparison with a variance needs, by arm.

    Args:
        family: The comparisons, which serve as the pilot. Without a δ, only the difference seen is planned for.
        arms: The arms to plan for.
        level: The simultaneous confidence of the intervals that will judge the seeds.
    """
    return {
        name: SeedPlan(
            comparison.smallest_detectable,
            plan_seeds(comparison, family.k, family.delta, DIFFERENCE, level),
            plan_seeds(comparison, family.k, family.delta, EQUIVALENCE, level),
            plan_seeds(comparison, family.k, abs(comparison.difference), DIFFERENCE, level),
        )
        for name, comparison in family.comparisons.items()
        if comparison.is_judged and name in arms
    }
