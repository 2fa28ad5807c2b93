"""Each arm's mean difference from the baseline and its standard error, by the method that the user chose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dnntrain.statistics.descriptive import pairs
from dnntrain.statistics.distributions import Array
from dnntrain.statistics.moderation import Pool, arm_level, moderate, moderate_alone
from dnntrain.statistics.significance import TTest, paired_t, welch_t

ValuesBySeed = Mapping[int, float]
"""An arm's values by seed."""

MODERATED, DUNNETT, PAIRED, WELCH = METHODS = ("moderated", "dunnett", "paired", "welch")
"""The methods of `compare_arms`. The first is the default; the others are for those who must report them."""


@dataclass(frozen=True)
class Estimate:
    """The difference of one arm from the baseline with its standard error."""

    test: TTest
    n: int
    """The number of pairs; if unpaired, the runs of the smaller side."""
    pooling: float = 0.0
    """How far the arm shares the pooled variance, 0 to 1."""


@dataclass(frozen=True)
class Estimates:
    """The differences of all arms from one baseline."""

    by_arm: Mapping[str, Estimate]
    k: int
    """Comparisons that are corrected for: by default those with a variance."""
    pool: Pool | None
    """The variance that the arms share, if they do."""


def estimate_arms(
    baseline: ValuesBySeed,
    arms: Mapping[str, ValuesBySeed],
    method: str = MODERATED,
    k: int | None = None,
    pool: Pool | None = None,
) -> Estimates:
    """Estimates each arm's difference from the baseline; the arguments are those of `compare_arms`.

    Raises:
        ValueError: If the method is unknown, a value is not finite, or an arm lacks seeds that `dunnett` needs.
    """
    check_values(baseline, arms, method)
    if method == WELCH:
        alone = {
            name: Estimate(welch_t([*values.values()], [*baseline.values()]), min(len(values), len(baseline)))
            for name, values in arms.items()
        }
    else:
        differences = {name: paired(values, baseline) for name, values in arms.items()}
        alone = {name: Estimate(paired_t(*pairs(arms[name], baseline)), len(d)) for name, d in differences.items()}
    judged = [name for name, estimate in alone.items() if estimate.test.judgeable]
    k = len(judged) if k is None else k
    if not judged or method in (PAIRED, WELCH):
        return Estimates(alone, k, pool)
    complete = [name for name in judged if len(differences[name]) == len(baseline)]
    if method == DUNNETT:
        return Estimates(alone | pooled_estimates(complete, differences), k, pool)
    moderated, pool = moderated_estimates(judged, complete, differences, k, pool)
    return Estimates(alone | moderated, k, pool)


def check_values(baseline: ValuesBySeed, arms: Mapping[str, ValuesBySeed], method: str) -> None:
    """Raise ValueError for a method or values that cannot be used."""
    if method not in METHODS:
        raise ValueError(f"unknown method '{method}'; known: {', '.join(METHODS)}")
    if not all(math.isfinite(value) for values in (baseline, *arms.values()) for value in values.values()):
        raise ValueError("a value is not finite")
    if method == DUNNETT:
        for name, values in arms.items():
            if missing := sorted(baseline.keys() - values.keys()):
                raise ValueError(f"method dunnett needs every arm at every seed; {name} lacks seed {missing[0]}")


def paired(ours: ValuesBySeed, theirs: ValuesBySeed) -> Array:
    """ours − theirs at the seeds that both have, in the order of the seeds."""
    x, y = pairs(ours, theirs)
    return np.array(x, dtype=np.float64) - np.array(y, dtype=np.float64)


def moderated_estimates(
    judged: list[str], complete: list[str], differences: Mapping[str, Array], k: int, pool: Pool | None
) -> tuple[dict[str, Estimate], Pool | None]:
    """Estimates with moderated variances, and the pool of the arms that have all seeds or the one that was given."""
    estimates = {}
    is_carried = pool is not None
    if complete and not is_carried:
        table = moderate(np.array([differences[name] for name in complete]))
        pool = table.pool
        for i, name in enumerate(complete):
            test = TTest(float(table.mean[i]), float(table.se[i]), float(table.df[i]))
            estimates[name] = Estimate(test, len(differences[name]), float(table.pooling[i]))
    for name in judged:
        if name not in estimates:
            n = len(differences[name])
            # arms that were in the carried pool are doubted only from the usual level on
            alone = moderate_alone(differences[name], pool, k, arm_level(n, k) if is_carried else 1.0)
            test = TTest(float(alone.mean[0]), float(alone.se[0]), float(alone.df[0]))
            estimates[name] = Estimate(test, n, float(alone.pooling[0]))
    return estimates, pool


def pooled_estimates(names: list[str], differences: Mapping[str, Array]) -> dict[str, Estimate]:
    """Estimates that share the residual mean square of the layout arm + seed, baseline included."""
    table = np.array([differences[name] for name in names])
    rows = np.concatenate([np.zeros_like(table[:1]), table - table.mean(-1, keepdims=True)])
    n, df = table.shape[1], len(names) * (table.shape[1] - 1)
    se = math.sqrt(2 * float(((rows - rows.mean(0)) ** 2).sum()) / df / n)
    return {
        name: Estimate(TTest(float(d.mean()), se, df), n, pooling=1.0)
        for name, d in ((name, differences[name]) for name in names)
    }
