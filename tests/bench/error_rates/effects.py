"""Error and power of effects: in factorial designs, of one factor at each setting of the others, of the gaps in an
in-and-out design, and of the steps of an order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from dnntrain.statistics import LEVEL, judge_steps, simple_effects, t_critical
from dnntrain.statistics.contrasts import moderate_contrasts
from dnntrain.statistics.distributions import Array
from dnntrain.statistics.factorial import plan_effects
from dnntrain.statistics.verdicts import BETTER, WORSE
from tests.bench.error_rates.checks import Check, at_least, at_most, number_of_studies

EFFECT = 2.0
"""True value of the first contrast, in SDs of one run."""


def levels_by_cell(*levels: int) -> dict[str, dict[str, str]]:
    """The cells of a full design with so many levels of each factor, by number."""
    cells = product(*(map(str, range(count)) for count in levels))
    return {str(i): {f"factor {j}": level for j, level in enumerate(cell)} for i, cell in enumerate(cells)}


def factorial(*levels: int) -> Array:
    """Weights, [contrast, cell], of all effects of a full design with so many levels of each factor."""
    cells = levels_by_cell(*levels)
    plans = plan_effects([*cells["0"]], cells, {tuple(cell.values()): arm for arm, cell in cells.items()})
    return np.array([[plan.weights.get(arm, 0.0) for arm in cells] for plan in plans])


def within(*levels: int) -> Array:
    """Weights, [contrast, cell], of the first factor's simple effects."""
    cells = levels_by_cell(*levels)
    pairs = [(each.arm, each.reference_arm) for each in simple_effects(cells, {}, "factor 0", delta=0)]
    return np.array([[(arm == ours) - (arm == theirs) for arm in cells] for ours, theirs in pairs], dtype=float)


def in_and_out(techniques: int) -> Array:
    """Weights of the gaps of so many techniques. Arms: the baseline, one technique each, all but one each, all."""
    one = np.eye(techniques)
    ends = np.ones((techniques, 1))
    return np.concatenate([ends, -one, -one, ends], 1)


DESIGNS = {
    "2 × 2": factorial(2, 2),
    "2 × 2 × 2": factorial(2, 2, 2),
    "3 × 2": factorial(3, 2),
    "within, 2 × 2": within(2, 2),
    "within, 3 × 6": within(3, 6),
    "in and out, 3": in_and_out(3),
}


def patterns(cells: int) -> dict[str, Sequence[float]]:
    """Standard deviations of a design's cells."""
    ones = [1.0] * (cells - 1)
    return {
        "equal": [1, *ones],
        "first cell 4x": [4, *ones],
        "last cell 4x": [*ones, 4],
        "SDs 1 to 4": list(np.linspace(1, 4, cells)),
    }


def all_effects(scale: float) -> list[Check]:
    """Simulate all designs."""
    checks = []
    studies = number_of_studies(3_000, scale)
    print(f"\n{studies:,} studies a row; power of the first contrast at {EFFECT:g} SD\n")
    print(f"{'':40}{'error %':>9}{'paired t':>10}{'lowest coverage':>17}{'power %':>9}{'paired t':>10}")
    for design, weights in DESIGNS.items():
        for n, (name, deviations) in product((3, 5, 10), patterns(weights.shape[1]).items()):
            random = np.random.default_rng([26, n, *weights.shape])
            values = random.standard_normal((studies, weights.shape[1], n)) * np.array(deviations)[:, None]
            means, margins, paired = effect_margins(values, weights)
            outside = np.abs(means) > margins
            error, alone = (100 * float((np.abs(means) > each).any(1).mean()) for each in (margins, paired))
            coverage = 100 - 100 * float(outside.mean(0).max())
            power = [100 * float((np.abs(means[:, 0] + EFFECT) > each[:, 0]).mean()) for each in (margins, paired)]
            at = f"{design}, n = {n}, {name}"
            print(f"{at:40}{error:9.2f}{alone:10.2f}{coverage:17.2f}{power[0]:9.1f}{power[1]:10.1f}", flush=True)
            checks.append(at_most("error % of effects", at, error, 6.5, studies))
            checks.append(at_least("coverage % of an interval, effects", at, coverage, 94.5, studies))
    return checks


def order_steps(scale: float) -> list[Check]:
    """Simulate an order of six arms that are all equal, and so false at every step."""
    checks = []
    studies = number_of_studies(3_000, scale)
    print(f"\n{studies:,} studies a row\n\n{'':40}{'error %':>9}")
    for n, (name, deviations) in product((3, 5, 10), patterns(6).items()):
        random = np.random.default_rng([27, n])
        values = random.standard_normal((studies, 6, n)) * np.array(deviations)[:, None]
        error = 100 * float(order_errors(values).mean())
        at = f"order of 6, n = {n}, {name}"
        print(f"{at:40}{error:9.2f}", flush=True)
        checks.append(at_most("error % of an order", at, error, 6.5, studies))
    return checks


def order_errors(values: Array) -> Array:
    """Whether a step of the order of the cells is called better or worse, by study. Values: [study, cell, seed]."""
    cells = [str(i) for i in range(values.shape[1])]
    return np.array(
        [
            any(
                step.verdict in (BETTER, WORSE)
                for step in judge_steps(
                    cells, {arm: dict(enumerate(row)) for arm, row in zip(cells, table, strict=True)}, True
                )
            )
            for table in values
        ]
    )


def effect_margins(values: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Contrasts of [study, cell, seed], their half widths as in `dnntrain.statistics.effects`, and by paired t.

    All have the shape [study, contrast].
    """
    contrasts, n = len(weights), values.shape[-1]
    level = 1 - (1 - LEVEL) / contrasts
    by_seed = weights @ values
    paired = t_critical(level, n - 1) * by_seed.std(-1, ddof=1) / np.sqrt(n)
    tests = [[each.test for each in moderate_contrasts(table, weights, contrasts)] for table in values]
    margins = np.array([[t_critical(level, test.df) * test.se for test in study] for study in tests])
    return np.asarray(by_seed.mean(-1)), margins, np.asarray(paired)
