"""Requirements on a metric: `elu >= relu - 0.3pp`, `relu.test_acc >= 85%`.

Two arms are compared by the interval of their difference, alone and not as one of a family, because the comparison was
chosen before the runs were made. The right arm is the baseline of `statistics.compare`, so that all arms of the study
share their variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from dnntrain.analysis.margins import Margin, read_margin
from dnntrain.analysis.runs import ArmRuns
from dnntrain.errors import InputError
from dnntrain.metrics import metric_of
from dnntrain.reporting import formatting
from dnntrain.reporting.gates.estimates import Estimate, Limit
from dnntrain.reporting.gates.grammar import FACTOR, INEQUALITIES, MARGIN, Sentence, check_sign, read_bound
from dnntrain.reporting.gates.results import Finding
from dnntrain.reporting.gates.scope import ABOUT_RUNS, Operand, Scope
from dnntrain.statistics import compare, mean


@dataclass(frozen=True)
class MetricClaim:
    """An arm by a metric against another arm or a number."""

    left: Operand
    sign: str
    right: Operand | float
    margin: Margin | None = None
    margin_sign: int = 1

    @classmethod
    def read(cls, left: Operand, sentence: Sentence, scope: Scope) -> Self:
        """Reads a requirement whose left side is known.

        Raises:
            NotInStudyError: If the study lacks what the right side names.
            InputError: If the sign or the right side is wrong.
        """
        check_sign(sentence, left.quantity, INEQUALITIES)
        right = read_side(sentence.right, left, scope)
        if right is not None:
            return cls(left, sentence.sign, right)
        parts = MARGIN.fullmatch(sentence.right)
        margin = read_margin(parts["margin"], metric_of(left.quantity)) if parts else None
        right = read_side(parts["operand"].strip(), left, scope) if parts else None
        if right is None:
            if FACTOR.fullmatch(sentence.right):
                raise InputError(f"'{sentence.right}': a factor is for seconds; write a margin, as in 'base - 2%'")
            raise scope.missing(parts["operand"].strip() if parts else sentence.right)
        return cls(left, sentence.sign, right, margin, -1 if parts and parts["plus"] == "-" else 1)

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The arms that it names."""
        return (self.left, self.right) if isinstance(self.right, Operand) else (self.left,)

    def judge(self, scope: Scope) -> Finding:
        """Judges the difference of two arms, or the mean of one."""
        if isinstance(self.right, Operand):
            return self.judge_difference(scope, self.right)
        column = self.left.quantity
        metric, arm = metric_of(column), scope.arms(column)[self.left.arm]
        bound = self.right + self.offset(self.right)
        estimate = Estimate.of_mean(list(arm.values.values()), scope.level, metric.bounds)
        width = estimate.interval.high - estimate.interval.low
        unit, points = (" %", " points") if metric.is_share else ("", "")
        shown = estimate.in_words(lambda value: formatting.number(value, column, width))
        limit = Limit(self.sign, bound, arm if self.left_is_good else None, missing_values(arm), scope.level)
        return limit.judge(
            estimate,
            f"{column} of {arm.name}: {shown}{unit}",
            f"{metric.scale * bound:.12g}{unit}",
            points,
            metric.scale,
        )

    def judge_difference(self, scope: Scope, other: Operand) -> Finding:
        """Judges the difference of two arms."""
        column, arms = self.left.quantity, scope.arms(self.left.quantity)
        metric, left = metric_of(column), arms[self.left.arm]
        if other.quantity == column:
            right = arms.pop(other.arm)
        else:  # by two metrics, these two arms have no variance in common with the others
            right, arms = scope.arms(other.quantity)[other.arm], {left.name: left}
        others = {name: arm.values for name, arm in arms.items()}
        try:
            family = compare(right.values, others, delta=0.0, method=scope.method, level=scope.level, adjusted=False)
        except ValueError as error:
            raise InputError(f"--method: {error}") from None
        span = metric.bounds[1] - metric.bounds[0]
        values = [*left.values.values(), *right.values.values()]
        estimate = Estimate.of_difference(family.comparisons[left.name], values, (-span, span))
        bound = self.offset(mean(list(right.values.values()))) if right.values else math.nan
        points = " points" if metric.is_share else ""
        gap = missing_values(left) or missing_values(right)
        limit = Limit(self.sign, bound, left if self.left_is_good else right, gap, scope.level)
        observed = f"{column}: {left.name} - {right.name} = {formatting.difference(estimate.interval, column)}{points}"
        return limit.judge(estimate, observed, formatting.exact(bound, column), points, metric.scale)

    @property
    def left_is_good(self) -> bool:
        """Whether the requirement needs the left side to be good; else the right one."""
        return self.sign.startswith(">") == metric_of(self.left.quantity).higher_is_better

    def offset(self, center: float) -> float:
        """The margin with its sign, in the metric's unit; a relative one is a share of `center`."""
        return self.margin_sign * self.margin.in_units(center) if self.margin else 0.0


def read_side(text: str, left: Operand, scope: Scope) -> Operand | float | None:
    """What stands on the right: an arm, by the left one's metric unless it names its own, or a value of this metric.

    Returns:
        None if it is neither.

    Raises:
        NotInStudyError: If the study lacks the metric of the arm.
        InputError: If the metric cannot have this value, or the two sides cannot be compared.
    """
    if scope.arm(text) is None and (number := read_bound(text, left.quantity)) is not None:
        return number
    right = scope.operand(text, left.quantity)
    if right is None:
        return None
    if right.quantity in ABOUT_RUNS or metric_of(right.quantity) is not metric_of(left.quantity):
        raise InputError(f"{left.quantity} and {right.quantity} cannot be compared")
    if right == left:
        raise InputError(f"both sides are {left.quantity} of {left.arm}")
    return right


def missing_values(arm: ArmRuns) -> str:
    """Why some runs of an arm have no value; '' if each has one."""
    if arm.lost and math.isnan(arm.lost_value):
        return f"what a lost run of {arm.name} counts as is not known"
    if arm.not_measured:
        return f"{len(arm.not_measured)} finished runs of {arm.name} have no value"
    return ""
