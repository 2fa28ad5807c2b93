"""Levels for several looks, against the normal theory of group-sequential tests and simulated studies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import stdtr

from dnntrain.statistics import dunnett_p, look_levels, looks_up_to, sequential_levels
from dnntrain.statistics.moderation import moderate
from dnntrain.statistics.sequential import LEVELS, LOOKS, OTHER_ARMS
from tests.statistics.tables import at_most, normal


def normal_boundaries(looks: int, power: float, alpha: float = 0.05) -> list[float]:
    """Two-sided boundaries of z at equally spaced looks, by numerical integration (Armitage, McPherson, Rowe 1969)."""
    grid = np.linspace(-8, 8, 4001) * math.sqrt(looks)  # of the sum of the independent increments
    step, density, spent, boundaries = grid[1] - grid[0], None, 0.0, []
    for look in range(1, looks + 1):
        if density is None:
            density = stats.norm.pdf(grid)
        else:
            reach = 10 / step
            kernel = stats.norm.pdf(np.arange(-int(reach), int(reach) + 1) * step)
            density = np.convolve(density, kernel, "same") * step
        due = alpha * (look / looks) ** power - spent
        beyond = np.cumsum(density[::-1])[::-1] * step  # symmetric, so one tail is enough
        at = np.searchsorted(-beyond[len(grid) // 2 :], -due / 2) + len(grid) // 2
        share = (beyond[at - 1] - due / 2) / (beyond[at - 1] - beyond[at])
        cut = grid[at - 1] + (share - 0.5) * step
        boundaries.append(cut / math.sqrt(look))
        density = np.where(np.abs(grid) < cut, density, 0.0)
        spent += due
    return boundaries


def test_the_integration_gives_known_boundaries() -> None:
    """Linear spending with five looks: DeMets and Lan (1994), Statistics in Medicine 13, table of boundaries."""
    assert normal_boundaries(5, 1.0) == pytest.approx([2.58, 2.49, 2.41, 2.34, 2.28], abs=0.011)
    assert normal_boundaries(1, 1.5) == pytest.approx([1.96], abs=0.005)


@pytest.mark.parametrize(("looks", "power"), [(5, 1.0), (4, 1.5), (3, 3.0)])
def test_many_seeds_give_the_boundaries_of_the_normal_theory(looks: int, power: float) -> None:
    seeds = [60 * look for look in range(1, looks + 1)]
    levels = sequential_levels(1, seeds, power=power, studies=30_000)
    z = [stats.t.isf(level / 2, n - 1) for level, n in zip(levels, seeds, strict=True)]
    found = stats.norm.isf(np.array(levels) / 2)
    assert found == pytest.approx(normal_boundaries(looks, power), abs=0.07)
    assert z[-1] == pytest.approx(normal_boundaries(looks, power)[-1], abs=0.05)


def test_a_single_look_has_the_whole_error() -> None:
    assert look_levels((7,)) == (0.05,)
    assert sequential_levels(1, [6], studies=50_000) == pytest.approx([0.05], abs=0.003)


def test_the_shipped_levels_are_a_little_below_those_of_any_number_of_arms() -> None:
    assert look_levels((5, 7, 10, 14, 20)) == LEVELS == (0.0055, 0.0051, 0.0095, 0.0162, 0.0285)
    found = np.array([sequential_levels(k, LOOKS, studies=20_000) for k in (1, 4)])
    assert found[0, 0] == pytest.approx(0.05 * 0.25**1.5, abs=0.0018)  # one arm's first look is an exact t test
    assert (np.array(LEVELS) / found < 1.1).all() and (np.array(LEVELS) / found > 0.65).all()


def test_other_looks_take_a_little_less_than_the_levels_for_one_arm() -> None:
    found = look_levels((4, 8, 12, 16))
    assert found == pytest.approx([OTHER_ARMS * level for level in (0.0066, 0.0121, 0.0200, 0.0285)], abs=1e-4)
    assert found == look_levels((4, 8, 12, 16))


def test_the_levels_repeat_bit_for_bit_however_they_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    once = sequential_levels(1, (5, 10), studies=5000)
    monkeypatch.setattr("dnntrain.statistics.sequential.CHUNK", 700)
    assert sequential_levels(1, (5, 10), studies=5000) == once
    assert sequential_levels(1, (5, 10), studies=5000, seed=1) != once


def test_looks_up_to_a_maximum() -> None:
    assert looks_up_to(20) == LOOKS and looks_up_to(7) == (5, 7) and looks_up_to(8) == (5, 7, 8)
    assert looks_up_to(14) == (5, 7, 10, 14) and looks_up_to(50) == (5, 7, 10, 14, 50)
    with pytest.raises(ValueError, match="at least 7 seeds, not 6"):
        looks_up_to(6)


def test_more_seeds_than_can_be_simulated_are_refused() -> None:
    for compute in (lambda: looks_up_to(999_999), lambda: look_levels((5, 999_999))):
        with pytest.raises(ValueError, match="at most 1,000 seeds, not 999,999"):
            compute()


@pytest.mark.parametrize("looks", [(), (1, 5), (5, 5), (7, 5)])
def test_looks_that_do_not_increase_are_refused(looks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="increasing"):
        look_levels(looks)


@pytest.mark.parametrize("deviations", [(1, 1, 1, 1, 1), (1, 1, 1, 1, 4), (2, 1, 1, 1, 1)])
def test_the_error_over_all_looks(deviations: tuple[float, ...]) -> None:
    """All arms go on until the last look; peeking at fixed levels errs in 15 %."""
    studies, k = 8000, len(deviations) - 1
    values = normal(studies, LOOKS[-1], deviations, seed=3)
    differences = values[:, 1:] - values[:, :1]
    wrong, peeking = np.zeros(studies, bool), np.zeros(studies, bool)
    for n, level in zip(LOOKS, LEVELS, strict=True):
        arms = moderate(differences[..., :n])
        tails = stdtr(arms.df, -np.abs(arms.mean) / arms.se).min(1)
        for flags, allowed in ((wrong, level), (peeking, 0.05)):
            critical = stats.t.isf(tail_at(allowed, k, n) / 2, k * (n - 1))
            flags |= stats.t.isf(tails, k * (n - 1)) > critical
    assert wrong.mean() <= at_most(0.06, studies)
    if deviations == (1, 1, 1, 1, 1):
        assert peeking.mean() > 0.12


def tail_at(level: float, k: int, n: int) -> float:
    """The two-sided tail of t at which the family's p is the level, by bisection."""
    low, high = 1e-9, level
    for _ in range(60):
        middle = math.sqrt(low * high)
        p = dunnett_p(float(stats.t.isf(middle / 2, k * (n - 1))), k, k * (n - 1))
        low, high = (middle, high) if p < level else (low, middle)
    return low
