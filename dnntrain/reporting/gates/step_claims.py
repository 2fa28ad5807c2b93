"""Requirements on the times that `dnntrain runs time` measured: `bn.step_time <= 1.2 * base`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dnntrain.analysis.timing import round_ratios
from dnntrain.reporting.gates.estimates import IntervalEstimate, Limit
from dnntrain.reporting.gates.results import Finding
from dnntrain.reporting.gates.scope import STEP_TIME, NotInStudyError, Operand, Scope
from dnntrain.reporting.gates.time_claims import SecondsClaim
from dnntrain.statistics.medians import median_interval


@dataclass(frozen=True)
class TimingClaim(SecondsClaim):
    """The time of a training step or a test example against a multiple of another arm's, or against seconds."""

    def judge(self, scope: Scope) -> Finding:
        """Judges the median over rounds: of the ratios of both arms in a round, or of one arm's seconds."""
        left, *rest = (round_times(operand, scope) for operand in self.operands)
        if self.right:
            interval, unit = round_ratios(left, rest[0], scope.level), f" * {self.right.arm}"
        else:
            interval, unit = median_interval(left, scope.level), " s"
        estimate = IntervalEstimate(interval, len(left), math.nan, math.nan, math.nan, interval.high)
        observed = f"{self.left.quantity} of {self.left.arm}: {estimate.in_words(lambda value: f'{value:.3g}')}{unit}"
        limit = Limit(self.sign, self.number, None, "", scope.level)
        return limit.judge(estimate, observed, f"{self.number:g}{unit}")


def round_times(operand: Operand, scope: Scope) -> Sequence[float]:
    """An arm's times by round, in seconds; NotInStudyError if it was not timed."""
    times = scope.times.arms.get(operand.arm) if scope.times else None
    if times is None:
        raise NotInStudyError(f"{operand.arm} of {scope.study.name} was not timed; `dnntrain runs time` does")
    return times.step if operand.quantity == STEP_TIME else times.test
