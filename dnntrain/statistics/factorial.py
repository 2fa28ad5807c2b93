"""Main effects and interactions in factorial designs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, product

from dnntrain.statistics.contrasts import Contrast, ContrastResult, as_interaction, judge_contrasts
from dnntrain.statistics.descriptive import LEVEL, Interval
from dnntrain.statistics.estimates import ValuesBySeed
from dnntrain.statistics.verdicts import FEWEST_SEEDS

Cell = tuple[str, ...]
"""An arm's levels, in the factors' order."""

NOT_ESTIMABLE = "not estimable"


@dataclass(frozen=True)
class Effect:
    """A main effect (one factor), or an interaction (two): the difference of differences. In the metric's unit."""

    factors: tuple[str, ...]
    levels: tuple[str, ...]
    """The level of each factor that is compared with its reference."""
    references: tuple[str, ...]
    """The reference level of each factor: its first."""
    n: int
    """Seeds at which all runs of the contrast have a value."""
    interval: Interval
    """Simultaneous over all effects of the design (Bonferroni); a point without variance, nan below two seeds."""
    narrow: Interval
    """The interval at level 1 − 2α (90 %), by which it is judged whether the effect is small."""
    p: float
    """Adjusted for the number of effects: below .05 exactly where the 95 % interval leaves out 0; nan if not judged."""
    df: float
    arms: int
    """Arms in the contrast; 0 if it is not estimable."""
    reading: str
    """For a main effect a verdict as in `verdict`; for an interaction 'synergistic' or 'redundant' if the interval
    excludes 0, 'additive' if the narrow one lies within ±δ, else 'not told from additive'. The reason if not judged."""
    note: str
    """Why it is not estimable, or which settings of the other factors it is averaged over if not over all."""

    @property
    def name(self) -> str:
        """The effect as text: 'batch_norm=true' or 'batch_norm=true × dropout=0.2'."""
        return " × ".join(f"{factor}={level}" for factor, level in zip(self.factors, self.levels, strict=True))


@dataclass(frozen=True)
class EffectPlan:
    """The contrast that estimates an effect."""

    factors: tuple[str, ...]
    levels: Cell
    references: Cell
    weights: Contrast
    note: str


def effects(
    levels_by_arm: Mapping[str, Mapping[str, str]],
    values: Mapping[str, ValuesBySeed],
    *,
    delta: float,
    higher_is_better: bool = True,
    level: float = LEVEL,
) -> list[Effect]:
    """Main effects and two-way interactions of a factorial design (Box, Hunter and Hunter 2005, ch. 5).

    A factor's levels are ordered as the arms name them; the first is the reference ("off").

    - Main effect: y(level) − y(reference), averaged over all settings of the other factors that have runs with both
      levels. With two levels in a full design, it is the mean of the "on" runs minus that of the "off" runs.
    - Interaction: [y(a, b) − y(a₀, b)] − [y(a, b₀) − y(a₀, b₀)], averaged in the same way: by how much the effect of
      one factor differs between two levels of the other. It is the whole difference of differences, not half of it as
      in the textbooks' "interaction effect".

    Variances are moderated (`judge_contrasts`), and p values and intervals corrected for the number of effects.

    Args:
        levels_by_arm: The level of each factor, by arm.
        values: The metric by seed, by arm. An arm without values, or with fewer than `FEWEST_SEEDS` where others have
            more, counts as missing: effects are estimated from the other arms as far as they can be.
        delta: The smallest difference that matters, in the metric's unit.
        higher_is_better: The metric's direction.
        level: The simultaneous confidence of all intervals.

    Returns:
        The main effects, then the interactions.

    Raises:
        ValueError: If arms have different factors, two arms have the same levels, delta is negative, or a value is not
            finite.
    """
    factors = check_factors(levels_by_arm)
    fewest = min(FEWEST_SEEDS, max((len(values.get(arm, {})) for arm in levels_by_arm), default=0))
    present = {arm: values[arm] for arm in levels_by_arm if len(values.get(arm, {})) >= max(fewest, 1)}
    plans = plan_effects(factors, levels_by_arm, {cell_of(levels_by_arm[arm], factors): arm for arm in present})
    judged = judge_contrasts([plan.weights for plan in plans], present, delta, higher_is_better, level)
    return [
        Effect(
            plan.factors,
            plan.levels,
            plan.references,
            n=result.n,
            interval=result.interval,
            narrow=result.narrow,
            p=result.p,
            df=result.df,
            arms=len(plan.weights),
            reading=reading(plan, result),
            note=plan.note,
        )
        for plan, result in zip(plans, judged, strict=True)
    ]


def reading(plan: EffectPlan, result: ContrastResult) -> str:
    """What an effect's intervals say, in words."""
    if not plan.weights:
        return NOT_ESTIMABLE
    return as_interaction(result.verdict) if len(plan.factors) > 1 else result.verdict


def check_factors(levels_by_arm: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The factors; ValueError unless all arms have the same, and each its own levels."""
    factors: list[str] = []
    for arm, levels in levels_by_arm.items():
        factors = factors or list(levels)
        if set(levels) != set(factors):
            raise ValueError(f"arm '{arm}' has the factors {sorted(levels)}, others have {sorted(factors)}")
    if len({cell_of(levels, factors) for levels in levels_by_arm.values()}) < len(levels_by_arm):
        raise ValueError("two arms have the same levels of all factors")
    return factors


def cell_of(levels: Mapping[str, str], factors: list[str]) -> Cell:
    """An arm's levels, in the factors' order."""
    return tuple(levels[factor] for factor in factors)


def plan_effects(
    factors: list[str], levels_by_arm: Mapping[str, Mapping[str, str]], cells: Mapping[Cell, str]
) -> list[EffectPlan]:
    """The contrasts of all main effects and two-way interactions, from the cells that have runs."""
    order = {factor: list(dict.fromkeys(levels[factor] for levels in levels_by_arm.values())) for factor in factors}
    varied = [factor for factor in factors if len(order[factor]) > 1]
    plans = []
    for chosen in [*combinations(varied, 1), *combinations(varied, 2)]:
        places = [factors.index(factor) for factor in chosen]
        references = tuple(order[factor][0] for factor in chosen)
        settings = math.prod(len(order[factor]) for factor in varied if factor not in chosen)
        for levels in product(*(order[factor][1:] for factor in chosen)):
            weights, used = contrast(cells, places, levels, references)
            if not used:
                note = why_not_estimable(chosen, cells, places, levels, references)
            else:
                note = f"at {used} of {settings} settings of the other factors" if used < settings else ""
            plans.append(EffectPlan(chosen, levels, references, weights, note))
    return plans


def contrast(cells: Mapping[Cell, str], places: list[int], levels: Cell, references: Cell) -> tuple[Contrast, int]:
    """The arms' weights in one effect, and over how many settings of the other factors it is averaged.

    These are the settings at which all corners of the effect have runs.
    """
    corners = list(product(*zip(levels, references, strict=True)))
    sets = []
    for cell in cells:
        if all(cell[place] == level for place, level in zip(places, levels, strict=True)):
            corner_cells = [moved(cell, places, corner) for corner in corners]
            if all(corner in cells for corner in corner_cells):
                sets.append([cells[corner] for corner in corner_cells])
    signs = [math.prod(1 if at == level else -1 for at, level in zip(c, levels, strict=True)) for c in corners]
    return {arm: sign / len(sets) for arms in sets for arm, sign in zip(arms, signs, strict=True)}, len(sets)


def why_not_estimable(
    factors: tuple[str, ...], cells: Mapping[Cell, str], places: list[int], levels: Cell, references: Cell
) -> str:
    """Which runs an effect lacks."""
    for corner in product(*zip(levels, references, strict=True)):
        if not any(all(cell[place] == at for place, at in zip(places, corner, strict=True)) for cell in cells):
            return "no runs with " + " and ".join(f"{name}={at}" for name, at in zip(factors, corner, strict=True))
    return "no setting of the other factors has runs with all of its levels"


def moved(cell: Cell, places: list[int], levels: Cell) -> Cell:
    """The cell with the levels at some positions replaced."""
    replaced = dict(zip(places, levels, strict=True))
    return tuple(replaced.get(place, level) for place, level in enumerate(cell))
