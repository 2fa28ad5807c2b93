"""A fair chance for every arm: its own value of one field, chosen on validation before arms are compared.

The seeds that choose are not those of the comparison, so that the choice does not flatter the arm with the luckiest
draw. The tuning runs are a study like any other: they share populations, and are recorded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dnntrain.errors import InputError
from dnntrain.metrics import metric_of
from dnntrain.studies.study import MOST_RUNS, Arm, Study, Tuning
from dnntrain.utils.fields import format_value

FIRST_SEED = 1_000_000
"""Tuning seeds count from here, out of the way of those that compare."""


def tuning_study(study: Study, tuning: Tuning) -> Study:
    """Every arm with every value, over the tuning seeds; InputError where a value is out of bounds."""
    arms = tuple(
        Arm(arm_name(arm, value), arm.spec.changed(**{tuning.key: value}))
        for arm in study.arms
        for value in tuning.values
    )
    if len(arms) * tuning.seeds > MOST_RUNS:
        raise InputError(f"{len(arms)} arms and values × {tuning.seeds} tune_seeds: at most {MOST_RUNS} runs")
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + tuning.seeds))
    if set(seeds) & set(study.seeds):
        raise InputError(f"seeds from {FIRST_SEED} on are for tuning; compare with others")
    question = f"Which {tuning.key} suits each arm of {study.name}? (chosen by {selection_metric(study)})"
    metric = selection_metric(study)
    return replace(
        study, name=f"{study.name}-tuning", arms=arms, seeds=seeds, question=question, baseline=None, metric=metric,
        design="list", note="", source="", tuning=None, delta=None, max_seeds=None,
        within="", order=(),
    )  # fmt: skip


def arm_name(arm: Arm, value: float) -> str:
    """The name of an arm in the tuning study."""
    return f"{arm.name} ({format_value(value)})"


def selection_metric(study: Study) -> str:
    """The metric that selects a value: the study's own, on validation data."""
    return f"val_{metric_of(study.metric).name}"


def select_best(study: Study, tuning: Tuning, figures: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Each arm's best value: `figures` are the tuning arms' validation figures, nan for a diverged run."""
    sign = 1.0 if metric_of(study.metric).higher_is_better else -1.0

    def score(arm: Arm, value: float) -> float:
        values = figures[arm_name(arm, value)]
        # one diverged run disqualifies: a rate at the brink is no good choice
        return -math.inf if any(math.isnan(v) for v in values) else sign * math.fsum(values) / len(values)

    def best(arm: Arm) -> float:
        return max(tuning.values, key=lambda value: score(arm, value))

    return {arm.name: best(arm) for arm in study.arms}


def tuned_study(study: Study, tuning: Tuning, chosen: Mapping[str, float]) -> Study:
    """The same comparison, each arm with the value that was chosen for it."""
    arms = tuple(replace(arm, spec=arm.spec.changed(**{tuning.key: chosen[arm.name]})) for arm in study.arms)
    values = ", ".join(f"{name} {format_value(value)}" for name, value in chosen.items())
    note = f"{tuning.key} was chosen for each arm on validation, over other seeds: {values}."
    edges = {min(tuning.values), max(tuning.values)} if len(tuning.values) > 2 else set()
    at_edge = [name for name, value in chosen.items() if value in edges]
    if at_edge:
        note += f" At the edge of the list, so a better value may lie beyond: {', '.join(at_edge)}."
    return replace(study, name=f"{study.name}-tuned", arms=arms, note=note, source="", tuning=None, tuned=tuning.key)
