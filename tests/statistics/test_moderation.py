"""Moderated standard errors: the specification's numbers, its formulas in plain loops, invariances, and limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dnntrain.statistics.moderation import moderate, moderate_alone, row_tests, sphericity_p
from tests.statistics.formulas import moderated
from tests.statistics.tables import STUDY, normal

DIFFERENCES = np.array([STUDY[name] for name in ("a", "b", "c")]) - np.array(STUDY["base"])


def test_the_worked_example() -> None:
    centered = DIFFERENCES - DIFFERENCES.mean(-1, keepdims=True)
    f, p = row_tests(np.concatenate([np.zeros((1, 5)), centered]))
    assert f == pytest.approx([0.02082223, 2.26131069, 3.65561988, 112.82653061], abs=1e-7)
    assert p == pytest.approx([0.9987688, 0.22439866, 0.11858878, 4.5e-7], abs=1e-7)
    assert np.minimum(1, (6 / f[1:]) ** 3).sum() == pytest.approx(2.00015039, abs=1e-8)
    found = moderate(DIFFERENCES)
    assert found.pool is not None
    assert found.pool.variance == pytest.approx(1.65168450, abs=1e-8)
    assert found.pool.df == pytest.approx(4.82155350, abs=1e-8)
    assert found.pool.p_sphericity == pytest.approx(0.03137252, abs=1e-8)
    assert found.se == pytest.approx([0.53174493, 0.51168934, 4.97995538], abs=1e-8)
    assert found.df == pytest.approx([4.76044475, 4.56262746, 4.00000247], abs=1e-8)
    assert found.pooling[2] < 1e-4 < found.pooling[0]  # c is judged by its own variance


@pytest.mark.parametrize("arms", [2, 3, 5, 20])
@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_the_formulas_in_plain_loops(arms: int, n: int) -> None:
    random = np.random.default_rng(arms * 100 + n)
    for _ in range(5):
        differences = random.standard_normal((arms, n)) * np.exp(random.standard_normal((arms, 1)))
        differences += random.standard_normal(n)  # the baseline's own noise
        found, expected = moderate(differences), moderated(differences.tolist())
        assert found.se == pytest.approx(expected["se"], rel=1e-9)
        assert found.df == pytest.approx(expected["df"], rel=1e-9)


def test_one_arm_is_the_paired_t_test() -> None:
    found = moderate(DIFFERENCES[:1])
    assert found.pool is None and found.df == [4]
    assert found.se == pytest.approx(stats.sem(DIFFERENCES[0]))


def test_studies_along_leading_axes_are_judged_alike() -> None:
    values = normal(6, 5, (1, 1, 3, 1))
    differences = values[:, 1:] - values[:, :1]
    together = moderate(differences.reshape(2, 3, 3, 5))
    for i in range(6):
        alone = moderate(differences[i])
        assert together.se.reshape(6, 3)[i] == pytest.approx(alone.se, rel=1e-12)
        assert together.df.reshape(6, 3)[i] == pytest.approx(alone.df, rel=1e-12)


def test_equal_rows_share_one_variance_with_all_its_degrees_of_freedom() -> None:
    """Where no test doubts it, the pool is the two-way residual mean square and its df are m ν."""
    for seed in range(200):
        values = normal(1, 6, (1,) * 4, seed=seed)[0]
        pool = moderate(values[1:] - values[0]).pool
        assert pool is not None
        if pool.trust == 1:
            residuals = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
            weights_are_one = pool.df == pytest.approx(3 * 5)
            if weights_are_one:
                assert pool.variance == pytest.approx(2 * (residuals**2).sum() / 15)
                return
    pytest.fail("no study whose pool is fully trusted")


def test_the_test_of_a_row_keeps_its_level() -> None:
    """Without reweighting, F is exact; with it, hardly anything changes under equal variances."""
    rows = normal(50_000, 5, (1,) * 4)
    rows -= rows.mean(-1, keepdims=True)
    _, p = row_tests(rows, rounds=0)
    assert np.mean(p < 0.05, axis=0) == pytest.approx([0.05] * 4, abs=0.003)
    _, p = row_tests(rows)
    assert np.mean(p < 0.05, axis=0) == pytest.approx([0.05] * 4, abs=0.02)


@pytest.mark.parametrize(("arms", "nu", "error"), [(2, 4, 0.003), (3, 3, 0.02), (4, 4, 0.015), (5, 9, 0.008)])
def test_the_test_of_sphericity_nearly_keeps_its_level(arms: int, nu: int, error: float) -> None:
    """John's statistic of Wishart matrices; with two arms the Beta distribution is exact."""
    values = np.random.default_rng(0).standard_normal((40_000, arms, nu))
    products = values @ np.swapaxes(values, -1, -2)
    u = (products**2).sum((-1, -2)) / np.trace(products, axis1=-2, axis2=-1) ** 2
    p = sphericity_p(u, np.full(len(u), float(arms)), nu)
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=error)
    assert np.mean(p < 0.2) == pytest.approx(0.2, abs=0.018)


def test_an_incomplete_arm_is_judged_by_its_own_variance_and_the_pool() -> None:
    pool = moderate(DIFFERENCES).pool
    assert pool is not None
    short = np.array([1.0, 3.0, 2.0])
    found = moderate_alone(short, pool, judged=4)
    ratio, df0 = 1.0 / float(pool.variance), float(pool.df)
    share = min(1.0, float(stats.f.sf(ratio, 2, df0)), 4 * float(stats.f.cdf(ratio, 2, df0)) / 0.1)
    b = 1 - share * 12 / 14
    assert found.se == pytest.approx([((b + (1 - b) * float(pool.variance)) / 3) ** 0.5])
    assert found.df == pytest.approx([1 / ((1 - b**2) / df0 + b**2 / 2)])
    assert moderate_alone(short, None, judged=1).se == pytest.approx(stats.sem(short))


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 6), st.integers(3, 8), st.floats(-50, 50), st.floats(1e-3, 1e3), st.integers(0, 10_000))
def test_shifts_and_units_do_not_matter(arms: int, n: int, shift: float, scale: float, seed: int) -> None:
    differences = np.random.default_rng(seed).standard_normal((arms, n))
    plain, changed = moderate(differences), moderate(scale * (differences + shift))
    assert changed.se == pytest.approx(scale * plain.se, rel=1e-6)
    assert changed.df == pytest.approx(plain.df, rel=1e-6)


def test_duplicates_and_nearly_constant_arms_give_numbers() -> None:
    random = np.random.default_rng(2)
    row = random.standard_normal(5)
    tables = [np.array([row, row]), np.array([row, row, row + 1e-9 * random.standard_normal(5)]), np.array([row, -row])]
    tables.append(np.array([row, 1e-9 * row, 1e6 * random.standard_normal(5)]))
    with np.errstate(all="raise"):
        for differences in tables:
            found = moderate(differences)
            assert np.isfinite(found.se).all() and (found.se > 0).all() and (found.df > 0).all()
