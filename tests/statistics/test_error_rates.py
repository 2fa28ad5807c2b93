"""A coarse version of the simulations in tests/bench/error_rates, and whether they judge as the product does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from dnntrain.statistics import ComparisonFamily, compare, effects, solo_and_marginal
from dnntrain.statistics.best import best_set
from dnntrain.statistics.distributions import Array
from dnntrain.statistics.pairs import compare_pairs
from tests.bench.error_rates import __main__ as program
from tests.bench.error_rates.best import not_beaten
from tests.bench.error_rates.checks import Check, at_least, at_most, print_verdicts
from tests.bench.error_rates.effects import effect_margins, factorial, in_and_out
from tests.bench.error_rates.grid import cell_checks, power_checks, reference_figures, simulate
from tests.bench.error_rates.incomplete import judge_incomplete
from tests.bench.error_rates.methods import (
    DUNNETT,
    MODERATED,
    PAIRED,
    all_margins,
    differences_of,
    largest_row_p,
    residual_squares,
)
from tests.bench.error_rates.pairs import pair_margins
from tests.bench.error_rates.scenarios import EQUAL, ONE_ARM_4X, scenarios
from tests.bench.error_rates.sequential import judge_looks

HARD = ("two arms 4x", "baseline 1.5x", "baseline 2x", "r<0: -s, +s", "groups base+half", "3/4 with baseline")
"""Scenarios in which the error is largest."""


def draw(scenario: str, studies: int, arms: int = 5, n: int = 5) -> Array:
    random = np.random.default_rng([1, arms, n])
    return scenarios(arms)[scenario](random.standard_normal((studies, arms + 1, n)), random)


def by_seed(rows: Array) -> list[dict[int, float]]:
    return [dict(enumerate(map(float, row))) for row in rows]


def judge(rows: Array, **options: object) -> ComparisonFamily:
    """The comparison of [row, seed], the baseline first; arms are named by number. nan is a missing run."""
    baseline, *arms = (
        {seed: value for seed, value in values.items() if not np.isnan(value)} for values in by_seed(rows)
    )
    return compare(baseline, {str(i): arm for i, arm in enumerate(arms)}, **{"delta": 0.5, **options})  # type: ignore[arg-type]


# --- error, coverage, power


@pytest.mark.parametrize("arms", [2, 5, 20])
def test_error_and_coverage_keep_their_bounds_at_five_seeds(arms: int) -> None:
    studies = 4_000 if arms < 20 else 1_500
    random = np.random.default_rng([2, arms])
    normals = random.standard_normal((studies, arms + 1, 5))
    cells = {name: simulate(scenarios(arms)[name], normals, random) for name in (EQUAL, *HARD)}
    checks = [check for name, cell in cells.items() for check in cell_checks(5, arms, name, cell, studies)]
    checks += power_checks(5, arms, cells, reference_figures()[5, arms], studies)
    assert [check for check in checks if check.is_missed] == []
    assert cells["baseline 2x"].errors[DUNNETT] > 6.7  # what the moderated variances are for
    assert cells[EQUAL].errors[MODERATED] > 3


def test_a_scenario_has_the_moments_that_its_name_says() -> None:
    def covariance(scenario: str) -> Array:
        values = draw(scenario, 20_000, arms=4)
        return np.asarray(np.cov(np.swapaxes(values, 0, 1).reshape(values.shape[1], -1)))

    def correlation(scenario: str) -> Array:
        matrix = covariance(scenario)
        return np.asarray(matrix / np.sqrt(np.outer(matrix.diagonal(), matrix.diagonal())))

    assert np.sqrt(covariance("two arms 4x").diagonal()) == pytest.approx([1, 1, 1, 4, 4], rel=0.02)
    assert covariance("t4").diagonal() == pytest.approx([1] * 5, rel=0.1)
    assert covariance("skewed").diagonal() == pytest.approx([1] * 5, rel=0.05)
    assert correlation("r<0: -s, +s")[0, 1:] == pytest.approx([-0.5] * 4, abs=0.02)
    assert correlation("r<0: -s, +s")[1, 2:] == pytest.approx([0.5] * 3, abs=0.02)
    groups = correlation("groups base+half")
    assert groups[0] == pytest.approx([1, 0.8, 0.8, 0, 0], abs=0.02)
    assert groups[3] == pytest.approx([0, 0, 0, 1, 0.8], abs=0.02)
    assert correlation("groups of arms")[0] == pytest.approx([1, 0, 0, 0, 0], abs=0.02)
    assert correlation("3/4 with baseline")[0] == pytest.approx([1, 0.8, 0.8, 0.8, 0], abs=0.02)


# --- the simulation judges as the product does


@pytest.mark.parametrize("scenario", [EQUAL, ONE_ARM_4X, "baseline 2x", "groups base+half", "real: split"])
def test_all_studies_at_once_are_judged_as_compare_judges_each(scenario: str) -> None:
    values = draw(scenario, 30)
    differences = differences_of(values)
    margins = all_margins(differences)
    outside = np.abs(differences.mean(-1)) > margins[MODERATED]
    for i, rows in enumerate(values):
        for name, method in (("moderated", MODERATED), ("dunnett", DUNNETT), ("paired", PAIRED)):
            found = list(judge(rows, method=name).comparisons.values())
            assert [(each.high - each.low) / 2 for each in found] == pytest.approx(list(margins[method][i]))
        assert [each.p < 0.05 for each in judge(rows).comparisons.values()] == list(outside[i])


@pytest.mark.parametrize("missing", [1, 2])
def test_an_incomplete_arm_is_judged_as_by_compare(missing: int) -> None:
    values = draw("two arms 4x", 30)
    means, margins = judge_incomplete(differences_of(values), missing)
    values[:, -1, -missing:] = np.nan
    for i, rows in enumerate(values):
        found = list(judge(rows).comparisons.values())
        assert [each.difference for each in found] == pytest.approx(list(means[i]))
        assert [each.high - each.difference for each in found] == pytest.approx(list(margins[i]))


def look_by_look(rows: Array, looks: Sequence[int], levels: Sequence[float]) -> tuple[list[str], list[int]]:
    """Each arm's verdict and seeds when it is resolved, by one comparison at each look."""
    arms = len(rows) - 1
    running, verdicts, seeds, pool = list(range(arms)), ["inconclusive"] * arms, [looks[-1]] * arms, None
    for n, level in zip(looks, levels, strict=True):
        if not running:
            break
        shared = len(running) >= max(2, (arms + 1) // 2)
        chosen = rows[[0, *(1 + arm for arm in running)], :n]
        family = judge(chosen, level=1 - level, k=arms, pool=None if shared else pool)
        pool = family.pool if shared else pool
        for arm, found in zip(list(running), family.comparisons.values(), strict=True):
            if found.verdict != "inconclusive":
                verdicts[arm], seeds[arm] = found.verdict, n
                running.remove(arm)
    return verdicts, seeds


def test_looks_are_judged_as_by_one_comparison_after_the_other() -> None:
    looks, levels = (5, 7, 10, 14), (0.02, 0.02, 0.03, 0.03)
    values = 0.4 * draw("two arms 4x", 40, n=14)
    values[:, 1:4] += np.array([2.0, 1.0, 0.5])[:, None]
    outcome = judge_looks(differences_of(values), looks, levels, delta=0.5)
    assert outcome.different.any() and outcome.equivalent.any() and (outcome.seeds < 14).any()
    for i, rows in enumerate(values):
        verdicts, seeds = look_by_look(rows, looks, levels)
        assert list(outcome.seeds[i]) == seeds
        assert [verdict.startswith(("better", "worse")) for verdict in verdicts] == list(outcome.different[i])
        assert [verdict == "equivalent" for verdict in verdicts] == list(outcome.equivalent[i])


def test_the_best_set_and_pairs_are_those_of_the_product() -> None:
    values = draw("two arms 4x", 30)
    values[:, 1] += 3
    kept = not_beaten(values)
    means, margins = pair_margins(values)
    for i, rows in enumerate(values):
        named = {str(arm): row for arm, row in enumerate(by_seed(rows))}
        assert best_set(named, higher_is_better=True) == [str(arm) for arm in np.flatnonzero(kept[i])]
        found = [pair.comparison for pair in compare_pairs(named, delta=0.5, higher_is_better=True)]
        assert [each.difference for each in found] == pytest.approx(list(means[i]))
        assert [each.high - each.difference for each in found] == pytest.approx(list(margins[i]))
    assert not kept.all()


@pytest.mark.parametrize("scenario", [EQUAL, ONE_ARM_4X])
def test_effects_are_judged_as_by_the_product(scenario: str) -> None:
    values = draw(scenario, 20, arms=5)
    means, margins, _ = effect_margins(values, factorial(3, 2))
    levels = {str(i): {"a": str(i // 2), "b": str(i % 2)} for i in range(6)}
    for i, rows in enumerate(values):
        found = effects(levels, {str(arm): row for arm, row in enumerate(by_seed(rows))}, delta=0.5)
        assert [each.interval.mean for each in found] == pytest.approx(list(means[i]))
        assert [each.interval.high - each.interval.mean for each in found] == pytest.approx(list(margins[i]))


def test_gaps_are_judged_as_by_the_product() -> None:
    values = draw(ONE_ARM_4X, 20, arms=5)
    means, margins, _ = effect_margins(values, in_and_out(2))
    for i, rows in enumerate(values):
        baseline, first, second, no_first, no_second, everything = by_seed(rows)
        found = solo_and_marginal(
            baseline, everything, {"x": first, "y": second}, {"x": no_first, "y": no_second}, delta=0.5
        )
        assert [each.gap.mean for each in found.values()] == pytest.approx(list(means[i]))
        assert [each.gap.high - each.gap.mean for each in found.values()] == pytest.approx(list(margins[i]))


def test_the_previous_methods_variance_test_is_an_f_test_of_one_row_against_the_rest() -> None:
    values = np.random.default_rng(3).standard_normal((1, 4, 6)) * np.array([[1], [1], [5], [1]])
    squares = residual_squares(differences_of(values))
    ours = squares[0, 2] * 4 / 3
    f = (ours / 5) / ((squares.sum() - ours) / 10)
    assert largest_row_p(squares, 6) == pytest.approx(min(1, 4 * stats.f.sf(f, 5, 10)))


# --- the program


def test_a_figure_is_missed_beyond_two_monte_carlo_errors() -> None:
    assert at_most("error %", "a cell", 6.9, 6.5, 10_000).is_missed is False
    assert at_most("error %", "a cell", 7.1, 6.5, 10_000).is_missed is True
    assert at_least("coverage %", "a cell", 94.1, 94.5, 10_000).is_missed is False
    assert at_least("coverage %", "a cell", 93.9, 94.5, 10_000).is_missed is True


def test_the_table_names_the_worst_cell_and_what_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    print_verdicts([Check("error %", "first", 5.0, 6.5), Check("error %", "second", 7.0, 6.5, 0.2)])
    *_, row, _, count, missed = capsys.readouterr().out.splitlines()
    assert row.split() == ["error", "%", "≤", "6.5", "2", "1", "7.00:", "second"]
    assert count.startswith("1 of 2 figures") and "second: 7.00" in missed


@pytest.mark.parametrize("part", program.PARTS)
def test_every_part_prints_its_figures_and_checks_them(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    program.main([part, "--studies-scale", "0.001"])
    printed = capsys.readouterr().out
    assert "nan" not in printed and "studies a" in printed and "## Targets" in printed


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["grids"])
    assert "unknown part grids" in capsys.readouterr().err
