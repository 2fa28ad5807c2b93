"""Error, coverage, and power over the whole grid of seeds, arms, and scenarios, and on scenarios held out of tuning."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dnntrain.statistics.distributions import Array
from tests.bench.error_rates.checks import Check, at_least, at_most, monte_carlo_error, number_of_studies
from tests.bench.error_rates.methods import DUNNETT, METHODS, MODERATED, PREVIOUS, all_margins, differences_of
from tests.bench.error_rates.scenarios import (
    COPIES,
    EQUAL,
    HELD_OUT_ARMS,
    ONE_ARM_4X,
    ONE_ARM_10X,
    Draw,
    held_out,
    scenarios,
)

SEEDS = (3, 5, 7, 10, 20)
ARMS = (1, 2, 4, 5, 8, 20, 30)
EFFECTS = (2.0, 1.5)
"""True differences of the first arm, in SDs of one run."""

SHIFTED = (EQUAL, ONE_ARM_4X, ONE_ARM_10X)
"""Scenarios in which the power of the first arm is of interest."""

SUMMARY = """All cells: error % at equal variances; worst error (reference), its scenario; the previous method's worst;
lowest coverage %; power % and its share of Dunnett's (reference); a good arm's power beside an arm of 4x and of 10x, as
a share of its power beside equal arms (reference), and the same by the previous method"""
"""What the lines of `summary_line` contain."""


@dataclass(frozen=True)
class Cell:
    """One scenario at one number of seeds and arms. All shares are percentages of the studies."""

    errors: Mapping[str, float]
    """Studies with any false difference, by method."""
    coverage: float
    """Of that interval of the moderated t which covers least."""
    power: Mapping[tuple[str, float], float]
    """Studies that find the first arm's difference, by method and effect."""


def simulate(draw: Draw, normals: Array, random: np.random.Generator) -> Cell:
    """Judge studies of a scenario by all methods.

    An interval moves with the true difference, so that studies without one show coverage, error, and power alike.
    """
    differences = differences_of(draw(normals, random))
    means = differences.mean(-1)
    margins = all_margins(differences)
    outside = {method: np.abs(means) > margin for method, margin in margins.items()}
    return Cell(
        errors={method: 100 * float(out.any(1).mean()) for method, out in outside.items()},
        coverage=100 - 100 * float(outside[MODERATED].mean(0).max()),
        power={
            (method, effect): 100 * float((np.abs(means[:, 0] + effect) > margin[:, 0]).mean())
            for method, margin in margins.items()
            for effect in EFFECTS
        },
    )


def grid(scale: float, seeds: Sequence[int] = SEEDS, arms: Sequence[int] = ARMS) -> list[Check]:
    """Simulate and print the grid."""
    checks, summary = [], []
    reference = reference_figures()
    for n in seeds:
        for m in arms:
            studies = number_of_studies(20_000 if m == 1 else 4_000 if m > 8 else 10_000 if n < 10 else 6_000, scale)
            random = np.random.default_rng([17, n, m])
            normals = random.standard_normal((studies, m + 1, n))
            print_heading(n, m, studies)
            cells = {}
            for name, draw in scenarios(m).items():
                cells[name] = simulate(draw, normals, random)
                print_cell(name, cells[name], with_power=name in SHIFTED)
            summary.append(summary_line(n, m, cells, reference[n, m]))
            checks += [check for name, cell in cells.items() for check in cell_checks(n, m, name, cell, studies)]
            checks += power_checks(n, m, cells, reference[n, m], studies)
    print(f"\n{SUMMARY}\n")
    print(*summary, sep="\n", flush=True)
    return checks


def held_out_scenarios(scale: float, seeds: Sequence[int] = (3, 5, 10)) -> list[Check]:
    """Simulate and print the scenarios that no constant was tuned on."""
    checks = []
    studies = number_of_studies(5_000, scale)
    for n in seeds:
        random = np.random.default_rng([18, n])
        normals = random.standard_normal((studies, HELD_OUT_ARMS + 1, n))
        print_heading(n, HELD_OUT_ARMS, studies)
        for name, draw in held_out().items():
            cell = simulate(draw, normals, random)
            print_cell(name, cell, with_power=False)
            at = f"n = {n}, {name}"
            if n >= 5:
                target, bound = "error %, held out, n ≥ 5", 7.0
            else:
                target, bound = ("error %, copies, n = 3", 8.1) if name == COPIES else ("error %, held out, n = 3", 6.3)
            checks.append(at_most(target, at, cell.errors[MODERATED], bound, studies))
            checks.append(at_least("coverage % of an interval, held out", at, cell.coverage, 94.5, studies))
    return checks


def cell_checks(n: int, arms: int, scenario: str, cell: Cell, studies: int) -> list[Check]:
    """The bounds on error and coverage of one cell."""
    at = f"n = {n}, {arms} arms, {scenario}"
    if n >= 5:
        target, bound = "error %, n ≥ 5", 6.5
    else:
        target, bound = ("error %, n = 3, 2 arms", 6.7) if arms == 2 else ("error %, n = 3", 6.3)
    return [
        at_most(target, at, cell.errors[MODERATED], bound, studies),
        at_least("coverage % of an interval", at, cell.coverage, 94.5, studies),
    ]


def power_checks(
    n: int, arms: int, cells: Mapping[str, Cell], reference: Mapping[str, float], studies: int
) -> list[Check]:
    """The bounds on the distance of the power from the reference figures, at equal variances."""
    found = cells[EQUAL].power
    return [
        Check(
            "power, points from the reference",
            f"n = {n}, {arms} arms, {effect:g} SD, {found[MODERATED, effect]:.1f} % for {100 * reference[key]:.0f} %",
            abs(found[MODERATED, effect] - 100 * reference[key]),
            3.0,
            2 * monte_carlo_error(100 * reference[key], studies),
        )
        for effect, key in zip(EFFECTS, ("power_2", "power_1_5"), strict=True)
    ]


def reference_figures() -> dict[tuple[int, int], dict[str, float]]:
    """The figures of the method's reference implementation, by (n, arms): power as a share, all else in percent."""
    with Path(__file__).with_name("reference.csv").open(encoding="utf-8", newline="") as file:
        return {
            (int(row["n"]), int(row["arms"])): {key: float(value) for key, value in row.items() if value}
            for row in csv.DictReader(file)
        }


def print_heading(n: int, arms: int, studies: int) -> None:
    """Print the head of the table of one number of seeds and arms."""
    error = monte_carlo_error(5, studies)
    print(f"\nn = {n}, {arms} arms, {studies:,} studies a scenario (Monte Carlo error at 5 %: {error:.2f} points)")
    groups = ("family-wise error %", *(f"power % at {effect:g} SD" for effect in EFFECTS))
    print(f"{'':32}{groups[0]:^28}{'lowest':>11} {''.join(f'{group:^28}' for group in groups[1:])}".rstrip())
    methods = "".join(f"{method:>7}" for method in ("mod.", "prev.", "Dunn.", "paired"))  # as METHODS
    print(f"{'':32}{methods}{'coverage':>11} {methods * len(EFFECTS)}")


def print_cell(name: str, cell: Cell, with_power: bool) -> None:
    """Print one scenario."""
    errors = "".join(f"{cell.errors[method]:7.2f}" for method in METHODS)
    power = "".join(f"{cell.power[method, effect]:7.1f}" for effect in EFFECTS for method in METHODS)
    print(f"{name:32}{errors}{cell.coverage:11.2f} {power if with_power else ''}".rstrip(), flush=True)


def summary_line(n: int, arms: int, cells: Mapping[str, Cell], reference: Mapping[str, float]) -> str:
    """One number of seeds and arms in a line."""
    worst, previous = (
        max(cells, key=lambda name, method=method: cells[name].errors[method])  # type: ignore[misc]
        for method in (MODERATED, PREVIOUS)
    )
    parts = [
        f"n {n:2} arms {arms:2}: {cells[EQUAL].errors[MODERATED]:.1f}",
        f"worst {cells[worst].errors[MODERATED]:.2f} ({reference['error_worst']}) {worst}",
        f"previous {cells[previous].errors[PREVIOUS]:.1f}",
        f"coverage {min(cell.coverage for cell in cells.values()):.1f}",
    ]
    power = cells[EQUAL].power
    for effect, key in zip(EFFECTS, ("2", "1_5"), strict=True):
        share = 100 * power[MODERATED, effect] / power[DUNNETT, effect]
        parts.append(
            f"{effect:g} SD {power[MODERATED, effect]:.0f} ({100 * reference[f'power_{key}']:.0f}), "
            f"{share:.0f} ({reference[f'share_{key}']:.0f}) % of Dunnett's"
        )
    for name in (ONE_ARM_4X, ONE_ARM_10X) if arms > 1 else ():
        kept, before = (100 * cells[name].power[method, 2.0] / power[method, 2.0] for method in (MODERATED, PREVIOUS))
        parts.append(f"beside {name[8:]} {kept:.0f} ({reference[f'beside_{name[8:]}']:.0f}), previous {before:.0f}")
    return "; ".join(parts)
