"""What validation data chose in a study: the epoch whose weights are kept, or tuned values."""

from __future__ import annotations

from collections.abc import Mapping

from dnntrain.metrics import VAL_LOSS, split_column
from dnntrain.store.study_record import ArmRecord, StudyRecord

LAST = "the last"
"""The epoch that runs keep unless they select one."""


def kept_epoch(settings: Mapping[str, object]) -> str:
    """Which epoch's weights a run of these settings keeps: 'the last', or 'the best by val_loss'."""
    select = str(settings.get("select", "auto"))
    if select == "auto":
        restores = settings.get("early_stop") and settings.get("early_stop_restore", True)
        select = f"best:{settings.get('early_stop_metric', VAL_LOSS)}" if restores else "last"
    return f"the best by {select.removeprefix('best:')}" if select.startswith("best:") else LAST


def arms_by_kept_epoch(study: StudyRecord) -> dict[str, list[str]]:
    """The names of the arms by the epoch whose weights they keep, in the words of `kept_epoch`."""
    by_epoch: dict[str, list[str]] = {}
    for arm in study.arms:
        by_epoch.setdefault(kept_epoch(arm.settings), []).append(arm.name)
    return by_epoch


def choices_by_validation(study: StudyRecord) -> list[str]:
    """What validation data chose: 'the kept epoch' and 'tuned values', or neither.

    Metrics of the same data are optimistic then.
    """
    choices = ["the kept epoch"] if set(arms_by_kept_epoch(study)) - {LAST} else []
    return choices + (["tuned values"] if any(map(study.tuned_setting, study.arms)) else [])


def tuned_value(study: StudyRecord, arm: ArmRecord) -> float | None:
    """The value that was chosen for an arm; None if none was."""
    value = arm.settings.get(study.tuned_setting(arm))
    return float(value) if isinstance(value, int | float) else None


def other_part_of(metric: str) -> str:
    """The metric on the other part that is not trained on: val_acc for test_acc, and the reverse; else empty."""
    part, name = split_column(metric)
    other = {"test": "val", "val": "test"}.get(part)
    return f"{other}_{name}" if other else ""
