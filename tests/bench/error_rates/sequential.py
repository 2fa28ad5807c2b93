"""Studies whose seeds are added until every arm is resolved: errors, power, and seeds, over all looks together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dnntrain.statistics import LEVEL
from dnntrain.statistics.distributions import Array
from dnntrain.statistics.moderation import Pool, arm_level, moderate, moderate_alone
from dnntrain.statistics.sequential import look_levels, looks_up_to
from tests.bench.error_rates.checks import Check, at_least, at_most, number_of_studies
from tests.bench.error_rates.methods import critical, differences_of
from tests.bench.error_rates.scenarios import EQUAL, ONE_ARM_4X, scenarios

SCHEDULES = ((looks_up_to(20), 4, 5_000), (looks_up_to(20), 8, 3_000), (looks_up_to(12), 4, 3_000), ((5, 10), 4, 3_000))
"""Looks, arms, and studies. The last schedule is that of a study of 5 seeds that was extended once, by hand."""

LEFT_OUT = ("skewed", "baseline 0.5x", "baseline 1.5x", "r<0: -s/2, +s/2", "groups of arms")
"""Scenarios of the grid in which single looks err less than in those that remain."""

DELTA = 1.5
"""The smallest difference that matters, in SDs of a run."""

FOUND = {4: (100, 96, 64), 8: (100, 95, 56)}
"""The reference's power at 2, 1.5 and 1 SD with up to 20 seeds, in percent, by arms."""


@dataclass(frozen=True)
class Outcome:
    """The final verdict on each arm; all fields are [study, arm]."""

    different: np.ndarray
    equivalent: np.ndarray
    seeds: np.ndarray
    """The arm's seeds at its last look."""
    covered: np.ndarray
    """Whether its intervals of all looks contain the true difference."""


def until_resolved(scale: float) -> list[Check]:
    """Simulate all schedules."""
    checks = []
    for looks, arms, count in SCHEDULES:
        studies = number_of_studies(count, scale)
        levels = look_levels(looks)
        rounded = ", ".join(f"{level:.4f}" for level in levels)
        print(f"\nLooks {looks}, {arms} arms, levels {rounded}; {studies:,} studies a row\n")
        random = np.random.default_rng([24, *looks, arms])
        normals = random.standard_normal((studies, arms + 1, looks[-1]))
        at = f"looks {', '.join(map(str, looks))}, {arms} arms"
        checks += null_studies(normals, looks, levels, at, random)
        checks += studies_with_effects(normals, looks, levels, at)
    return checks


def null_studies(
    normals: Array, looks: Sequence[int], levels: Sequence[float], at: str, random: np.random.Generator
) -> list[Check]:
    """Print how often anything is said in studies without a difference."""
    checks = []
    studies, rows, _ = normals.shape
    for name, draw in scenarios(rows - 1).items():
        if name in LEFT_OUT:
            continue
        differences = differences_of(draw(normals, random))
        error = 100 * float(judge_looks(differences, looks, levels).different.any(1).mean())
        peeking = ""
        if name in (EQUAL, ONE_ARM_4X):
            fixed = judge_looks(differences, looks, [1 - LEVEL] * len(looks))
            peeking = f"   at 5 % each time: {100 * float(fixed.different.any(1).mean()):.1f}"
        print(f"no difference, {name:24} error {error:5.2f} %{peeking}", flush=True)
        checks.append(at_most("error % over all looks", f"{at}, {name}", error, 6.5, studies))
    return checks


def studies_with_effects(normals: Array, looks: Sequence[int], levels: Sequence[float], at: str) -> list[Check]:
    """Print what is found of true differences and of equivalence, and with how many seeds."""
    studies, rows, _ = normals.shape
    arms = rows - 1
    null = differences_of(normals)
    truth = np.array([2, 1.5, 1, *[0.0] * (arms - 3)])
    effects = judge_looks(null + truth[:, None], looks, levels, truth)
    found, seeds = 100 * effects.different[:, :3].mean(0), effects.seeds.mean(0)
    covered = 100 * float(effects.covered.all(1).mean())
    print(f"2, 1.5, 1 SD: found {found.round(1)} %, mean seeds {seeds[:3].round(1)}, of an equal arm {seeds[3]:.1f}")
    print(f"all intervals of all looks cover: {covered:.1f} %")
    both = judge_looks(null + truth[:, None], looks, levels, truth, DELTA)
    equivalent, seeds = 100 * both.equivalent.mean(0), both.seeds.mean(0)
    print(f"the same with δ = {DELTA} SD: equal arm equivalent {equivalent[3]:.1f} %, mean seeds {seeds[:4].round(1)}")
    edge = judge_looks(null + DELTA, looks, levels, np.full(arms, DELTA), DELTA)
    falsely = 100 * float(edge.equivalent.any(1).mean())
    print(f"all arms exactly at δ: any falsely equivalent {falsely:.1f} %", flush=True)
    checks = [
        at_least("coverage % of all intervals of all looks", at, covered, 95, studies),
        at_most("falsely equivalent %, all arms at δ", at, falsely, 5, studies),
    ]
    if looks[-1] == 20:
        for share, reference, effect in zip(found, FOUND[arms], truth, strict=False):
            target = "power of sequential studies, points below the reference"
            checks.append(at_least(target, f"{at}, {effect:g} SD", float(share), reference - 3, studies))
    return checks


def judge_looks(
    differences: Array, looks: Sequence[int], levels: Sequence[float], truth: Array | float = 0.0, delta: float = 0.0
) -> Outcome:
    """Judge [study, arm, seed] look by look; arms that are resolved get no more seeds.

    While at least half of the arms, and two, go on, they share their own pool; then the pool of the last such look.
    """
    studies, arms, _ = differences.shape
    running = np.ones((studies, arms), bool)
    outcome = Outcome(~running, ~running, np.full((studies, arms), looks[-1]), running.copy())
    pools = Pool(*np.full((len(Pool._fields), studies), np.nan))
    truths = np.broadcast_to(truth, (arms,))
    for n, level in zip(looks, levels, strict=True):
        for rows, columns in alike(running):
            at_look = differences[np.ix_(rows, columns, np.arange(n))]
            if arms == 1 or len(columns) >= max(2, (arms + 1) // 2):
                found = moderate(at_look)
                for field, value in zip(pools, found.pool or (), strict=False):
                    field[rows] = value
            else:
                carried = Pool(*(field[rows, None] for field in pools))
                alone = moderate_alone(at_look, carried, arms, arm_level(n, arms))
                found = alone._replace(mean=alone.mean[..., 0], se=alone.se[..., 0], df=alone.df[..., 0])
            margin, narrow = (critical(found.df, arms, n, 1 - tail) * found.se for tail in (level, 2 * level))
            different = np.abs(found.mean) > margin
            equivalent = (np.abs(found.mean) + narrow < delta) & ~different
            here = np.ix_(rows, columns)
            outcome.covered[here] &= np.abs(found.mean - truths[columns]) <= margin
            outcome.different[here], outcome.equivalent[here] = different, equivalent
            outcome.seeds[here] = np.where(different | equivalent, n, looks[-1])
            running[here] = ~(different | equivalent)
    return outcome


def alike(running: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The studies in which the same arms go on, and those arms, as indices."""
    patterns, which = np.unique(running, axis=0, return_inverse=True)
    for i, pattern in enumerate(patterns):
        if pattern.any():
            yield np.flatnonzero(which.ravel() == i), np.flatnonzero(pattern)
