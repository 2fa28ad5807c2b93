"""The study that a requirement is judged in: its arms, metrics and baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dnntrain.analysis.runs import ArmRuns, arms_by_metric
from dnntrain.analysis.summary import no_metric
from dnntrain.errors import InputError, did_you_mean
from dnntrain.store.study_files import Results

LOST, SECONDS, HEALTH = ABOUT_RUNS = ("lost", "seconds", "health")
"""What may follow an arm's name besides a metric."""

BASE = "base"
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
            None if the study has no such arm.

        Raises:
            NotInStudyError: If the study has no baseline, or lacks the metric.
            InputError: If there is no such quantity.
        """
        if arm := self.arm(text):
            return Operand(arm, self.recorded(default))
        known = [*self.columns, *ABOUT_RUNS]
        # columns of a table that dnntrain did not write may have dots
        dotted = [quantity for quantity in known if text.endswith(f".{quantity}")]
        quantity = max(dotted, key=len, default=text.rpartition(".")[2])
        arm = self.arm(text.removesuffix(f".{quantity}").strip()) if "." in text else None
        if arm is None:
            return None
        if quantity not in known:
            raise InputError(f"'{text}': after the dot comes a metric, {', '.join(ABOUT_RUNS)}"
                             f"{did_you_mean(quantity, known)}")  # fmt: skip
        return Operand(arm, self.recorded(self.columns.get(quantity, quantity)))

    def arm(self, name: str) -> str | None:
        """The arm that a name means; None if there is none."""
        if name in self.names or name != BASE:
            return name if name in self.names else None
        if self.baseline is None:
            raise NotInStudyError(f"{self.study.name} has no baseline that '{BASE}' could mean")
        return self.baseline

    def recorded(self, quantity: str) -> str:
        """The quantity itself; NotInStudyError if the study does not record it."""
        if quantity == LOST or quantity in self.study.runs.columns:
            return quantity
        if quantity in ABOUT_RUNS:
            raise NotInStudyError(f"{self.study.name} has no column {quantity}")
        raise NotInStudyError(no_metric(self.study, quantity))

    def missing(self, text: str) -> NotInStudyError:
        """The error for text that should have been an arm of this study."""
        hint = (
            ""
            if {*"+-"}.isdisjoint(text)
            else "; put blanks around the sign of a margin, since names may contain + and -"
        )
        return NotInStudyError(f"no arm '{text}' in {self.study.name}{did_you_mean(text, self.names)}{hint}")

    def arms(self, quantity: str) -> dict[str, ArmRuns]:
        """Each arm's runs by a metric; by the default one for a quantity that is none."""
        return arms_by_metric(self.study, self.recorded(self.metric if quantity in ABOUT_RUNS else quantity))

    def unfinished(self) -> str:
        """How many planned runs are missing; empty if none."""
        arms = self.arms(self.metric).values()
        planned, missing = sum(arm.planned for arm in arms), sum(max(0, arm.planned - arm.made) for arm in arms)
        return (
            f"unfinished: {planned - missing} of {planned} planned runs were made (judge them with --allow-partial)"
            if missing
            else ""
        )
