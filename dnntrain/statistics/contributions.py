"""What each technique gains alone and among all others, in an in-and-out design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dnntrain.statistics.contrasts import as_interaction, judge_contrasts
from dnntrain.statistics.descriptive import LEVEL, Interval
from dnntrain.statistics.estimates import ValuesBySeed


@dataclass(frozen=True)
class Contribution:
    """What a technique gains alone, and what is lost without it, in the metric's unit; positive is good."""

    solo: Interval
    """The technique alone − the baseline, with its own interval at `level`."""
    marginal: Interval
    """All techniques − all except this one, with its own interval at `level`."""
    gap: Interval
    """Marginal − solo by seed: the technique's interaction with all others together. The intervals are simultaneous
    over the techniques (Bonferroni)."""
    narrow_gap: Interval
    """The interval at level 1 − 2α (90 %), by which it is judged whether the gap is small."""
    p: float
    """Of the gap, adjusted for the number of techniques; nan without variance."""
    n: int
    """Seeds at which all four arms have a value."""
    reading: str
    """'redundant' or 'synergistic' if the gap's interval excludes 0, 'additive' if the narrow one lies within ±δ, else
    'not told from additive'; or why the gap is not judged."""


def solo_and_marginal(
    baseline: ValuesBySeed,
    everything: ValuesBySeed,
    one_in: Mapping[str, ValuesBySeed],
    one_out: Mapping[str, ValuesBySeed],
    *,
    delta: float,
    level: float = LEVEL,
    higher_is_better: bool = True,
) -> dict[str, Contribution]:
    """Solo gain and marginal loss of each technique in an in-and-out design.

    A technique is redundant if the gap lies below 0 (the others already do what it does), synergistic if it lies above
    0 (it works better with the others), and additive if the gap is shown to be small. Variances are moderated over all
    arms (`judge_contrasts`).

    Args:
        baseline: Values by seed of the arm without any of the techniques.
        everything: Values by seed of the arm with all of them.
        one_in: Values by seed of the arms with one technique, by its name.
        one_out: Values by seed of the arms with all techniques except one, by its name.
        delta: The smallest difference that matters, in the metric's unit.
        level: The confidence level.
        higher_is_better: The metric's direction.

    Returns:
        The contribution of each technique that has both arms.

    Raises:
        ValueError: If delta is negative or a value is not finite.
    """
    sign = 1.0 if higher_is_better else -1.0
    both = [technique for technique in one_in if technique in one_out]
    values = {"baseline": baseline, "everything": everything}
    for technique in both:
        values |= {f"only {technique}": one_in[technique], f"without {technique}": one_out[technique]}
    alone = [{f"only {technique}": sign, "baseline": -sign} for technique in both]
    last = [{"everything": sign, f"without {technique}": -sign} for technique in both]
    gaps = [
        {**marginal, **{arm: -weight for arm, weight in solo.items()}}
        for solo, marginal in zip(alone, last, strict=True)
    ]
    solo, marginal = (judge_contrasts(each, values, delta, True, level, adjusted=False) for each in (alone, last))
    gap = judge_contrasts(gaps, values, delta, True, level)
    return {
        technique: Contribution(
            solo=solo[i].interval,
            marginal=marginal[i].interval,
            gap=gap[i].interval,
            narrow_gap=gap[i].narrow,
            p=gap[i].p,
            n=gap[i].n,
            reading=as_interaction(gap[i].verdict),
        )
        for i, technique in enumerate(both)
    }
