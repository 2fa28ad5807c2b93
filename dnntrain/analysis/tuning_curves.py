"""What was tried for each arm of a tuned study: the metric on validation data by the value of the tuned setting."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dnntrain.analysis.selection import tuned_value
from dnntrain.config.renamed import to_new_names
from dnntrain.store.study_files import Results, read_study
from dnntrain.store.study_record import ArmRecord


@dataclass(frozen=True)
class TuningCurve:
    """The values of one setting that were tried for one arm."""

    arm: str
    setting: str
    metric: str
    """Of validation data, such as val_acc."""
    scores: Mapping[float, list[float]]
    """By value, ascending: the metric of each run; nan if it was lost."""
    chosen: float | None
    """The value that the arm is compared with."""


def tuning_curves(results: Results) -> list[TuningCurve]:
    """The curve of each tuned arm; empty if nothing was tuned, or the study that tuned it is not here.

    Raises:
        InputError: A file of that study is damaged.
    """
    record = results.record
    tuned = {arm.name: setting for arm in record.arms if (setting := record.tuned_setting(arm))}
    folder = results.folder.parent / f"{results.folder.name.removesuffix('-tuned')}-tuning"
    if not tuned or not (folder / "results.csv").is_file():
        return []
    tuning = read_study(folder)
    metric, curves = tuning.record.metric, []
    for arm in (arm for arm in record.arms if arm.name in tuned):
        setting = tuned[arm.name]
        tried = {
            float(value): [float(score) for score in tuning.runs.where("arm", other.name)[metric]]
            for other in tuning.record.arms
            if settings_without(other, setting) == settings_without(arm, setting)
            and not isinstance(value := to_new_names(other.settings).get(setting), str | None)
        }
        scores = {value: runs for value, runs in sorted(tried.items()) if math.isfinite(value) and runs}
        if len(scores) > 1:
            chosen = tuned_value(record, arm)
            curves.append(TuningCurve(arm.name, setting, metric, scores, chosen))
    return curves


def settings_without(arm: ArmRecord, setting: str) -> dict[str, Any]:
    """An arm's settings without one of them."""
    return {key: value for key, value in to_new_names(arm.settings).items() if key != setting}
