"""Effects in factorial designs, and contributions in in-and-out designs, with lost runs included."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from dnntrain.analysis.arm_names import EVERYTHING, without
from dnntrain.analysis.runs import ArmRuns
from dnntrain.analysis.verdicts import with_losses
from dnntrain.metrics import Metric
from dnntrain.statistics import (
    FEWEST_SEEDS,
    LEVEL,
    ContrastResult,
    Contribution,
    Effect,
    Interval,
    effects,
    solo_and_marginal,
)
from dnntrain.store.study_record import StudyRecord


def factorial_effects(
    study: StudyRecord, arms: Mapping[str, ArmRuns], delta: float, metric: Metric, level: float = LEVEL
) -> list[Effect]:
    """Main effects and two-way interactions of a factorial design with several factors; empty for other designs.

    Args:
        study: What was asked.
        arms: The runs of every arm.
        delta: The smallest difference that matters, in the metric's unit; nan counts as 0.
        metric: What the values are of.
        level: The simultaneous confidence of all intervals.
    """
    if not crosses_factors(study):
        return []
    values, margin = {name: runs.values for name, runs in arms.items()}, 0.0 if math.isnan(delta) else delta
    found = effects(named_levels(study), values, delta=margin, higher_is_better=metric.higher_is_better, level=level)
    lost = lost_among(*arms.values())
    return [
        replace(
            effect,
            interval=clip_effect(effect.interval, metric, len(effect.factors)),
            narrow=clip_effect(effect.narrow, metric, len(effect.factors)),
            reading=effect.reading if math.isnan(effect.p) else with_losses(effect.reading, lost),
        )
        for effect in found
    ]


def contributions(
    study: StudyRecord, arms: Mapping[str, ArmRuns], delta: float, metric: Metric, level: float = LEVEL
) -> dict[str, Contribution]:
    """Solo gain and marginal loss of each factor of an in-and-out design; empty for other designs.

    The arguments are those of `factorial_effects`.
    """
    if study.design != "in-and-out":
        return {}
    values, margin = {name: runs.values for name, runs in arms.items()}, 0.0 if math.isnan(delta) else delta
    one_in = {name: by_seed for name, by_seed in values.items() if without(name) in values}
    one_out = {name: values[without(name)] for name in one_in}
    ends = str(study.baseline), EVERYTHING
    baseline, everything = (values[name] for name in ends)
    found = solo_and_marginal(
        baseline, everything, one_in, one_out, delta=margin, higher_is_better=metric.higher_is_better, level=level
    )
    for name, item in found.items():
        lost = lost_among(*(arms[arm] for arm in (*ends, name, without(name))))
        found[name] = replace(
            item,
            solo=clip_effect(item.solo, metric),
            marginal=clip_effect(item.marginal, metric),
            gap=clip_effect(item.gap, metric, 2),
            narrow_gap=clip_effect(item.narrow_gap, metric, 2),
            reading=item.reading if math.isnan(item.p) else with_losses(item.reading, lost),
        )
    return found


def crosses_factors(study: StudyRecord) -> bool:
    """Whether the study is a factorial design with several factors."""
    return study.design == "factorial" and all(len(arm.levels) > 1 for arm in study.arms)


def named_levels(study: StudyRecord) -> dict[str, dict[str, str]]:
    """The level of each factor by arm, with 'on' and 'off' for a factor without named levels."""
    return {
        arm.name: {factor: "on" if level == factor else level or "off" for factor, level in arm.levels.items()}
        for arm in study.arms
    }


def clip_effect(interval: Interval, metric: Metric, differences: int = 1) -> Interval:
    """The interval of a difference, or of a difference of two, clipped to what the metric allows."""
    low, high = metric.bounds
    most = differences * (high - low)
    return Interval(interval.mean, max(interval.low, -most), min(interval.high, most))


def with_verdict(result: ContrastResult, verdict: str, metric: Metric) -> ContrastResult:
    """A contrast of two arms with its verdict in words, its intervals clipped to what the metric allows."""
    interval, narrow = (clip_effect(each, metric) for each in (result.interval, result.narrow))
    return replace(result, interval=interval, narrow=narrow, verdict=verdict)


def lost_among(*arms: ArmRuns) -> str:
    """How many runs of some arms were lost, in words; empty if none."""
    lost, made = sum(arm.lost for arm in arms), sum(arm.made for arm in arms)
    return f"{lost} of {made} runs lost" if lost else ""


def missing_cells(arms: Mapping[str, ArmRuns]) -> list[str]:
    """The arms that have too few values for effects to be estimated from them."""
    counts = {name: len(runs.values) for name, runs in arms.items()}
    fewest = max(1, min(FEWEST_SEEDS, max(counts.values(), default=0)))
    return [name for name, count in counts.items() if count < fewest]
