"""Tables of runs that several tests of the statistics use."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dnntrain.statistics import ComparisonFamily, compare

ELU = [0.871, 0.874, 0.869, 0.880, 0.872]
RELU = [0.866, 0.871, 0.868, 0.873, 0.870]

STUDY = {
    "base": [70.0, 72, 71, 75, 74],
    "a": [73.0, 75, 75, 77, 78],
    "b": [70.0, 73, 70, 76, 73],
    "c": [60.0, 80, 71, 66, 90],
}


def by_seed(values: list[float] | np.ndarray) -> dict[int, float]:
    return {seed: float(value) for seed, value in enumerate(values)}


def table(values: Mapping[str, list[float]]) -> dict[str, dict[int, float]]:
    return {name: by_seed(row) for name, row in values.items()}


def study(values: np.ndarray, delta: float = 0.3, **options: object) -> ComparisonFamily:
    """The comparison of a table of arms × seeds; the first row is the baseline."""
    baseline, *arms = (by_seed(row) for row in values)
    return compare(baseline, {f"arm {i}": arm for i, arm in enumerate(arms)}, delta=delta, **options)  # type: ignore[arg-type]


def normal(studies: int, n: int, deviations: tuple[float, ...], effect: float = 0.0, seed: int = 0) -> np.ndarray:
    """Studies [study, arm, seed] of normal values; the first arm is the baseline, the second has the effect."""
    values = np.random.default_rng(seed).standard_normal((studies, len(deviations), n))
    values *= np.array(deviations)[:, None]
    values[:, 1] += effect
    return values


def at_most(rate: float, studies: int) -> float:
    """A rate plus 2.6 of its Monte Carlo errors."""
    return rate + 2.6 * math.sqrt(rate * (1 - rate) / studies)
