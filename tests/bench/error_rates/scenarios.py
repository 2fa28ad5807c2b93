"""The structures of variances and correlations that the simulated studies have.

A study has a row for the baseline, which comes first, and one for each arm. What a seed does to all rows alike is left
out, since it cancels in the differences from the baseline.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from dnntrain.statistics.distributions import Array

Draw = Callable[[Array, np.random.Generator], Array]
"""Turns standard normal values, [study, row, seed], into studies of a scenario without any true difference."""

EQUAL, ONE_ARM_4X, ONE_ARM_10X = "equal", "one arm 4x", "one arm 10x"


def scaled(deviations: Sequence[float], values: Array, random: np.random.Generator) -> Array:
    """Normal rows with the given standard deviations."""
    return np.asarray(values * np.asarray(deviations)[:, None])


def opposed(strength: float, values: Array, random: np.random.Generator) -> Array:
    """What a seed does to the arms, it does the other way round to the baseline, with this standard deviation."""
    effect = strength * random.standard_normal((len(values), 1, values.shape[-1]))
    return np.concatenate([values[:, :1] - effect, values[:, 1:] + effect], 1)


def grouped(groups: Sequence[slice], values: Array, random: np.random.Generator) -> Array:
    """Rows of one group correlate with r = .8, all other pairs of rows with r = 0."""
    values = values.copy()
    for rows in groups:
        common = random.standard_normal((len(values), 1, values.shape[-1]))
        values[:, rows] = np.sqrt(0.8) * common + np.sqrt(0.2) * values[:, rows]
    return values


def heavy_tailed(df: float, deviations: Sequence[float], values: Array, random: np.random.Generator) -> Array:
    """Rows that follow Student's t; its own standard deviation is not taken out."""
    return np.asarray(random.standard_t(df, values.shape) * np.asarray(deviations)[:, None])


def skewed(deviations: Sequence[float], values: Array, random: np.random.Generator) -> Array:
    """Exponential rows with the long tail on the left, as that of an accuracy, around a mean of 0."""
    return np.asarray((1 - random.exponential(1, values.shape)) * np.asarray(deviations)[:, None])


def correlated(covariance: Array, values: Array, random: np.random.Generator) -> Array:
    """Normal rows with this covariance; there are as many as it has."""
    drawn = random.standard_normal((len(values), len(covariance), values.shape[-1]))
    return np.asarray(np.linalg.cholesky(covariance) @ drawn)


def near_copies(correlations: Sequence[float], values: Array, random: np.random.Generator) -> Array:
    """Arms that correlate with the baseline as given, but otherwise not with each other."""
    r = np.asarray(correlations)[:, None]
    return np.concatenate([values[:, :1], r * values[:, :1] + np.sqrt(1 - r**2) * values[:, 1:]], 1)


def random_deviations(with_baseline: bool, values: Array, random: np.random.Generator) -> Array:
    """Each study draws its own log-normal standard deviations."""
    log_deviation = 0.7 * random.standard_normal((*values.shape[:2], 1))
    if not with_baseline:
        log_deviation[:, 0] = 0
    return np.asarray(values * np.exp(log_deviation))


def random_factors(factors: int, values: Array, random: np.random.Generator) -> Array:
    """Each study draws the rows' loadings on common factors from N(0, 1)."""
    studies, rows, n = values.shape
    loadings = random.standard_normal((studies, rows, factors))
    return np.asarray(values + loadings @ random.standard_normal((studies, factors, n)))


def recorded_covariance(name: str, shrinkage: float = 0.0) -> Array:
    """The covariance of the arms of a real study; shrunk towards its diagonal where it is nearly singular."""
    matrices = json.loads(Path(__file__).with_name("covariances.json").read_text(encoding="utf-8"))
    covariance = np.array(matrices[name])
    return np.asarray((1 - shrinkage) * covariance + shrinkage * np.diag(np.diag(covariance)))


def scenarios(arms: int) -> dict[str, Draw]:
    """The scenarios of the grid for a number of arms; one arm leaves only those that then differ."""
    ones, half, three_quarters = [1.0] * arms, 1 + arms // 2, 1 + 3 * arms // 4
    draws: dict[str, Draw] = {
        EQUAL: partial(scaled, [1, *ones]),
        "baseline 4x": partial(scaled, [4, *ones]),
        "t4": partial(heavy_tailed, 4, [np.sqrt(0.5)] * (1 + arms)),
        "skewed": partial(skewed, [1, *ones]),
    }
    if arms == 1:
        return draws
    draws |= {
        "one arm 2x": partial(scaled, [1, *ones[1:], 2]),
        ONE_ARM_4X: partial(scaled, [1, *ones[1:], 4]),
        ONE_ARM_10X: partial(scaled, [1, *ones[1:], 10]),
        "two arms 4x": partial(scaled, [1, *ones[2:], 4, 4]),
        "baseline 0.5x": partial(scaled, [0.5, *ones]),
        "baseline 1.5x": partial(scaled, [1.5, *ones]),
        "baseline 2x": partial(scaled, [2, *ones]),
        "all differ 1..4": partial(scaled, [1, *np.linspace(1, 4, arms)]),
        "r<0: -s, +s": partial(opposed, 1.0),
        "r<0: -s/2, +s/2": partial(opposed, 0.5),
        "groups base+half": partial(grouped, [slice(half), slice(half, None)]),
        "groups of arms": partial(grouped, [slice(1, half), slice(half, None)]),
        "3/4 with baseline": partial(grouped, [slice(three_quarters)]),
    }
    if arms == 5:
        # these have 12 and 4 arms; they stand with the 5 arms in the middle
        draws["real: split"] = partial(correlated, recorded_covariance("split/test_acc"))
        draws["real: many"] = partial(correlated, recorded_covariance("many/test_acc"))
    return draws


HELD_OUT_ARMS = 6
COPIES = "3 arms copies r .98, 3 arms r 0"


def held_out() -> dict[str, Draw]:
    """Scenarios of six arms (the first real one has eight) that no constant of the statistics was tuned on."""
    return {
        "three arms 4x": partial(scaled, [1, 1, 1, 1, 4, 4, 4]),
        "baseline 3x, one arm 4x": partial(scaled, [3, 1, 1, 1, 1, 1, 4]),
        "SD 1 and 1, 1.5, 2, 3, 4, 5": partial(scaled, [1, 1, 1.5, 2, 3, 4, 5]),
        "baseline .25x, one arm 3x": partial(scaled, [0.25, 1, 1, 1, 1, 1, 3]),
        COPIES: partial(near_copies, [0.98] * 3 + [0.0] * 3),
        "1 arm copy r .98, 5 arms r .3": partial(near_copies, [0.98] + [0.3] * 5),
        "5 arms copies r .95, 1 arm r 0": partial(near_copies, [0.95] * 5 + [0.0]),
        "random SDs": partial(random_deviations, True),
        "random SDs, arms only": partial(random_deviations, False),
        "random factor": partial(random_factors, 1),
        "two random factors": partial(random_factors, 2),
        "baseline 2x, t3": partial(heavy_tailed, 3, [2, 1, 1, 1, 1, 1, 1]),
        "one arm 3x, skewed": partial(skewed, [1, 1, 1, 1, 1, 1, 3]),
        "real: surv2 (8 arms)": partial(correlated, recorded_covariance("surv2/test_acc", 0.2)),
        "real: eight, val_loss": partial(correlated, recorded_covariance("eight/val_loss", 0.1)),
    }
