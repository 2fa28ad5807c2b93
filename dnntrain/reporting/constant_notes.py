"""What a network scores that ignores its inputs, where that says something about the arms."""

from __future__ import annotations

from collections.abc import Iterator

from dnntrain.analysis.arm_summary import ArmSummary
from dnntrain.analysis.runs import constant_of
from dnntrain.analysis.summary import Summary
from dnntrain.metrics import METRICS, TableColumn, metric_of, split_column
from dnntrain.reporting import formatting
from dnntrain.statistics import LEVEL, t_interval
from dnntrain.store.provenance import datasets_of

MAJORITY_MARGIN_SHOWN = 0.1
"""Classes are unbalanced if always predicting the most frequent one is right more often than an equal share by more."""


def constant_lines(summary: Summary, most: int) -> Iterator[str]:
    """Compares the arms with a constant prediction, where classes are unbalanced or the best arm is not above it.

    Args:
        summary: The study.
        most: With more arms than this, a list of arms is shortened.
    """
    metric = metric_of(summary.metric)
    if isinstance(summary.metric, TableColumn) or metric.constant_is_good:
        return
    known = {arm.name: constant_of(summary.results.record, arm.name, summary.metric) for arm in summary.arms}
    constants = {name: value for name, value in known.items() if value is not None}
    arms = [arm for arm in summary.arms if arm.name in constants and arm.finished]
    if not arms:
        return
    above = [arm.name for arm in arms if is_above(arm, constants[arm.name], summary.higher_is_better)]
    sign = 1 if summary.higher_is_better else -1
    best = max(arms, key=lambda arm: sign * (arm.mean - constants[arm.name]))
    skewed = is_unbalanced(summary)
    if best.name in above and not skewed:
        return
    values = dict.fromkeys(formatting.number(constants[arm.name], summary.metric) for arm in arms)
    unit = " %" if metric.is_share else ""
    classes = any(data.classes for data in datasets_of(summary.results.record))
    guess = "class shares for every example (always the most frequent class)" if classes else "mean for every example"
    gives = f"Predicting the training {guess} gives {summary.metric} {' or '.join(values)}{unit}"
    not_above = [arm.name for arm in arms if arm.name not in above]
    if not above:
        yield f"{gives}, and no arm is shown to be better than that."
    elif not_above:
        yield f"{gives}; not shown to be better than that: {formatting.listed(not_above, most)}."
    else:
        yield f"{gives}; every arm is better than that."
    if skewed and not metric.weighs_classes_equally:
        part = {"val": "val_"}.get(split_column(summary.metric)[0], "")
        instead = [part + other.name for other in METRICS.values() if other.weighs_classes_equally]
        yield f"The classes are unbalanced, which {summary.metric} hides; see --metric {' or '.join(instead)}."


def is_above(arm: ArmSummary, constant: float, higher_is_better: bool) -> bool:
    """Whether the arm's mean is better than a constant prediction, by its 95 % interval if there is one."""
    values = list(arm.values.values())
    interval = t_interval(values, LEVEL)
    end = interval.low if higher_is_better else interval.high
    end = arm.mean if len(values) < 2 else end
    return end > constant if higher_is_better else end < constant


def is_unbalanced(summary: Summary) -> bool:
    """Whether the most frequent class has more than its share of some arm's part of the data."""
    record = summary.results.record
    part = split_column(summary.metric)[0]
    for data in datasets_of(record):
        for arm in data.arms or [arm.name for arm in record.arms]:
            share = constant_of(record, arm, f"{part}_acc")
            if data.classes and share is not None and share > 1 / len(data.classes) + MAJORITY_MARGIN_SHOWN:
                return True
    return False
