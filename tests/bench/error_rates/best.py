"""How often the best arm is in the set of those without a clear difference from the best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dnntrain.statistics import LEVEL
from dnntrain.statistics.distributions import Array
from dnntrain.statistics.moderation import moderate
from tests.bench.error_rates.checks import Check, at_least, number_of_studies
from tests.bench.error_rates.methods import critical

ARMS = 6
TRUTHS: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "all equal": ([0] * ARMS, [1] * ARMS),
    "one best by 2 SD": ([2, 0, 0, 0, 0, 0], [1] * ARMS),
    "steps of 1 SD": ([5, 4, 3, 2, 1, 0], [1] * ARMS),
    "all equal, another 4x": ([0] * ARMS, [1, 1, 1, 1, 1, 4]),
    "all equal, the best 4x": ([0] * ARMS, [4, 1, 1, 1, 1, 1]),
    "best by 2 and 4x": ([2, 0, 0, 0, 0, 0], [4, 1, 1, 1, 1, 1]),
}
"""True means and standard deviations. The first arm is the best, or one of the best."""


def best_set(scale: float) -> list[Check]:
    """Simulate which arms are kept."""
    checks = []
    studies = number_of_studies(4_000, scale)
    print(f"\nSix arms; {studies:,} studies a row\n\n{'':32}{'best is kept %':>16}{'arms kept':>12}")
    for name, (means, deviations) in TRUTHS.items():
        for n in (3, 5, 10):
            random = np.random.default_rng([22, n])
            values = random.standard_normal((studies, ARMS, n)) * np.array(deviations)[:, None]
            kept = not_beaten(values + np.array(means)[:, None])
            share, at = 100 * float(kept[:, 0].mean()), f"n = {n:2}, {name}"
            print(f"{at:32}{share:16.1f}{kept.sum(1).mean():12.2f}", flush=True)
            checks.append(at_least("the best arm is in the set, %", at, share, 95, studies))
    return checks


def not_beaten(values: Array) -> Array:
    """Whether each arm of [study, arm, seed] is in the best set, as `dnntrain.statistics.best` has it."""
    _, arms, n = values.shape
    kept = []
    for i in range(arms):
        found = moderate(np.delete(values, i, 1) - values[:, i : i + 1])
        margins = critical(found.df, arms - 1, n, 2 * LEVEL - 1) * found.se
        kept.append((found.mean <= margins).all(1))
    return np.stack(kept, 1)
