"""A fair chance for every arm: its own value of one setting, chosen on validation before arms are compared.

The seeds that choose are not those of the comparison, so that the choice does not flatter the arm with the luckiest
draw. The tuning runs are a study like any other: they share populations, and are recorded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dnntrain.errors import InputError
from dnntrain.metrics import metric_of
from dnntrain.studies.seeds import MOST_RUNS
from dnntrain.studies.study import Arm, Candidates, Study, Tuning
from dnntrain.utils.fields import format_value

FIRST_SEED = 1_000_000
"""Tuning seeds count from here, out of the way of those that compare."""


def tuning_study(study: Study, tuning: Tuning) -> Study:
    """Every tuned arm with each of its values, over the tuning seeds; InputError where a value is out of bounds."""
    arms = tuple(
        Arm(arm_name(arm, value), arm.spec.changed(**{tried.key: value}))
        for arm in study.arms
        if (tried := tuning.candidates.get(arm.name))
        for value in tried.values
    )
    if len(arms) * tuning.seeds > MOST_RUNS:
        raise InputError(f"{len(arms)} arms and values × {tuning.seeds} tune_seeds: at most {MOST_RUNS} runs")
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + tuning.seeds))
    if set(seeds) & set(study.seeds):
        raise InputError(f"seeds from {FIRST_SEED} on are for tuning; compare with others")
    metric, keys = selection_metric(study), dict.fromkeys(tried.key for tried in tuning.candidates.values())
    question = f"Which {' and '.join(keys)} suits each arm of {study.name}? (chosen by {metric})"
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
    """Each tuned arm's best value: `figures` are the tuning arms' validation figures, nan for a diverged run."""
    sign = 1.0 if metric_of(study.metric).higher_is_better else -1.0

    def score(arm: Arm, value: float) -> float:
        values = figures[arm_name(arm, value)]
        # one diverged run disqualifies: a rate at the brink is no good choice
        return -math.inf if any(math.isnan(v) for v in values) else sign * math.fsum(values) / len(values)

    return {
        arm.name: max(tried.values, key=lambda value: score(arm, value))
        for arm in study.arms
        if (tried := tuning.candidates.get(arm.name))
    }


def tuned_study(study: Study, tuning: Tuning, chosen: Mapping[str, float]) -> Study:
    """The same comparison, each tuned arm with the value that was chosen for it."""
    key_of = {name: tuning.candidates[name].key for name in chosen}
    arms = tuple(
        replace(arm, spec=arm.spec.changed(**{key: chosen[arm.name]}), tuned=key)
        if (key := key_of.get(arm.name))
        else arm
        for arm in study.arms
    )
    keys = list(dict.fromkeys(key_of.values()))
    one_for_all = len(keys) == 1 and len(chosen) == len(arms)
    values = ", ".join(
        f"{name} {format_value(value)}" if one_for_all else f"{name} {key_of[name]} {format_value(value)}"
        for name, value in chosen.items()
    )
    what = f"{keys[0]} was chosen for each arm" if one_for_all else "Tuned arms got their values"
    note = f"{what} on validation, over other seeds: {values}."
    at_edge = [name for name, value in chosen.items() if is_at_edge(tuning.candidates[name], value)]
    if at_edge:
        note += f" At the edge of the list, so a better value may lie beyond: {', '.join(at_edge)}."
    if not tuning.has_fixed:
        return replace(study, arms=arms, tuning_note=note, tuning=None)
    return replace(study, name=f"{study.name}-tuned", arms=arms, note="", tuning_note=note, source="", tuning=None)


def is_at_edge(tried: Candidates, value: float) -> bool:
    """Whether a value is the smallest or the largest of more than two."""
    return len(tried.values) > 2 and value in (min(tried.values), max(tried.values))
