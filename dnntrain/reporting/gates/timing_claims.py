"""Requirements on measured times: `bn.step_time <= 1.2 * base`, and `bn.target_epochs < base`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dnntrain.analysis.time_to_target import ArmTarget
from dnntrain.analysis.timing import round_ratios
from dnntrain.reporting.gates.estimates import IntervalEstimate, Limit
from dnntrain.reporting.gates.results import Finding, GateStatus
from dnntrain.reporting.gates.scope import STEP_TIME, TARGET_EPOCHS, NotInStudyError, Operand, Scope
from dnntrain.reporting.gates.time_claims import SecondsClaim
from dnntrain.statistics import Interval, t_interval
from dnntrain.statistics.medians import median_interval


@dataclass(frozen=True)
class RatioClaim(SecondsClaim):
    """A time against a multiple of another arm's, judged by their ratio, or against a number."""

    def judged(self, interval: Interval, n: int, unit: str, counted: str, scope: Scope) -> Finding:
        """Judges the ratio, or without a right arm the left one's own time; `counted` says what the `n` values are."""
        unit = f" * {self.right.arm}" if self.right else unit
        estimate = IntervalEstimate.of_interval(interval, n, scope.level, counted)
        subject, shown = f"{self.left.quantity} of {self.left.arm}: ", estimate.in_words(lambda value: f"{value:.3g}")
        limit = Limit(self.sign, self.number, None, "", scope.level)
        return limit.judge(estimate, subject, f"{shown}{unit}", f"{self.number:g}{unit}")


class TimingClaim(RatioClaim):
    """The time of a training step or a test example, as `dnntrain runs time` measured it, in seconds."""

    def judge(self, scope: Scope) -> Finding:
        """Judges the median over rounds."""
        left, *rest = (round_times(operand, scope) for operand in self.operands)
        interval = round_ratios(left, rest[0], scope.level) if rest else median_interval(left, scope.level)
        return self.judged(interval, len(left), " s", "rounds", scope)


def round_times(operand: Operand, scope: Scope) -> Sequence[float]:
    """An arm's times by round, in seconds; NotInStudyError if it was not timed."""
    times = scope.times.arms.get(operand.arm) if scope.times else None
    if times is None:
        raise NotInStudyError(f"{operand.arm} of {scope.study.name} was not timed; `dnntrain runs time` does")
    return times.step if operand.quantity == STEP_TIME else times.test


class TargetClaim(RatioClaim):
    """How many epochs or seconds an arm trains until it is as good as the baseline in the end."""

    def judge(self, scope: Scope) -> Finding:
        """Judges the mean over seeds; of ratios, the geometric one."""
        left, *rest = (arm_target(operand, scope) for operand in self.operands)
        for arm in (left, *rest):
            if arm.reached < (n := len(arm.epochs)):
                missing = f"{n - arm.reached} of {n} runs of {arm.arm} never reach the target"
                fails = arm is left and not arm.reached and self.sign.startswith("<")
                return Finding(GateStatus.FAILS if fails else GateStatus.INCONCLUSIVE, (missing,))
        in_epochs = self.left.quantity == TARGET_EPOCHS
        if rest:
            interval = (left.epochs_ratio if in_epochs else left.seconds_ratio)(rest[0], scope.level)
        else:
            each = 1.0 if in_epochs else left.epoch_seconds
            interval = t_interval([each * epochs for epochs in left.epochs.values()], scope.level)
        if interval is None:
            return Finding(GateStatus.INCONCLUSIVE, (f"{left.arm} and {rest[0].arm} share no seed",))
        return self.judged(interval, len(left.epochs), " epochs" if in_epochs else " s", "seeds", scope)


def arm_target(operand: Operand, scope: Scope) -> ArmTarget:
    """When an arm's runs reach the target; NotInStudyError if it has no run that could."""
    target = scope.target.arms.get(operand.arm) if scope.target else None
    if target is None:
        raise NotInStudyError(f"{operand.arm} of {scope.study.name} has no run with a target")
    return target
