"""The runs of each arm of a study by one metric, with a value for those that were lost.

A run is lost if it diverged or its job failed. It counts as the prediction of a network that ignores its inputs, so
that an arm cannot gain by losing runs. Where a finished run of the study is worse than that, its value is taken, since
no lost run may outrank a finished one. A run that is not made yet, or has no value of this metric, does not count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dnntrain.metrics import Metric, TargetInfo, metric_of
from dnntrain.store.provenance import datasets_of
from dnntrain.store.records import StudyRecord
from dnntrain.store.study_files import Results


@dataclass(frozen=True)
class ArmRuns:
    """One arm's runs by one metric."""

    name: str
    planned: int
    """Runs that the study asks for."""
    finished: Mapping[int, float]
    """The metric of the finished runs, by seed."""
    diverged: tuple[int, ...]
    """Seeds of the runs that diverged."""
    failed: tuple[int, ...]
    """Seeds of the runs whose jobs failed."""
    not_measured: tuple[int, ...]
    """Seeds of the finished runs without a value of this metric."""
    lost_value: float = math.nan
    """What a lost run counts as, in the metric's unit; nan if that is not known."""
    lost_value_is_assumed: bool = False
    """Whether it assumes equally frequent classes, because the records are too old to say."""

    @property
    def lost(self) -> int:
        """Runs that diverged or failed."""
        return len(self.diverged) + len(self.failed)

    @property
    def made(self) -> int:
        """Runs that finished or were lost."""
        return len(self.finished) + len(self.not_measured) + self.lost

    @property
    def never_finishes(self) -> bool:
        """Whether runs were made, and all were lost."""
        return 0 < self.lost == self.made

    @property
    def values(self) -> dict[int, float]:
        """The value of each run that counts, by seed: the finished runs' own, and for lost runs `lost_value`.

        Lost runs are left out where their value is not known.
        """
        lost = () if math.isnan(self.lost_value) else (*self.diverged, *self.failed)
        return dict(sorted({**self.finished, **dict.fromkeys(lost, self.lost_value)}.items()))


def arms_by_metric(results: Results, metric: str) -> dict[str, ArmRuns]:
    """Each arm's runs by a metric that the study has, in the study's order.

    Args:
        results: The study.
        metric: A column of its table, such as test_acc.
    """
    study = results.record
    arms = {}
    for name, frame in _frames(results, metric).items():
        finished = frame[frame["status"] == "finished"]
        measured = finished[np.isfinite(finished[metric].astype(float))]
        failed = {*study.failed.get(name, ()), *frame[frame["status"] == "failed"]["seed"].astype(int)}
        arms[name] = ArmRuns(
            name=name,
            planned=len(study.seeds_of(name)),
            finished=dict(zip(measured["seed"].astype(int), measured[metric].astype(float), strict=True)),
            diverged=tuple(frame[frame["status"] == "diverged"]["seed"].astype(int)),
            failed=tuple(sorted(failed - {*frame[frame["status"] != "failed"]["seed"].astype(int)})),
            not_measured=tuple(finished[finished[metric].isna()]["seed"].astype(int)),
        )
        # a finished run whose metric is infinite is as lost as one whose loss is
        infinite = finished[np.isinf(finished[metric].astype(float))]["seed"].astype(int)
        arms[name] = replace(arms[name], diverged=(*arms[name].diverged, *infinite))
    worst = worst_finished(study, arms, metric_of(metric))
    return {name: _with_lost_value(arm, study, metric, worst) if arm.lost else arm for name, arm in arms.items()}


def worst_finished(study: StudyRecord, arms: Mapping[str, ArmRuns], metric: Metric) -> float:
    """The value of the worst finished run; after a look, of those up to the first. nan if none finished."""
    if study.looks and study.looks[0].worst is not None:
        return study.looks[0].worst
    values = [value for arm in arms.values() for value in arm.finished.values()]
    return (min if metric.higher_is_better else max)(values, default=math.nan)


def _with_lost_value(arm: ArmRuns, study: StudyRecord, metric: str, worst: float) -> ArmRuns:
    """The arm with what its lost runs count as."""
    declared = metric_of(metric)
    constants = study.constants.get(arm.name) or next(iter(study.constants.values()), {})
    value, is_assumed = constants.get(metric), False
    if value is None:
        value, is_assumed = assumed_constant(study, arm.name, declared), True
    if not math.isnan(worst) and not math.isnan(value):
        value = min(value, worst) if declared.higher_is_better else max(value, worst)
    return replace(arm, lost_value=value, lost_value_is_assumed=is_assumed)


def assumed_constant(study: StudyRecord, arm: str, metric: Metric) -> float:
    """The metric of a constant prediction for equally frequent classes, or a target of mean 0 and deviation 1.

    nan where that does not determine it, as for a metric in the target's own unit.
    """
    data = next((each for each in datasets_of(study) if arm in each.arms or not each.arms), None)
    if data is None:
        return math.nan
    if data.task == "classification":
        classes = np.arange(len(data.classes))
        return metric.of_constant(classes, classes, TargetInfo(len(classes))) if len(classes) else math.nan
    targets = np.array([-1.0, 1.0])
    return metric.of_constant(targets, targets, TargetInfo(deviation=math.nan))


def _frames(results: Results, metric: str) -> dict[str, pd.DataFrame]:
    runs = results.runs[["arm", "seed", "status", metric]]  # the other hundred columns would take most of the time
    by_arm = dict(iter(runs.groupby("arm", sort=False)))
    return {arm.name: by_arm.get(arm.name, runs.iloc[:0]) for arm in results.record.arms}
