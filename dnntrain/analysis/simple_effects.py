"""Levels of one factor compared at each setting of the other factors, with lost runs included."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from dnntrain.analysis.designs import named_levels, with_verdict
from dnntrain.analysis.runs import ArmRuns
from dnntrain.analysis.verdicts import PairVerdicts
from dnntrain.metrics import Metric
from dnntrain.statistics import LEVEL, SimpleEffect, simple_effects
from dnntrain.store.study_files import Results


def effects_within(
    results: Results, arms: Mapping[str, ArmRuns], factor: str, delta: float, metric: Metric, level: float = LEVEL
) -> list[SimpleEffect]:
    """Compares each level of a factor with the first one at each setting of the other factors.

    Args:
        results: The study, of a factorial design with this factor.
        arms: The runs of every arm.
        factor: The factor whose levels are compared.
        delta: The smallest difference that matters, in the metric's unit; nan counts as 0.
        metric: What the values are of.
        level: The simultaneous confidence of all intervals.

    Returns:
        The effects, setting by setting. Their verdicts are on the arm with the level, as in the main table.
    """
    values, margin = {name: runs.values for name, runs in arms.items()}, 0.0 if math.isnan(delta) else delta
    found = simple_effects(
        named_levels(results.record),
        values,
        factor,
        delta=margin,
        higher_is_better=metric.higher_is_better,
        level=level,
    )
    verdicts, effects = PairVerdicts.of(results, arms), []
    for effect in found:
        words = verdicts.verdict(effect.arm, effect.reference_arm, effect.result)
        effects.append(replace(effect, result=with_verdict(effect.result, words, metric)))
    return effects
