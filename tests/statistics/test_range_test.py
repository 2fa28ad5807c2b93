"""What a range test's losses suggest: by curves whose least loss and divergence are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dnntrain.errors import InputError
from dnntrain.statistics.range_test import RangeTest, RateRange, diverged_at, smoothed

TRIED = RateRange(1e-4, 1.0, 201)


def valley(least: float, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """Losses that fall from 2 to 1 at a rate, and rise again, as a parabola of the rate's logarithm."""
    distance = np.log10(TRIED.rates() / least)
    losses: np.ndarray = np.minimum(2.0, 1 + distance**2) + np.random.default_rng(seed).normal(0, noise, 201)
    return losses


def made_of(*losses: np.ndarray) -> RangeTest:
    return RangeTest(TRIED, tuple(range(len(losses))), np.stack(losses, axis=1))


def test_a_third_and_a_tenth_of_the_rate_with_the_least_loss() -> None:
    found = made_of(valley(0.03)).suggestions
    assert found["third"].rate == pytest.approx(0.01, rel=0.05)
    assert found["tenth"].rate == pytest.approx(0.003, rel=0.05)
    assert 0.003 < found["steepest"].rate < 0.006  # where the parabola begins


def test_seeds_are_averaged_by_their_logarithms_with_their_range() -> None:
    third = made_of(valley(0.01), valley(0.09)).suggestions["third"]
    assert [third.low, third.rate, third.high] == pytest.approx([0.01 / 3, 0.01, 0.03], rel=0.05)


def test_smoothing_shifts_nothing_and_keeps_a_line() -> None:
    line = np.linspace(3, 1, 201)
    np.testing.assert_allclose(smoothed(line, 201)[10:-10], line[10:-10])
    noisy = [made_of(valley(0.03, 0.1, seed)).suggestions["third"].rate for seed in range(30)]
    assert np.exp(np.mean(np.log(noisy))) == pytest.approx(0.01, rel=0.15)


@pytest.mark.parametrize(
    ("losses", "end"),
    [
        ([2.0] * 30, 30),
        ([2.0] * 10 + [np.nan] + [1.0] * 10, 10),
        ([2.0] * 10 + [np.inf], 10),
        ([2.0] * 10 + [0.1] * 10 + [1.9] * 10, 30),  # no more than at the start
        ([2.0] * 10 + [0.4] * 10 + [10.0] * 10, 21),  # the mean of five is 2.3 with the second of them
        ([2.0] * 10 + [0.4] * 10 + [9.0] + [0.4] * 10, 20),
        ([np.nan], 0),
        ([1.0, 2.0], 2),
    ],
)
def test_divergence(losses: list[float], end: int) -> None:
    assert diverged_at(np.array(losses)) in (end, end - 1)


def test_nothing_is_suggested_where_the_loss_never_falls() -> None:
    test = made_of(np.linspace(1, 2, 201), np.full(201, np.nan))
    assert np.isnan(test.suggestions["third"].rate)
    assert np.isnan(test.band[1]).sum() == 0 and np.isnan(test.curves[:, 1]).all()
    assert not test.falls_to_the_end


def test_a_loss_that_falls_to_the_end_is_noticed() -> None:
    assert made_of(np.linspace(2, 1, 201)).falls_to_the_end and not made_of(valley(0.1)).falls_to_the_end


def test_a_seed_that_diverged_leaves_the_mean_to_the_others() -> None:
    broken = valley(0.01)
    broken[150:] = np.inf
    low, mean, high = made_of(broken, valley(0.01)).band
    np.testing.assert_allclose(mean[160:], made_of(valley(0.01)).band[1][160:])
    assert (low <= mean).all() and (mean <= high).all()


@pytest.mark.parametrize(("low", "high", "steps"), [(1, 1, 100), (0, 1, 100), (-1, 1, 100), (1e-3, 1e7, 100)])
def test_rates_that_cannot_be_tried_are_refused(low: float, high: float, steps: int) -> None:
    with pytest.raises(InputError, match=r"from .* to .*: must be rates that grow, above 0 and at most 1e6"):
        RateRange(low, high, steps)
    with pytest.raises(InputError, match="steps 5: must be from 20 to 100000"):
        RateRange(steps=5)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"low": "x"}, "from 'x': must be a number"),
        ({"high": None}, "to None: must be a number"),
        ({"steps": 30.5}, "steps 30.5: must be a whole number"),
        ({"steps": "many"}, "steps 'many': must be a whole number"),
    ],
)
def test_what_is_no_number_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=f"^{said}$"):
        RateRange(**wrong)
