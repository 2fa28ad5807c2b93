"""Effects in factorial and in-and-out designs, as contrasts of the runs of each seed."""

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
    """The level of each factor that is compared with its reference."""
    references: tuple[str, ...]
    """The reference level of each factor: its first."""
    n: int
    """Seeds at which all runs of the contrast finished."""
    interval: Interval
    """The effect with its own t interval, which is not simultaneous; nan without arms or with too few seeds."""
    p: float
    """Adjusted by Holm over all effects of the design; nan without variance."""
    arms: int
    """Arms in the contrast; 0 if the design lacks them."""

    @property
    def name(self) -> str:
        """The effect as text: 'batch_norm=true' or 'batch_norm=true × dropout=0.2'."""
        return " × ".join(f"{factor}={level}" for factor, level in zip(self.factors, self.levels, strict=True))


def effects(
    levels_by_arm: Mapping[str, Mapping[str, str]],
    values: Mapping[str, Mapping[int, float]],
    *,
    level: float = LEVEL,
) -> list[Effect]:
    """Main effects and two-way interactions of a factorial design (Box, Hunter and Hunter 2005, ch. 5).

    A factor's levels are ordered as the arms name them; the first is the reference ("off").

    - Main effect: y(level) − y(reference), averaged over all settings of the other factors that the design has with
      both levels. With two levels in a full design, it is the mean of the "on" runs minus that of the "off" runs.
    - Interaction: half of [y(a, b) − y(a₀, b)] − [y(a, b₀) − y(a₀, b₀)], averaged in the same way. It says how much
      the effect of one factor, at either level of the other, differs from its mean.

    Each effect is computed for every seed from that seed's runs, so that what a seed does to all arms cancels. It is
    then tested by Student's t over the seeds.

    Args:
        levels_by_arm: The level of each factor, by arm.
        values: The metric by seed, by arm.
        level: The confidence level of each interval.

    Returns:
        The main effects, then the interactions.

    Raises:
        ValueError: If arms have different factors, or two arms have the same levels.
    """
    factors = check_factors(levels_by_arm)
    cells = {tuple(levels[factor] for factor in factors): arm for arm, levels in levels_by_arm.items()}
    if len(cells) < len(levels_by_arm):
        raise ValueError("two arms have the same levels of all factors")
    order = {factor: list(dict.fromkeys(cell[i] for cell in cells)) for i, factor in enumerate(factors)}
    varied = [factor for factor in factors if len(order[factor]) > 1]
    contrasts = []
    for chosen in [*combinations(varied, 1), *combinations(varied, 2)]:
        places = [factors.index(factor) for factor in chosen]
        references = tuple(order[factor][0] for factor in chosen)
        for levels in product(*(order[factor][1:] for factor in chosen)):
            weights = contrast(cells, places, levels, references)
            contrasts.append((chosen, levels, references, weights, contrast_by_seed(weights, values)))
    adjusted = holm([one_sample_t(by_seed).p for *_, by_seed in contrasts])
    return [
        Effect(chosen, levels, references, len(by_seed), t_interval(by_seed, level), p, len(weights))
        for (chosen, levels, references, weights, by_seed), p in zip(contrasts, adjusted, strict=True)
    ]


def check_factors(levels_by_arm: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The factors; ValueError unless all arms have the same."""
    factors: list[str] = []
    for arm, levels in levels_by_arm.items():
        factors = factors or list(levels)
        if set(levels) != set(factors):
            raise ValueError(f"arm '{arm}' has the factors {sorted(levels)}, others have {sorted(factors)}")
    return factors


def contrast(cells: Mapping[Cell, str], places: list[int], levels: Cell, references: Cell) -> Contrast:
    """The arms' weights in one effect, averaged over the settings of the other factors for which all corners exist."""
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
    """The cell with the levels at some positions replaced."""
    replaced = dict(zip(places, levels, strict=True))
    return tuple(replaced.get(place, level) for place, level in enumerate(cell))


def contrast_by_seed(weights: Contrast, values: Mapping[str, Mapping[int, float]]) -> list[float]:
    """The value of a contrast at each seed at which all its arms finished."""
    if not weights:
        return []
    shared = set.intersection(*(set(values.get(arm, {})) for arm in weights))
    by_seed = [sum(weight * values[arm][seed] for arm, weight in weights.items()) for seed in sorted(shared)]
    return without_rounding(by_seed, max((abs(values[arm][seed]) for arm in weights for seed in shared), default=0.0))


@dataclass(frozen=True)
class Contribution:
    """What a technique gains alone, and what is lost without it, in the metric's unit; positive is good."""

    solo: Interval
    """The technique alone − the baseline."""
    marginal: Interval
    """All techniques − all except this one."""
    gap: Interval
    """Marginal − solo by seed; the intervals are simultaneous over the techniques (Bonferroni)."""
    n: int
    """Seeds at which all four arms finished."""
    reading: str
    """'redundant', 'synergistic', 'additive' (no interaction was found) or 'no uncertainty available'."""


def solo_and_marginal(
    baseline: Mapping[int, float],
    everything: Mapping[int, float],
    one_in: Mapping[str, Mapping[int, float]],
    one_out: Mapping[str, Mapping[int, float]],
    *,
    level: float = LEVEL,
    higher_is_better: bool = True,
) -> dict[str, Contribution]:
    """Solo gain and marginal loss of each technique in an in-and-out design.

    A technique is redundant if the gap lies below 0 (the others already do what it does), synergistic if it lies above
    0 (it works better with the others), and additive if its interval contains 0: no interaction was found, though with
    few seeds there may be one. Solo and marginal have individual t intervals at `level`. The gap, which decides the
    reading, has intervals at 1 − (1 − level)/k for k techniques.

    Args:
        baseline: Values by seed of the arm without any of the techniques.
        everything: Values by seed of the arm with all of them.
        one_in: Values by seed of the arms with one technique, by its name.
        one_out: Values by seed of the arms with all techniques except one, by its name.
        level: The confidence level.
        higher_is_better: The metric's direction.

    Returns:
        The contribution of each technique that has both arms.
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
    """The contribution of one technique; `sign` is -1 if lower is better."""
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
    """How to read the interval of marginal − solo."""
    if math.isnan(gap.low):
        return "no uncertainty available"
    if gap.high < 0:
        return "redundant"
    return "synergistic" if gap.low > 0 else "additive"
