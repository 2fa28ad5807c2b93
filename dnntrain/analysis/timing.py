"""What the arms' training steps and test examples cost, and how many times the baseline's that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from dnntrain.statistics import LEVEL, Interval
from dnntrain.statistics.medians import median_interval
from dnntrain.store.study_files import Results
from dnntrain.store.timing import StudyTimes


@dataclass(frozen=True)
class ArmCost:
    """The times of one arm that `dnntrain runs time` measured, in seconds of one run."""

    arm: str
    step: float
    """A training step: the median over rounds."""
    test: float
    """A test example: the median over rounds."""
    epoch: float
    """The training steps of an epoch."""
    step_ratio: Interval | None
    """The arm's steps by the baseline's: the median over rounds with its 95 % interval. None without a baseline."""
    test_ratio: Interval | None
    """The same of test examples."""


def study_times(results: Results) -> StudyTimes | None:
    """The times of a study's arms; None if none were measured. Arms that have changed since are left out."""
    times = None if results.is_table else StudyTimes.read(results.folder)
    if times is None:
        return None
    runs = {(str(arm), str(run)) for arm, run in zip(results.runs["arm"], results.runs["run"], strict=True)}
    still = {arm: own for arm, own in times.arms.items() if (arm, own.run) in runs}
    return times.model_copy(update={"arms": still}) if still else None


def arm_costs(times: StudyTimes, baseline: str | None) -> dict[str, ArmCost]:
    """The cost of each arm that was timed, by arm; without ratios if the baseline was not timed."""
    base = times.arms.get(str(baseline))
    return {
        arm: ArmCost(
            arm,
            step=median(own.step),
            test=median(own.test),
            epoch=median(own.step) * own.steps_per_epoch,
            step_ratio=round_ratios(own.step, base.step) if base else None,
            test_ratio=round_ratios(own.test, base.test) if base else None,
        )
        for arm, own in times.arms.items()
    }


def round_ratios(ours: Sequence[float], theirs: Sequence[float], level: float = LEVEL) -> Interval:
    """How many times theirs our times are: the median of the ratios by round, in which both met the same load."""
    return median_interval([x / y for x, y in zip(ours, theirs, strict=True)], level)
