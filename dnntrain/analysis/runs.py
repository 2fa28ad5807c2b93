"""The runs of each arm of a study by one metric, with a value for those that were lost.

A run is lost if it diverged or its job failed. It counts as the prediction of a network that ignores its inputs, so
that an arm cannot gain by losing runs. Where a finished run of the study is worse than that, its value is taken, since
no lost run may outrank a finished one. A run that is not made yet, or has no value of this metric, does not count.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dnntrain.metrics import Metric, TargetInfo, metric_columns, metric_of
from dnntrain.statistics import fisher_exact, mean
from dnntrain.store.provenance import datasets_of
from dnntrain.store.run_columns import RunColumns, is_empty
from dnntrain.store.study_files import Results
from dnntrain.store.study_record import StudyRecord


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
    blocks: Mapping[int, int] = field(default_factory=dict)
    """The block of each run by seed, if blocks are compared."""

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

        Lost runs are left out where their value is not known. If blocks are compared, it is the mean of each block, by
        its number.
        """
        lost = () if math.isnan(self.lost_value) else (*self.diverged, *self.failed)
        by_seed = dict(sorted({**self.finished, **dict.fromkeys(lost, self.lost_value)}.items()))
        if not self.blocks:
            return by_seed
        by_block: dict[int, list[float]] = {}
        for seed, value in by_seed.items():
            by_block.setdefault(self.blocks[seed], []).append(value)
        return {block: mean(values) for block, values in sorted(by_block.items())}

    def at(self, seeds: Collection[int]) -> ArmRuns:
        """The same arm, asked for these seeds only."""

        def kept(own: Iterable[int]) -> tuple[int, ...]:
            return tuple(seed for seed in own if seed in seeds)

        return replace(
            self,
            planned=len(seeds),
            finished={seed: self.finished[seed] for seed in kept(self.finished)},
            diverged=kept(self.diverged),
            failed=kept(self.failed),
            not_measured=kept(self.not_measured),
        )


def arms_by_metric(results: Results, metric: str) -> dict[str, ArmRuns]:
    """Each arm's runs by a metric that the study has, in the study's order.

    Args:
        results: The study.
        metric: A column of its table, such as test_acc.
    """
    study = results.record
    statuses, values, blocks = (column_by_arm(results.runs, name) for name in ("status", metric, "block"))
    arms = {}
    for arm in study.arms:
        status, value = statuses.get(arm.name, {}), values.get(arm.name, {})
        finished = {seed: float(value[seed]) for seed, end in status.items() if end == "finished"}
        # a finished run whose metric is infinite is as lost as one whose loss is
        diverged = [seed for seed, end in status.items() if end == "diverged" or math.isinf(finished.get(seed, 0.0))]
        failed = {*study.failed.get(arm.name, ())} - status.keys() | {s for s, end in status.items() if end == "failed"}
        arms[arm.name] = ArmRuns(
            name=arm.name,
            planned=len(status) if results.is_table else len(study.seeds_of(arm.name)),
            finished={seed: number for seed, number in finished.items() if math.isfinite(number)},
            diverged=tuple(diverged),
            failed=tuple(sorted(failed)),
            not_measured=tuple(seed for seed, number in finished.items() if math.isnan(number)),
            blocks=blocks.get(arm.name, {}) if results.blocks else {},
        )
    worst = worst_finished(study, arms, metric)
    return {name: _with_lost_value(arm, study, metric, worst) if arm.lost else arm for name, arm in arms.items()}


def worst_finished(study: StudyRecord, arms: Mapping[str, ArmRuns], metric: str) -> float:
    """The value of the worst finished run; after a judged look, of those up to the first. nan if none finished."""
    frozen = next((look.worst for look in study.looks if look.worst is not None), None)
    if frozen is not None and metric == study.metric:
        return frozen
    values = [value for arm in arms.values() for value in arm.finished.values()]
    return (min if metric_of(metric).higher_is_better else max)(values, default=math.nan)


def _with_lost_value(arm: ArmRuns, study: StudyRecord, metric: str, worst: float) -> ArmRuns:
    """The arm with what its lost runs count as."""
    declared = metric_of(metric)
    value, is_assumed = constant_of(study, arm.name, metric), False
    if value is None:
        value = assumed_constant(study, arm.name, declared)
        is_assumed = not math.isnan(value)
    if not math.isnan(worst) and not math.isnan(value):
        value = min(value, worst) if declared.higher_is_better else max(value, worst)
    return replace(arm, lost_value=value, lost_value_is_assumed=is_assumed)


def constant_of(study: StudyRecord, arm: str, metric: str) -> float | None:
    """What a network scores that ignores its inputs, on an arm's data; None if it is not recorded.

    An arm whose own runs do not say takes that of another arm on the same data.
    """
    on_same_data = next((data.arms for data in datasets_of(study) if arm in data.arms), [*study.constants])
    known = (study.constants.get(name, {}).get(metric) for name in (arm, *on_same_data))
    return next((value for value in known if value is not None), None)


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


def column_by_arm(runs: RunColumns, column: str) -> dict[str, dict[int, Any]]:
    """A column of the table of runs, by arm and seed; empty if the study lacks it."""
    found: dict[str, dict[int, Any]] = {}
    if column in runs:
        for arm, seed, value in runs.rows("arm", "seed", column):
            found.setdefault(arm, {})[int(seed)] = value
    return found


def outcomes(runs: RunColumns) -> dict[str, dict[int, tuple[Any, ...]]]:
    """How each run ended and all its metrics, by arm and seed. Arms with equal outcomes are identical."""
    columns = [name for name in ("status", "epochs_run", "best_epoch", *metric_columns()) if name in runs]
    found: dict[str, dict[int, tuple[Any, ...]]] = {}
    for arm, seed, *outcome in runs.rows("arm", "seed", *columns):
        # nan would differ from itself
        found.setdefault(arm, {})[int(seed)] = tuple(None if is_empty(value) else value for value in outcome)
    return found


def lost_p(arm: ArmRuns, baseline: ArmRuns) -> float:
    """Fisher's exact test of an arm's share of lost runs against the baseline's; nan without runs."""
    if not arm.made or not baseline.made:
        return math.nan
    return fisher_exact(arm.lost, arm.made, baseline.lost, baseline.made)
