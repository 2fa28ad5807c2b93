"""The study that a requirement is judged in: its arms, metrics and baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dnntrain.analysis.predicted_metrics import no_metric, with_metric
from dnntrain.analysis.runs import ArmRuns, arms_by_metric
from dnntrain.analysis.time_to_target import TimeToTarget, time_to_target
from dnntrain.analysis.timing import study_times
from dnntrain.errors import InputError, did_you_mean
from dnntrain.store.study_files import Results
from dnntrain.store.timing import StudyTimes

LOST, SECONDS, HEALTH = "lost", "seconds", "health"
STEP_TIME, TEST_TIME = "step_time", "test_time"
TARGET_EPOCHS, TARGET_SECONDS = "target_epochs", "target_seconds"
ABOUT_RUNS = (LOST, SECONDS, HEALTH, STEP_TIME, TEST_TIME, TARGET_EPOCHS, TARGET_SECONDS)
"""What may follow an arm's name besides a metric."""

BASELINE_WORD = "base"
"""Stands for the baseline, unless an arm has this name."""


class NotInStudyError(InputError):
    """The requirement names what this study lacks. Another study may have it."""


@dataclass(frozen=True)
class Operand:
    """An arm and what of it is meant."""

    arm: str
    quantity: str
    """A metric's column, or one of `ABOUT_RUNS`."""


@dataclass(frozen=True)
class Scope:
    """A study, and how requirements are judged in it."""

    study: Results
    metric: str
    """The metric of arms that name none."""
    columns: Mapping[str, str]
    """The metrics that may be named after a dot, by name."""
    baseline: str | None
    method: str
    """One of `statistics.METHODS`, for two arms by one metric."""
    level: float
    """Confidence of each interval."""
    read: dict[str, dict[str, ArmRuns]] = field(default_factory=dict)
    """The arms' runs by metric, as far as they were asked for."""

    @cached_property
    def times(self) -> StudyTimes | None:
        """The arms' times that `dnntrain runs time` measured; None if it was not called."""
        return study_times(self.study)

    @cached_property
    def target(self) -> TimeToTarget | None:
        """How soon the runs are as good as the baseline's in the end; None if that is not known."""
        return time_to_target(self.study, self.metric, self.baseline, self.arms(self.metric))

    @property
    def names(self) -> list[str]:
        """The study's arms."""
        return [arm.name for arm in self.study.record.arms]

    def operand(self, text: str, default: str) -> Operand | None:
        """What a text means: an arm of exactly this name, or an arm with a quantity after a dot.

        Args:
            text: Such as relu, relu.test_acc, relu.lost or base.
            default: The quantity of an arm that names none.

        Returns:
            None if it is neither; see `missing`.

        Raises:
            NotInStudyError: If the study has no baseline, or lacks the metric.
        """
        if arm := self.arm(text):
            return Operand(arm, self.recorded(default))
        # columns of a table that dnntrain did not write may have dots
        dotted = [quantity for quantity in (*self.columns, *ABOUT_RUNS) if text.endswith(f".{quantity}")]
        quantity = max(dotted, key=len, default="")
        arm = self.arm(text.removesuffix(f".{quantity}").strip()) if quantity else None
        if arm is None:
            return None
        return Operand(arm, self.recorded(self.columns.get(quantity, quantity)))

    def arm(self, name: str) -> str | None:
        """The arm that a name means; None if there is none."""
        if name in self.names or name != BASELINE_WORD:
            return name if name in self.names else None
        if self.baseline is None:
            raise NotInStudyError(f"{self.study.name} has no baseline that '{BASELINE_WORD}' could mean")
        return self.baseline

    def recorded(self, quantity: str) -> str:
        """The quantity itself; NotInStudyError if the study neither records it nor has predictions that give it."""
        if quantity == LOST or quantity in self.study.runs.columns or quantity in self.read:
            return quantity
        if quantity in (STEP_TIME, TEST_TIME):
            if self.times is None:
                raise NotInStudyError(f"{self.study.name} was not timed; `dnntrain runs time {self.study.name}` does")
            return quantity
        if quantity in (TARGET_EPOCHS, TARGET_SECONDS):
            if self.target is None:
                raise NotInStudyError(f"{self.study.name} has no baseline, or no history of {self.metric}'s validation")
            return quantity
        if quantity in ABOUT_RUNS:
            raise NotInStudyError(f"{self.study.name} has no column {quantity}")
        study = with_metric(self.study, quantity)
        if quantity not in study.runs.columns:
            raise NotInStudyError(no_metric(self.study, quantity))
        self.read[quantity] = arms_by_metric(study, quantity)
        return quantity

    def missing(self, text: str) -> NotInStudyError:
        """The error for text that is no operand."""
        name, dot, quantity = text.rpartition(".")
        if dot and self.arm(name):
            known = [*ABOUT_RUNS, *(column for column in self.columns if column in self.study.runs.columns)]
            near = did_you_mean(quantity, known)
            return NotInStudyError(f"'{text}': after the dot comes a metric, {', '.join(ABOUT_RUNS)}{near}")
        is_sum = not {*"+-"}.isdisjoint(text)
        hint = "; put blanks around a margin's sign, since names may contain + and -" if is_sum else ""
        return NotInStudyError(f"no arm '{text}' in {self.study.name}{did_you_mean(text, self.names)}{hint}")

    def arms(self, quantity: str) -> dict[str, ArmRuns]:
        """Each arm's runs by a metric; by the default one for a quantity that is none."""
        column = self.recorded(self.metric if quantity in ABOUT_RUNS else quantity)
        if column not in self.read:
            self.read[column] = arms_by_metric(with_metric(self.study, column), column)
        return self.read[column]

    def unfinished(self) -> str:
        """How many planned runs are missing; empty if none."""
        arms = self.arms(self.metric).values()
        planned, missing = sum(arm.planned for arm in arms), sum(max(0, arm.planned - arm.made) for arm in arms)
        counts = f"{planned - missing} of {planned} planned runs were made"
        return f"unfinished: {counts} (judge them with --allow-partial)" if missing else ""
