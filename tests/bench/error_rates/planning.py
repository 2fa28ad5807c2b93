"""Whether the number of seeds that a pilot advises gives the power that it should."""

from __future__ import annotations

import numpy as np

from dnntrain.statistics import ComparisonFamily, compare
from dnntrain.statistics.distributions import Array
from dnntrain.statistics.planning import DIFFERENCE, GOALS, plan_seeds
from tests.bench.error_rates.checks import Check, at_least, at_most, number_of_studies

ARMS, PILOT = 4, 5
CASES = ((1.0, 1.0), (1.5, 1.0), (3.0, 4.0))
"""δ, and the standard deviation of the first arm; that of all others is 1."""

MOST = 400
"""Studies that are advised more seeds than this are not carried out, and count as failed."""


def advised_seeds(scale: float) -> list[Check]:
    """Simulate pilots of five seeds whose advice is followed; the pilot's runs are part of the study."""
    checks = []
    studies = number_of_studies(500, scale)
    print(f"\nFour arms, a pilot of {PILOT} seeds; {studies:,} studies a row\n")
    print(f"{'':44}{'shown %':>8}   seeds advised at 10, 50, 90 %")
    for goal in GOALS:
        for delta, deviation in CASES:
            random = np.random.default_rng([25, GOALS.index(goal), int(10 * delta)])
            plans = [follow(goal, delta, deviation, random) for _ in range(studies)]
            shown = 100 * float(np.mean([was_shown for was_shown, _ in plans]))
            advised = np.percentile([seeds for _, seeds in plans], [10, 50, 90]).astype(int)
            at = f"{goal}, δ = {delta:g}, SD of the arm {deviation:g}"
            print(f"{at:44}{shown:8.1f}   {', '.join(map(str, advised))}", flush=True)
            checks.append(at_least("planned seeds: shown, % (at least)", at, shown, 77, studies))
            checks.append(at_most("planned seeds: shown, % (at most)", at, shown, 85, studies))
    return checks


def follow(goal: str, delta: float, deviation: float, random: np.random.Generator) -> tuple[bool, int]:
    """Whether a study shows what it should at the advised number of seeds, and this number."""
    deviations = np.array([1, deviation, *[1.0] * (ARMS - 1)])[:, None]
    effect = np.array([0, delta if goal == DIFFERENCE else 0, *[0.0] * (ARMS - 1)])[:, None]
    pilot = random.standard_normal((ARMS + 1, PILOT)) * deviations + effect
    plan = plan_seeds(judge(pilot, delta).comparisons["arm 1"], ARMS, delta, goal)
    if plan is None or plan.advised > MOST:
        return False, MOST + 1
    more = random.standard_normal((ARMS + 1, plan.advised - PILOT)) * deviations + effect
    found = judge(np.concatenate([pilot, more], 1), delta).comparisons["arm 1"]
    if goal == DIFFERENCE:
        return not found.low <= 0 <= found.high, plan.advised
    return max(-found.narrow_low, found.narrow_high) < delta, plan.advised


def judge(values: Array, delta: float) -> ComparisonFamily:
    """The comparison of [row, seed], the baseline first."""
    baseline, *arms = (dict(enumerate(map(float, row))) for row in values)
    return compare(baseline, {f"arm {i}": arm for i, arm in enumerate(arms, 1)}, delta=delta)
