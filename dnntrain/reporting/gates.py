"""Requirements on a study, for scripts in CI: `elu-bn >= relu - 0.3pp`, `relu.test_acc >= 0.85`.

Two arms are compared by the 95 % interval of their difference. The requirement holds if the whole interval satisfies
it, fails if no part of it does, and is inconclusive otherwise. An arm is compared with a number by its mean.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from dnntrain.analysis.runs import arms_by_metric
from dnntrain.analysis.summary import no_metric
from dnntrain.errors import InputError, did_you_mean
from dnntrain.metrics import metric_columns, metric_of
from dnntrain.reporting import formatting
from dnntrain.statistics import deviation, paired_interval
from dnntrain.store.study_files import Results
from dnntrain.utils.fields import odd_number

GRAMMAR = re.compile(
    r"(?P<left>.+?)\s*(?P<sign>>=|<=|>|<)\s*(?P<right>.+?)(?:\s+(?P<plus>[+-])\s*(?P<margin>[\d.eE-]+)\s*(?P<unit>pp|%)?)?"
)


class GateStatus(Enum):
    """The result of a requirement, with its exit code."""

    HOLDS = 0
    FAILS = 1
    INCONCLUSIVE = 3


@dataclass(frozen=True)
class GateResult:
    """A requirement, judged in one study."""

    requirement: str
    study: str
    answer: GateStatus
    reason: str

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {
            "requirement": self.requirement,
            "study": self.study,
            "answer": self.answer.name.lower(),
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Operand:
    """An arm by one metric: `relu` by the study's metric, or `relu.test_acc`."""

    arm: str
    metric: str
    values: dict[int, float]


SPACED = " (names may contain + and -, so put spaces around the sign of a margin)"


def exit_code(results: Sequence[GateResult]) -> int:
    """The exit code of all results: 1 if one fails, else 3 if one is inconclusive, else 0."""
    answers = {item.answer for item in results}
    worst = next((a for a in (GateStatus.FAILS, GateStatus.INCONCLUSIVE) if a in answers), GateStatus.HOLDS)
    return worst.value


def judge(requirement: str, studies: Sequence[Results], metric: str | None = None) -> list[GateResult]:
    """Judges a requirement in every study that has its arms and its metric.

    Args:
        requirement: Such as 'elu >= relu - 0.3pp' or 'relu.test_acc >= 85%'.
        studies: The studies to look in.
        metric: The metric of arms that name none; by default the study's own.

    Raises:
        InputError: If the requirement cannot be parsed, or no study has its arms and metrics.
    """
    match = GRAMMAR.fullmatch(requirement.strip())
    if not match:
        raise InputError(f"--require {requirement!r}: must be like 'elu >= relu - 0.3pp' or 'relu.test_acc >= 0.85'")
    able = [study for study in studies if find_operand(match["left"], study, metric)]
    if not able:
        arm, _, wanted = match["left"].rpartition(".")
        for study in studies:
            if wanted in metric_columns() and arm in (other.name for other in study.record.arms):
                raise InputError(f"--require {requirement!r}: {no_metric(study, wanted)}")
        arms = [arm.name for study in studies for arm in study.record.arms]
        raise InputError(
            f"--require {requirement!r}: no arm '{match['left']}'{did_you_mean(match['left'], arms)}{SPACED}"
        )
    return [judge_one(requirement, match, study, metric) for study in able]


def judge_one(requirement: str, match: re.Match[str], study: Results, metric: str | None) -> GateResult:
    """Judges a parsed requirement in one study."""
    left = find_operand(match["left"], study, metric)
    assert left is not None
    margin = read_margin(match, left.metric)
    right = find_operand(match["right"], study, metric)
    if right is not None:
        if right.metric != left.metric and "." not in match["right"]:
            right = find_operand(f"{right.arm}.{left.metric}", study, metric) or right
        answer, reason = compare_arms(left, match["sign"], right, margin)
    else:
        bound = read_number(match["right"], left.metric, requirement, study)
        answer, reason = compare_number(left, match["sign"], bound + margin)
    return GateResult(requirement, study.name, answer, reason)


def find_operand(text: str, study: Results, default: str | None) -> Operand | None:
    """The arm of a study that the text names, with its own metric after a dot; None if there is no such arm."""
    arms = {arm.name for arm in study.record.arms}
    name, dot, metric = text.rpartition(".")
    if text in arms:
        name, metric = text, default or study.record.metric
    elif not (dot and name in arms and metric in metric_columns()):
        return None
    if metric not in study.runs.columns:
        return None
    return Operand(name, metric, arms_by_metric(study, metric)[name].values)


def read_margin(match: re.Match[str], metric: str) -> float:
    """`- 0.3pp` → -0.003."""
    if not match["margin"]:
        return 0.0
    try:
        size = float(match["margin"]) / (100 if match["unit"] else 1)
    except ValueError:
        raise InputError(f"--require: invalid margin '{match['margin']}'") from None
    if not math.isfinite(size):
        raise InputError(f"--require: invalid margin {match['margin']}")
    if metric_of(metric).is_share and size > 1:
        hint = f"; did you mean {match['margin']}pp?" if not match["unit"] and size <= 100 else ""
        raise InputError(f"--require: a margin of {match['margin']} is more than {metric} can differ by{hint}")
    return -size if match["plus"] == "-" else size


def read_number(text: str, metric: str, requirement: str, study: Results) -> float:
    """`0.85` or `85%` → 0.85; InputError if it is neither an arm nor a possible value of the metric."""
    if trouble := odd_number(text):
        raise InputError(f"--require {requirement!r}: {trouble}")
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        arms = [arm.name for arm in study.record.arms]
        raise InputError(f"--require {requirement!r}: no arm '{text}'{did_you_mean(text, arms)}{SPACED}") from None
    if not math.isfinite(value):
        raise InputError(f"--require {requirement!r}: invalid bound {text}")
    if trouble := metric_of(metric).impossible(value):
        raise InputError(f"--require {requirement!r}: {metric} {trouble}")
    return value


COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}


def compare_arms(left: Operand, sign: str, right: Operand, margin: float) -> tuple[GateStatus, str]:
    """Judges left - right against the margin by its paired interval."""
    interval = paired_interval(left.values, right.values)
    if interval is None or math.isnan(interval.low):
        shared = len(left.values.keys() & right.values.keys())
        return GateStatus.INCONCLUSIVE, f"{shared} seeds finished in both arms; an interval needs at least 2"
    ends = [COMPARE[sign](end, margin) for end in (interval.low, interval.high)]
    answer = GateStatus.HOLDS if all(ends) else GateStatus.INCONCLUSIVE if any(ends) else GateStatus.FAILS
    unit = " points" if metric_of(left.metric).is_share else ""
    observed = formatting.difference(interval, left.metric)
    return answer, (
        f"{left.metric}: {left.arm} - {right.arm} = {observed}{unit} (95 % interval), "
        f"required {sign} {formatting.exact(margin, left.metric)}"
    )


def compare_number(term: Operand, sign: str, bound: float) -> tuple[GateStatus, str]:
    """Judges an arm's mean against a number."""
    if not term.values:
        return GateStatus.FAILS, f"no run of {term.arm} finished"
    mean = sum(term.values.values()) / len(term.values)
    answer = GateStatus.HOLDS if COMPARE[sign](mean, bound) else GateStatus.FAILS
    shown = formatting.figure(mean, deviation([*term.values.values()]))
    return answer, (
        f"{term.metric} of {term.arm}: mean {shown} over {len(term.values)} runs, required {sign} {bound:,.12g}"
    )
