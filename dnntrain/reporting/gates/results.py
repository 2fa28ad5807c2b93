"""The answer to a requirement, and what several answers guarantee together."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dnntrain.analysis.runs import ArmRuns
from dnntrain.statistics import POWER
from dnntrain.statistics.descriptive import ROUNDING

OPERATORS = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


class GateStatus(Enum):
    """The answer to a requirement, with its exit code."""

    HOLDS = 0
    FAILS = 1
    INCONCLUSIVE = 3


@dataclass(frozen=True)
class Finding:
    """What the runs of one study say about a requirement."""

    answer: GateStatus
    details: tuple[str, ...]
    """What was found and what is required, a line each."""
    headline: str = ""
    """The estimate with its interval, in a few words; empty if there is none."""
    estimate: float = math.nan
    """What the requirement is about: a difference of two arms, a mean, a count or a share; nan if unknown."""
    low: float = math.nan
    high: float = math.nan
    """The interval of the estimate; the estimate itself for a count."""
    bound: float = math.nan
    """What the estimate is compared with."""
    detectable: float = math.nan
    """How far the truth must be from the bound for the requirement to be decided with 80 % power."""
    error_rate: float = 0.0
    """The probability that the answer is the opposite of the truth, at most; 0 for facts about the runs."""
    n: int | None = None
    """The values of the smaller side; None for facts about the runs."""
    seeds_to_decide: int | None = None
    """If it is inconclusive, the seeds that decide it with 80 % power if the truth is as estimated; None if unknown.

    For measured times, these are rounds.
    """
    warning: str = ""
    """Why the requirement may not say what its author meant; empty if nothing suggests that."""


@dataclass(frozen=True, repr=False, eq=False)
class GateResult:
    """A requirement, judged in one study. It is true only if the requirement holds."""

    requirement: str
    study: str
    quantity: str
    """The metric, or lost, seconds or health."""
    finding: Finding
    arms: tuple[ArmRuns, ...]
    """The arms that it names."""
    unfinished: str = ""
    """What the study lacks, if that makes the answer inconclusive."""

    @property
    def answer(self) -> GateStatus:
        """Whether the requirement holds."""
        return GateStatus.INCONCLUSIVE if self.unfinished else self.finding.answer

    def __bool__(self) -> bool:
        return self.answer is GateStatus.HOLDS

    def __repr__(self) -> str:
        return f"<GateResult {self.answer.name.lower()}: {self.requirement} ({self.reason})>"

    @property
    def reason(self) -> str:
        """The numbers behind the answer, in one line."""
        return "; ".join(filter(None, [self.unfinished, *self.finding.details, *self.counts]))

    @property
    def counts(self) -> list[str]:
        """How many runs of each arm were made and lost."""
        return [
            f"{arm.name}: {arm.lost} of {arm.made} runs lost, {arm.made} of {arm.planned} planned" for arm in self.arms
        ]

    @property
    def lines(self) -> list[str]:
        """For a terminal: the answer with the estimate, then the numbers behind it on indented lines."""
        headline = f": {self.finding.headline}" if self.finding.headline else ""
        details = filter(None, [self.unfinished, *self.finding.details, "; ".join(self.counts)])
        return [f"{self.answer.name}  {self.requirement} ({self.study}){headline}", *(f"  {line}" for line in details)]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the answer, its reason, and every number in it."""
        numbers = ("estimate", "low", "high", "bound", "detectable", "error_rate")
        return {
            "requirement": self.requirement,
            "study": self.study,
            "quantity": self.quantity,
            "answer": self.answer.name.lower(),
            "reason": self.reason,
            **{name: getattr(self.finding, name) for name in numbers},
            "n": self.finding.n,
            "seeds_to_decide": self.finding.seeds_to_decide,
            "power": POWER,
            "arms": {
                arm.name: {"planned": arm.planned, "made": arm.made, "lost": arm.lost, "measured": len(arm.finished)}
                for arm in self.arms
            },
        }


class GateResults(list[GateResult]):
    """The answers to several requirements. True only if all of them hold, as with a single one."""

    def __bool__(self) -> bool:
        return all(self)


def exit_code(results: Sequence[GateResult]) -> int:
    """The exit code of all results: 1 if one fails, else 3 if one is inconclusive, else 0."""
    answers = {result.answer for result in results}
    worst = next((a for a in (GateStatus.FAILS, GateStatus.INCONCLUSIVE) if a in answers), GateStatus.HOLDS)
    return worst.value


def guarantee(results: Sequence[GateResult]) -> str:
    """How often exit codes 0 and 1 are wrong about these requirements; empty if no interval judges them.

    Exit 0 needs every requirement to hold, so that a single false one has to slip through: its own rate is the rate of
    all (an intersection-union test; Berger 1982, "Multiparameter hypothesis testing and acceptance sampling"). Exit 1
    needs only one to fail, so the rates add up (Bonferroni). "About", because the rate of two arms by one metric is
    nominal: 2.5 % were at most 3.5 % in simulations in which one arm, half of them, or the baseline varied more.
    """
    rates = [result.finding.error_rate for result in results if result.finding.error_rate]
    if not rates:
        return ""
    each, total = f"{100 * max(rates):.3g} %", f"{100 * min(1.0, sum(rates)):.3g} %"
    together = "" if len(rates) == 1 else f" ({each} for each of {len(rates)} intervals)"
    return f"Exit code 0 is wrong in at most about {each} of studies, exit code 1 in at most about {total}{together}."


def status_of(low: float, high: float, sign: str, bound: float, scale: float) -> GateStatus:
    """Whether all of an interval satisfies the bound, none of it, or some.

    Args:
        low: The lower end.
        high: The upper end.
        sign: A key of `OPERATORS`.
        bound: What the ends are compared with.
        scale: The size of the numbers that the ends were computed from. Ends that differ from the bound by no more
            than the rounding of such numbers equal it.
    """
    ends = [bound if abs(end - bound) <= ROUNDING * scale else end for end in (low, high)]
    satisfied = [OPERATORS[sign](end, bound) for end in ends]
    return GateStatus.HOLDS if all(satisfied) else GateStatus.INCONCLUSIVE if any(satisfied) else GateStatus.FAILS
