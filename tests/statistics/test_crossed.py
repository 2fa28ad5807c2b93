"""Seeds and test examples, crossed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dnntrain.statistics import crossed_error


def tables(
    random: np.random.Generator, n: int, examples: int, by_seed: float, by_example: float, rest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Per-example values whose differences have these standard deviations."""
    differences = by_seed * random.standard_normal((n, 1)) + by_example * random.standard_normal(examples)
    differences = differences + rest * random.standard_normal((n, examples))
    baseline = random.standard_normal((n, examples))
    return baseline + differences, baseline


def test_by_hand() -> None:
    # differences 1 3 / 3 7: seeds' means 2, 5; examples' means 2, 5; the interaction is ±.5: MS_rest = 1
    found = crossed_error(np.array([[1.0, 3.0], [3.0, 7.0]]), np.zeros((2, 2)))
    assert found.difference == 3.5
    assert (found.over_seeds, found.over_examples) == pytest.approx((4.5 / 2, 4.5 / 2))
    assert found.over_both == pytest.approx(2.25 + 2.25 - 1 / 4)
    assert found.df == pytest.approx(4.25**2 / (2.25**2 + 2.25**2 + 0.25**2))
    assert found.other_test_set == pytest.approx(math.sqrt(2.25))


def test_parts_are_those_of_the_paired_tests() -> None:
    random = np.random.default_rng(0)
    arm, baseline = random.random((5, 300)) < 0.8, random.random((5, 300)) < 0.75
    found = crossed_error(arm, baseline)
    differences = arm.astype(float) - baseline
    assert math.sqrt(found.over_seeds) == pytest.approx(stats.sem(differences.mean(1)))
    assert math.sqrt(found.over_examples) == pytest.approx(stats.sem(differences.mean(0)))


def test_variances_are_estimated_without_bias() -> None:
    """Over both: σ²_seeds/n + σ²_examples/N + σ²_rest/(nN), where no part is so small that it is cut off."""
    random = np.random.default_rng(1)
    found = [crossed_error(*tables(random, 6, 50, 1.0, 5.0, 3.0)) for _ in range(4000)]
    expected = 1.0**2 / 6 + 5.0**2 / 50 + 3.0**2 / 300
    assert np.mean([each.over_both for each in found]) == pytest.approx(expected, rel=0.03)
    assert np.mean([each.other_test_set**2 for each in found]) == pytest.approx(5.0**2 / 50 + 3.0**2 / 300, rel=0.03)


@pytest.mark.parametrize(("by_seed", "by_example"), [(0.3, 2.0), (0.05, 2.0), (0.5, 0.5)])
def test_the_interval_over_both_covers(by_seed: float, by_example: float) -> None:
    random, covered = np.random.default_rng(2), 0
    for _ in range(2000):
        found = crossed_error(*tables(random, 5, 100, by_seed, by_example, 3.0))
        covered += abs(found.difference) <= stats.t.isf(0.025, found.df) * math.sqrt(found.over_both)
    assert covered / 2000 >= 0.935


def test_either_part_alone_is_a_lower_bound() -> None:
    """Without any differences between seeds or examples, the sum less the rest can fall below a part."""
    random, reached = np.random.default_rng(3), False
    for _ in range(200):
        found = crossed_error(*tables(random, 3, 20, 0.0, 0.0, 1.0))
        assert found.over_both >= max(found.over_seeds, found.over_examples)
        assert found.df > 0 and found.other_test_set > 0
        reached = reached or found.df in (2, 19)
    assert reached


def test_a_single_seed_knows_only_the_examples() -> None:
    found = crossed_error(np.array([[1.0, 0.0, 1.0, 1.0]]), np.array([[0.0, 0.0, 1.0, 0.0]]))
    assert math.isnan(found.over_seeds) and math.isnan(found.over_both) and math.isnan(found.df)
    assert found.other_test_set == pytest.approx(stats.sem([1, 0, 0, 1]))


def test_equal_arms_have_no_error() -> None:
    same = np.ones((3, 5))
    with np.errstate(all="raise"):
        found = crossed_error(same, same)
    assert (found.difference, found.over_both, found.other_test_set) == (0, 0, 0) and math.isnan(found.df)


def test_unlike_tables_are_refused() -> None:
    for arm, baseline in (((3, 5), (3, 4)), ((5,), (5,)), ((3, 1), (3, 1)), ((0, 5), (0, 5))):
        with pytest.raises(ValueError, match="two equal tables"):
            crossed_error(np.zeros(arm), np.zeros(baseline))
