"""Designs that cross techniques, or take them in and out one at a time: effects as contrasts of each seed's runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, product

from dnntrain.statistics.descriptive import LEVEL, Interval, paired_interval, t_interval, without_rounding
from dnntrain.statistics.significance import holm, one_sample_t

Cell = tuple[str, ...]
"""An arm's levels, in the factors' order."""

Contrast = dict[str, float]
"""The weight of each arm."""


@dataclass(frozen=True)
class Effect:
    """A main effect (one factor) or an interaction (two), in the metric's unit."""

    factors: tuple[str, ...]
    levels: tuple[str, ...]
    """The level of each factor that is compared …"""
    references: tuple[str, ...]
    """… with this one: the factor's first."""
    n: int
    """Seeds at which every run of the contrast finished."""
    interval: Interval
    """The effect with its own t interval, not simultaneous; nan where no arms or too few seeds allow it."""
    p: float
    """Adjusted by Holm over all effects of the design; nan without variance."""
    arms: int
    """Arms in the contrast; 0 where the design lacks them."""

    @property
    def name(self) -> str:
        """'batch_norm=true' or 'batch_norm=true × dropout=0.2'."""
        return " × ".join(f"{factor}={level}" for factor, level in zip(self.factors, self.levels, strict=True))


def effects(
    levels_by_arm: Mapping[str, Mapping[str, str]],
    values: Mapping[str, Mapping[int, float]],
    *,
    level: float = LEVEL,
) -> list[Effect]:
    """Main effects, then two-way interactions, of a crossed design: arm → factor → level, and arm → seed → value.

    A factor's levels stand in the order in which the arms name them; the first is the reference ("off") of each other.
    Main effect: y(level) − y(reference), averaged over all settings of the other factors that the design has with
    both: for two levels in a full design, the mean of the "on" runs minus the mean of the "off" runs. Interaction:
    half of [y(a, b) − y(a₀, b)] − [y(a, b₀) − y(a₀, b₀)], averaged likewise: how far the one factor's effect at either
    level of the other departs from its mean (Box, Hunter and Hunter 2005, ch. 5). Each is computed from every seed's
    own runs, so that what a seed does to all arms cancels, and judged by Student's t over the seeds.

    ValueError where arms have different factors or two arms the same levels.
    """
    factors = check_factors(levels_by_arm)
    cells = {tuple(levels[factor] for factor in factors): arm for arm, levels in levels_by_arm.items()}
    if len(cells) < len(levels_by_arm):
        raise ValueError("two arms have the same levels of all factors")
    order = {factor: list(dict.fromkeys(cell[i] for cell in cells)) for i, factor in enumerate(factors)}
    varied = [factor for factor in factors if len(order[factor]) > 1]
    found = []
    for chosen in [*combinations(varied, 1), *combinations(varied, 2)]:
        places = [factors.index(factor) for factor in chosen]
        references = tuple(order[factor][0] for factor in chosen)
        for levels in product(*(order[factor][1:] for factor in chosen)):
            weights = contrast(cells, places, levels, references)
            found.append((chosen, levels, references, weights, contrast_by_seed(weights, values)))
    adjusted = holm([one_sample_t(by_seed).p for *_, by_seed in found])
    return [
        Effect(chosen, levels, references, len(by_seed), t_interval(by_seed, level), p, len(weights))
        for (chosen, levels, references, weights, by_seed), p in zip(found, adjusted, strict=True)
    ]


def check_factors(levels_by_arm: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The factors, which all arms must share."""
    factors: list[str] = []
    for arm, levels in levels_by_arm.items():
        factors = factors or list(levels)
        if set(levels) != set(factors):
            raise ValueError(f"arm '{arm}' has the factors {sorted(levels)}, others have {sorted(factors)}")
    return factors


def contrast(cells: Mapping[Cell, str], places: list[int], levels: Cell, references: Cell) -> Contrast:
    """The arms' weights of one effect, averaged over the settings of the other factors that have all its corners."""
    corners = list(product(*zip(levels, references, strict=True)))
    sets = []
    for cell in cells:
        if all(cell[place] == level for place, level in zip(places, levels, strict=True)):
            corner_cells = [moved(cell, places, corner) for corner in corners]
            if all(corner in cells for corner in corner_cells):
                sets.append([cells[corner] for corner in corner_cells])
    signs = [math.prod(1 if at == level else -1 for at, level in zip(c, levels, strict=True)) for c in corners]
    scale = len(sets) * len(places)  # half for a pair of factors
    return {arm: sign / scale for arms in sets for arm, sign in zip(arms, signs, strict=True)}


def moved(cell: Cell, places: list[int], levels: Cell) -> Cell:
    """The cell with other levels at some places."""
    replaced = dict(zip(places, levels, strict=True))
    return tuple(replaced.get(place, level) for place, level in enumerate(cell))


def contrast_by_seed(weights: Contrast, values: Mapping[str, Mapping[int, float]]) -> list[float]:
    """The contrast of each seed at which all its arms finished."""
    if not weights:
        return []
    shared = set.intersection(*(set(values.get(arm, {})) for arm in weights))
    by_seed = [sum(weight * values[arm][seed] for arm, weight in weights.items()) for seed in sorted(shared)]
    return without_rounding(by_seed, max((abs(values[arm][seed]) for arm in weights for seed in shared), default=0.0))


@dataclass(frozen=True)
class Contribution:
    """What a technique gains alone, and what is lost without it; positive is good, in the metric's unit."""

    solo: Interval
    """Technique alone − baseline."""
    marginal: Interval
    """Everything − everything but the technique."""
    gap: Interval
    """Marginal − solo, seed by seed, simultaneous over the techniques (Bonferroni)."""
    n: int
    """Seeds at which all four arms finished."""
    reading: str
    """'redundant', 'synergistic', 'additive' (not told from it) or 'no uncertainty available'."""


def solo_and_marginal(
    baseline: Mapping[int, float],
    everything: Mapping[int, float],
    one_in: Mapping[str, Mapping[int, float]],
    one_out: Mapping[str, Mapping[int, float]],
    *,
    level: float = LEVEL,
    higher_is_better: bool = True,
) -> dict[str, Contribution]:
    """Solo gain beside marginal loss of each technique that has both arms; values by seed, techniques by name.

    A technique is redundant where the gap lies below 0 (the others already do what it does), synergistic where it
    lies above (it needs them), additive where its interval contains 0: then no interaction with the others was seen,
    which few seeds do not exclude. Solo and marginal have their own t intervals at `level`; the gap's are at
    1 − (1 − level)/k for k techniques, since the reading rests on them.
    """
    both = [technique for technique in one_in if technique in one_out]
    return {
        technique: contribution(
            baseline, everything, one_in[technique], one_out[technique], level, len(both), 1 if higher_is_better else -1
        )
        for technique in both
    }


def contribution(
    baseline: Mapping[int, float],
    everything: Mapping[int, float],
    alone: Mapping[int, float],
    without: Mapping[int, float],
    level: float,
    techniques: int,
    sign: int,
) -> Contribution:
    """One technique's."""
    baseline, everything, alone, without = (
        {seed: sign * value for seed, value in values.items()} for values in (baseline, everything, alone, without)
    )
    weights = {"everything": 1.0, "without": -1.0, "alone": -1.0, "baseline": 1.0}
    gaps = contrast_by_seed(
        weights, {"everything": everything, "without": without, "alone": alone, "baseline": baseline}
    )
    gap = t_interval(gaps, 1 - (1 - level) / techniques)
    nothing = Interval(math.nan, math.nan, math.nan)
    return Contribution(
        solo=paired_interval(alone, baseline, level) or nothing,
        marginal=paired_interval(everything, without, level) or nothing,
        gap=gap,
        n=len(gaps),
        reading=gap_in_words(gap),
    )


def gap_in_words(gap: Interval) -> str:
    """What marginal − solo says."""
    if math.isnan(gap.low):
        return "no uncertainty available"
    if gap.high < 0:
        return "redundant"
    return "synergistic" if gap.low > 0 else "additive"
