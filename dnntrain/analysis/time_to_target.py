"""How soon each run is as good as the baseline's run of the same seed was in the end, in epochs and in seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from dnntrain.analysis.runs import ArmRuns, column_by_arm
from dnntrain.analysis.timing import arm_costs, study_times
from dnntrain.metrics import metric_of, validation_column
from dnntrain.statistics import LEVEL, Interval, mean, t_interval
from dnntrain.store.run_columns import RunColumns
from dnntrain.store.study_files import Results


@dataclass(frozen=True)
class ArmTarget:
    """When the runs of one arm reach the target."""

    arm: str
    epochs: Mapping[int, float]
    """By seed, the first epoch (from 1) at which the run is as good as the target; inf if it never is."""
    epoch_seconds: float
    """What an epoch takes; see `TimeToTarget.is_retimed`."""

    @property
    def reached(self) -> int:
        """Runs that reach the target."""
        return sum(map(math.isfinite, self.epochs.values()))

    @property
    def median_epochs(self) -> float:
        """The median over runs, of which those that never reach it are the last; inf if half of them never do."""
        return median(self.epochs.values())

    @property
    def median_seconds(self) -> float:
        """The same in seconds."""
        return self.median_epochs * self.epoch_seconds

    def epochs_ratio(self, other: ArmTarget, level: float = LEVEL) -> Interval | None:
        """How many times the other arm's epochs these are: the geometric mean over seeds with its t interval.

        None where a run of either arm never reaches the target, or the arms share no seed.
        """
        shared = sorted(self.epochs.keys() & other.epochs.keys())
        if not shared or not all(map(math.isfinite, (*self.epochs.values(), *other.epochs.values()))):
            return None
        logs = t_interval([math.log(self.epochs[seed] / other.epochs[seed]) for seed in shared], level)
        return Interval(math.exp(logs.mean), math.exp(logs.low), math.exp(logs.high))

    def seconds_ratio(self, other: ArmTarget, level: float = LEVEL) -> Interval | None:
        """The same of the seconds, without the uncertainty of what an epoch takes."""
        ratio = self.epochs_ratio(other, level)
        factor = self.epoch_seconds / (other.epoch_seconds or math.nan)
        return ratio and Interval(factor * ratio.mean, factor * ratio.low, factor * ratio.high)


@dataclass(frozen=True)
class TimeToTarget:
    """When the runs of a study reach what the baseline's runs reach in the end."""

    metric: str
    """A validation metric, since the test part is measured only at the end."""
    targets: Mapping[int, float]
    """By seed, the metric of the weights that the baseline's run kept."""
    arms: Mapping[str, ArmTarget]
    is_retimed: bool
    """Whether an epoch's seconds are its training steps as `dnntrain runs time` measured them. Otherwise they are a
    run's time by its epochs, which depends on what trained together."""


def time_to_target(
    results: Results, metric: str, baseline: str | None, arms: Mapping[str, ArmRuns]
) -> TimeToTarget | None:
    """When the runs of a study reach the baseline's final validation metric.

    Each run is held against the baseline's run of its own seed, so that the baseline's runs reach their targets, and
    arms are compared in pairs. Seeds whose baseline run is lost have no target.

    Args:
        results: The study.
        metric: What it is judged by.
        baseline: Its baseline.
        arms: Its arms' runs by the metric.

    Returns:
        None without a baseline or a history of the metric, and for a study that is not complete.

    Raises:
        InputError: history.csv or timing.json is damaged.
    """
    column = validation_column(metric)
    if baseline is None or results.progress or not (results.folder / "history.csv").is_file():
        return None
    final = column_by_arm(results.runs, column).get(baseline, {})
    targets = {seed: float(value) for seed, value in final.items() if math.isfinite(value)}
    if not targets:
        return None
    history = results.history_of(column)
    if column not in history.recorded():
        return None
    first = first_epochs(history, column, targets)
    reached = {}
    for name, runs in arms.items():
        seeds = [seed for seed in (*runs.finished, *runs.diverged, *runs.failed) if seed in targets]
        # a lost run never reaches it, so that an arm cannot gain by losing runs
        reached[name] = {s: first[name, s] if s in runs.finished else math.inf for s in sorted(seeds)}
    times = study_times(results)
    is_retimed = times is not None and times.arms.keys() >= arms.keys()
    costs = arm_costs(times, baseline) if times else {}
    return TimeToTarget(
        metric=column,
        targets=targets,
        arms={
            name: ArmTarget(name, epochs, costs[name].epoch if is_retimed else seconds_per_epoch(results.runs, name))
            for name, epochs in reached.items()
            if epochs
        },
        is_retimed=is_retimed,
    )


def first_epochs(history: RunColumns, metric: str, targets: Mapping[int, float]) -> dict[tuple[str, int], float]:
    """By arm and seed, the first epoch at which a run is as good as its target; inf if it never is."""
    sign = 1 if metric_of(metric).higher_is_better else -1
    found: dict[tuple[str, int], float] = {}
    for arm, seed, epoch, value in history.rows("arm", "seed", "epoch", metric):
        run = (arm, int(seed))
        is_good = sign * value >= sign * targets.get(run[1], math.nan)
        found[run] = min(found.get(run, math.inf), float(epoch) if is_good else math.inf)
    return found


def seconds_per_epoch(runs: RunColumns, arm: str) -> float:
    """A run's time by its epochs, as the mean over an arm's runs; nan if it is not recorded."""
    if "epochs_run" not in runs:
        return math.nan
    return mean([seconds / epochs for seconds, epochs in runs.where("arm", arm).rows("seconds", "epochs_run")])
