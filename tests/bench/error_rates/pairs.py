"""Error of all comparisons in pairs, over the scenarios of the grid."""

from __future__ import annotations

import numpy as np

from dnntrain.statistics.distributions import Array
from dnntrain.statistics.moderation import moderate
from tests.bench.error_rates.checks import Check, at_least, at_most, number_of_studies
from tests.bench.error_rates.methods import critical
from tests.bench.error_rates.scenarios import scenarios


def all_pairs(scale: float) -> list[Check]:
    """Simulate comparisons of every arm with every other."""
    checks = []
    for n in (3, 5, 10):
        for arms in (2, 4, 8):
            studies = number_of_studies(6_000 if arms < 8 else 3_000, scale)
            print(f"\nn = {n}, {arms + 1} arms in pairs, {studies:,} studies a scenario")
            print(f"{'':32}{'error %':>9}{'lowest coverage':>17}")
            random = np.random.default_rng([23, n, arms])
            normals = random.standard_normal((studies, arms + 1, n))
            for name, draw in scenarios(arms).items():
                means, margins = pair_margins(draw(normals, random))
                outside = np.abs(means) > margins
                error, coverage = 100 * float(outside.any(1).mean()), 100 - 100 * float(outside.mean(0).max())
                print(f"{name:32}{error:9.2f}{coverage:17.2f}", flush=True)
                at = f"n = {n}, {arms + 1} arms, {name}"
                target, bound = ("error % of pairs, n ≥ 5", 7.0) if n >= 5 else ("error % of pairs, n = 3", 8.0)
                checks.append(at_most(target, at, error, bound, studies))
                checks.append(at_least("coverage % of an interval, pairs", at, coverage, 94.5, studies))
    return checks


def pair_margins(values: Array) -> tuple[Array, Array]:
    """Mean differences and half widths, [study, pair], of [study, row, seed], as in `dnntrain.statistics.pairs`."""
    studies, rows, n = values.shape
    errors, df = np.zeros((2, studies, rows, rows))
    for i in range(rows):
        others = np.delete(np.arange(rows), i)
        found = moderate(values[:, others] - values[:, i : i + 1])
        errors[:, i, others], df[:, i, others] = found.se, found.df
    first, second = np.triu_indices(rows, 1)
    (error, other_error), (pair_df, other_df) = (
        (each[:, first, second], each[:, second, first]) for each in (errors, df)
    )
    backward = np.where(np.isclose(error, other_error, rtol=1e-9, atol=0), other_df < pair_df, other_error > error)
    error, pair_df = np.where(backward, other_error, error), np.where(backward, other_df, pair_df)
    means = values.mean(-1)
    return means[:, second] - means[:, first], critical(pair_df, rows - 1, n, pairwise=True) * error
