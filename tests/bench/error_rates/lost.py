"""Runs that diverge and count as chance: the verdicts on their arm, and the power of the other arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dnntrain.statistics.distributions import Array
from tests.bench.error_rates.checks import Check, monte_carlo_error, number_of_studies
from tests.bench.error_rates.methods import moderated_margins

CHANCE = 10.0
"""Accuracy of a lost run, in points; the SD of a run is one point."""

ARMS = 4


@dataclass(frozen=True)
class Truth:
    """What happens to the first arm. The second gains 2 points, the others nothing."""

    name: str
    gain: float
    """Points above the baseline, if the run does not diverge."""
    lost: float
    """Probability that a run of the arm diverges."""
    reference: Mapping[int, tuple[float, float]]
    """By seeds: in how many percent of studies the reference called the arm better, and worse."""
    baseline_lost: float = 0.0
    baseline: float = 85.0


TRUTHS = (
    Truth("lost with .2: worse by 15", 0, 0.2, {3: (0.1, 1.0), 5: (0.2, 0.4), 8: (0.1, 1.6), 10: (0.1, 1.7)}),
    Truth("+2, lost with .2: worse by 13", 2, 0.2, {3: (10.1, 0.6), 5: (19.9, 0.1), 8: (15.6, 0.9), 10: (9.9, 0.6)}),
    Truth("+2, lost with .4: worse by 29", 2, 0.4, {3: (4.2, 5.6), 5: (3.9, 1.4), 8: (1.5, 16.8), 10: (0.7, 16.7)}),
    Truth("+18.75, lost with .2: equal", 18.75, 0.2, {3: (50.1, 0.7), 5: (33.5, 0), 8: (17.3, 0.1), 10: (10.8, 0)}),
    Truth("+2, lost with .8", 2, 0.8, {3: (0, 51.5), 5: (0, 33.3), 8: (0, 92.8), 10: (0, 96.1)}),
    Truth("never finishes", 2, 1.0, {3: (0, 100), 5: (0, 100), 8: (0, 100), 10: (0, 100)}),
    Truth("both lost with .2: equal", 0, 0.2, {3: (0.5, 0.5), 5: (0.1, 0.1), 8: (0.3, 0.2), 10: (0.4, 0.2)}, 0.2),
    Truth("baseline lost with .4", 0, 0, {3: (6.8, 0.1), 5: (3.4, 0), 8: (17.5, 0), 10: (25.8, 0)}, 0.4),
    Truth("baseline never finishes", 0, 0, {3: (100, 0), 5: (100, 0), 8: (100, 0), 10: (100, 0)}, 1.0),
    Truth("40 %, +30, lost with .4: better by 6", 30, 0.4, {5: (7.9, 1.0), 8: (1.8, 0.1)}, 0.0, 40.0),
)


def lost_runs(scale: float) -> list[Check]:
    """Simulate arms that lose runs."""
    checks = []
    studies = number_of_studies(3_000, scale)
    print(f"\nFour arms, SD of a run 1 point, chance {CHANCE:g} %; {studies:,} studies a row\n")
    print(f"{'':44}{'better %':>9}{'worse %':>9}   (reference)      another arm, better by 2: found, %")
    for truth in TRUTHS:
        for n, reference in truth.reference.items():
            better, worse, beside = simulate(truth, n, studies)
            at = f"n = {n:2}, {truth.name}"
            print(f"{at:44}{better:9.1f}{worse:9.1f}   ({reference[0]:g} / {reference[1]:g}){beside:20.1f}", flush=True)
            for word, value, expected in zip(("better", "worse"), (better, worse), reference, strict=True):
                slack = 2 * 2**0.5 * monte_carlo_error(max(expected, 0.1), studies)
                distance = abs(value - expected)
                checks.append(Check("lost runs, points from the reference", f"{at}, {word}", distance, 3, slack))
    return checks


def simulate(truth: Truth, n: int, studies: int) -> tuple[float, float, float]:
    """In how many percent of studies the first arm is called better and worse, and the second one better."""
    random = np.random.default_rng([21, n, TRUTHS.index(truth)])
    values = truth.baseline + random.standard_normal((studies, ARMS + 1, n))
    values[:, 1] += truth.gain
    values[:, 2] += 2
    for row, probability in ((0, truth.baseline_lost), (1, truth.lost)):
        values[:, row][random.random((studies, n)) < probability] = CHANCE
    differences: Array = values[:, 1:] - values[:, :1]
    # an arm that equals the baseline at every seed is not judged; noise stands for its missing variance
    equal = np.ptp(differences, axis=-1) == 0
    differences[equal] += 1e-9 * random.standard_normal((int(equal.sum()), n))
    means, margins = differences.mean(-1), moderated_margins(differences)
    better, worse = (means > margins) & ~equal, (means < -margins) & ~equal
    return tuple(100 * float(said.mean()) for said in (better[:, 0], worse[:, 0], better[:, 1]))  # type: ignore[return-value]
