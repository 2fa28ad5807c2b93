"""Requirements on a metric: `elu >= relu - 0.3pp`, `relu.test_acc >= 85%`.

Two arms are compared by the interval of their difference, alone and not as one of a family, because the comparison was
chosen before the runs were made. The right arm is the baseline of `statistics.compare_arms`, so that all arms of the
study share their variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from dnntrain.analysis.margins import Margin, read_margin
from dnntrain.analysis.runs import ArmRuns
from dnntrain.errors import InputError
from dnntrain.metrics import metric_of
from dnntrain.reporting import formatting
from dnntrain.reporting.gates.estimates import IntervalEstimate, Limit
from dnntrain.reporting.gates.grammar import FACTOR, INEQUALITIES, MARGIN, NOT_WORSE, Sentence, check_sign, read_bound
from dnntrain.reporting.gates.results import Finding
from dnntrain.reporting.gates.scope import ABOUT_RUNS, Operand, Scope
from dnntrain.statistics import compare_arms, mean


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
        metric, asked = metric_of(left.quantity), sentence.sign
        sentence = sentence.in_direction(higher_is_better=metric.higher_is_better)
        check_sign(sentence, left.quantity, INEQUALITIES)
        text, parts = sentence.right, None
        right = read_side(text, left, scope)
        if right is None and (parts := MARGIN.fullmatch(text)):
            text = parts["operand"].strip()
            right = read_side(text, left, scope)
        if right is None:
            if FACTOR.fullmatch(text):
                minus = "-" if metric.higher_is_better else "+"
                raise InputError(f"'{text}': a factor is for times; write a margin, as in 'base {minus} 2%'")
            raise scope.missing(text)
        if parts is None:
            return cls(left, sentence.sign, right)
        if asked == NOT_WORSE and (parts["plus"] == "+") == metric.higher_is_better:
            direction, sign = ("higher", "-") if metric.higher_is_better else ("lower", "+")
            raise InputError(
                f"'{asked} {sentence.right}': {direction} {left.quantity} is better, so what is not worse may be "
                f"'{text} {sign} {parts['margin']}'; what is better by that much is 'better than {sentence.right}'"
            )
        claim = cls(
            left, sentence.sign, right, read_margin(parts["margin"], metric), -1 if parts["plus"] == "-" else 1
        )  # fmt: skip
        if isinstance(right, float) and (trouble := metric.impossible(right + claim.offset(right))):
            raise InputError(f"'{sentence.right}': {left.quantity} {trouble}")
        return claim

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
        estimate = IntervalEstimate.of_mean(list(arm.values.values()), scope.level, metric.bounds)
        width = estimate.interval.high - estimate.interval.low
        unit, points = (" %", " points") if metric.is_share else ("", "")
        shown = estimate.in_words(lambda value: formatting.number(value, column, width))
        limit = Limit(self.sign, bound, arm if self.left_is_good else None, missing_values(arm), scope.level)
        required = f"{metric.scale * bound:.12g}{unit}"
        subject = f"{column} of {arm.name}{direction_note(column)}: "
        return limit.judge(estimate, subject, f"{shown}{unit}", required, points, metric.scale)

    def judge_difference(self, scope: Scope, other: Operand) -> Finding:
        """Judges the difference of two arms."""
        column, arms = self.left.quantity, scope.arms(self.left.quantity)
        metric, left, right = metric_of(column), arms[self.left.arm], scope.arms(other.quantity)[other.arm]
        # by two metrics, two arms have no variance in common with the others
        pool = arms if other.quantity == column else {left.name: left}
        others = {name: arm.values for name, arm in pool.items() if arm is not right}
        try:
            family = compare_arms(
                right.values, others, delta=0.0, method=scope.method, level=scope.level, adjusted=False
            )
        except ValueError as error:
            raise InputError(f"--method: {error}") from None
        span = metric.bounds[1] - metric.bounds[0]
        values = [*left.values.values(), *right.values.values()]
        estimate = IntervalEstimate.of_difference(family.comparisons[left.name], values, (-span, span))
        bound = self.offset(mean(list(right.values.values()))) if right.values else math.nan
        points = " points" if metric.is_share else ""
        gap = missing_values(left) or missing_values(right)
        limit = Limit(self.sign, bound, left if self.left_is_good else right, gap, scope.level)
        subject = f"{column}{direction_note(column)}: {left.name} - {right.name} = "
        shown = f"{formatting.difference(estimate.interval, column)}{points}"
        required = f"{self.offset_in_words(bound)}{points}"
        finding = limit.judge(estimate, subject, shown, required, points, metric.scale)
        return replace(finding, warning=self.warning(left.name, right.name))

    def warning(self, left: str, right: str) -> str:
        """That one of two arms is required to be worse, which is seldom meant; empty with a margin."""
        if self.margin or self.left_is_good:
            return ""
        column, word = self.left.quantity, "not worse than" if self.sign.endswith("=") else "better than"
        better = "higher" if metric_of(column).higher_is_better else "lower"
        return f"{better} {column} is better, so {left} must be worse to pass; did you mean '{left} {word} {right}'?"

    def offset_in_words(self, offset: float) -> str:
        """What a difference of two arms is compared with: a margin as it was written, or computed to four digits."""
        if not offset:
            return "0"
        is_computed = self.margin is not None and self.margin.is_relative
        return formatting.exact(float(f"{offset:.4g}") if is_computed else offset, self.left.quantity)

    @property
    def left_is_good(self) -> bool:
        """Whether the requirement needs the left side to be good; else the right one."""
        return self.sign.startswith(">") == metric_of(self.left.quantity).higher_is_better

    def offset(self, center: float) -> float:
        """The margin with its sign, in the metric's unit; a relative one is a share of `center`."""
        return self.margin_sign * self.margin.in_units(center) if self.margin else 0.0


def direction_note(column: str) -> str:
    """A note on a metric of which less is better; empty for any other."""
    return "" if metric_of(column).higher_is_better else " (lower is better)"


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
