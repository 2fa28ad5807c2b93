"""What a difference and its intervals say, and how often it is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import stdtrit

from dnntrain.statistics import verdict
from dnntrain.statistics.distributions import tail_level
from dnntrain.statistics.moderation import moderate
from tests.statistics.tables import at_most, normal, study


@pytest.mark.parametrize(
    ("difference", "margin", "narrow", "higher", "lower"),
    [
        (0.5, 0.4, 0.3, "better", "worse"),
        (-0.5, 0.4, 0.3, "worse", "better"),
        (0.15, 0.1, 0.08, "better, but within ±δ", "worse, but within ±δ"),
        (-0.15, 0.1, 0.08, "worse, but within ±δ", "better, but within ±δ"),
        (0.0, 0.35, 0.25, "equivalent", "equivalent"),  # the wide interval may stick out
        (0.1, 0.1, 0.08, "equivalent", "equivalent"),  # 0 at the end of the interval is not excluded
        (0.1, 0.3, 0.2, "inconclusive", "inconclusive"),  # δ at the end of the narrow one is not inside
        (0.3, 0.6, 0.5, "inconclusive", "inconclusive"),
    ],
)
def test_verdict(difference: float, margin: float, narrow: float, higher: str, lower: str) -> None:
    assert verdict(difference, margin, narrow, 0.3) == higher
    assert verdict(difference, margin, narrow, 0.3, higher_is_better=False) == lower


STUDIES = 10_000


def intervals(values: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Differences and half-widths [study, arm] of simulated studies, the first arm being the baseline."""
    found = moderate(values[:, 1:] - values[:, :1])
    tail = tail_level(found.mean.shape[1], values.shape[-1], level)
    return found.mean, -stdtrit(found.df, tail / 2) * found.se


def test_the_simulation_judges_as_compare_does() -> None:
    values = normal(40, 5, (1, 1, 1, 4), effect=2.0)
    for table, differences, margins in zip(values, *intervals(values), strict=True):
        found = study(table).comparisons.values()
        assert [each.difference - each.low for each in found] == pytest.approx(margins)
        assert [each.p < 0.05 for each in found] == list(np.abs(differences) > margins)


@pytest.mark.parametrize(
    ("n", "deviations", "error"),
    [
        (3, (1, 1, 1, 1, 1, 1), 0.033),
        (3, (1, 1, 4), 0.067),
        (5, (1, 1, 1, 1, 1, 1), 0.042),
        (5, (2, 1, 1, 1, 1, 1), 0.059),
        (5, (1, 1, 1, 1, 1, 4), 0.046),
        (10, (1, 1, 1, 1, 1, 1), 0.048),
        (10, (1.5, 1, 1, 1, 1, 1), 0.052),
    ],
)
def test_the_family_wise_error_is_that_of_the_specification(
    n: int, deviations: tuple[float, ...], error: float
) -> None:
    difference, margin = intervals(normal(STUDIES, n, deviations, seed=1))
    wrong = (np.abs(difference) > margin).any(1).mean()
    assert wrong == pytest.approx(error, abs=3.5 * math.sqrt(error * (1 - error) * (1 / STUDIES + 1 / 10_000)))
    assert (np.abs(difference) > margin).mean(0).max() <= 0.055  # each interval


@pytest.mark.parametrize(("n", "power"), [(3, 0.18), (5, 0.55), (10, 0.94)])
def test_power_at_two_deviations_is_that_of_the_specification(n: int, power: float) -> None:
    difference, margin = intervals(normal(STUDIES, n, (1,) * 6, effect=2.0, seed=2))
    assert (np.abs(difference) > margin)[:, 0].mean() == pytest.approx(power, abs=0.02)


def test_equivalence_errs_in_at_most_5_percent() -> None:
    """All five arms exactly at δ: any of them is called equivalent."""
    values = normal(STUDIES, 10, (1,) * 6, seed=3)
    values[:, 1:] += 1.5
    difference, narrow = intervals(values, level=0.9)
    assert (np.abs(difference) + narrow < 1.5).any(1).mean() <= at_most(0.05, STUDIES)
    at_zero = normal(STUDIES, 10, (1,) * 6, seed=4)
    difference, narrow = intervals(at_zero, level=0.9)
    assert (np.abs(difference) + narrow < 2.0).mean() > 0.9


def test_the_smallest_detectable_effect_is_detected_in_four_of_five_studies() -> None:
    """On average over the pilots' own estimates of the variance."""
    pilots = normal(60, 10, (1,) * 6, seed=5)
    effects = [study(pilot).comparisons["arm 0"].smallest_detectable for pilot in pilots]
    difference, margin = intervals(normal(STUDIES, 10, (1,) * 6, effect=float(np.mean(effects)), seed=6))
    assert (np.abs(difference) > margin)[:, 0].mean() == pytest.approx(0.8, abs=0.06)
