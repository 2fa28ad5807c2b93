"""Requirements on training time: `bn.seconds <= 1.2 * base`.

Runs that train in one population share its time equally, so a population is one measurement, however many runs it has.
Records do not name the population, but its runs have the same length and nearly the same time.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from dnntrain.analysis.runs import ArmRuns
from dnntrain.errors import InputError
from dnntrain.reporting import formatting
from dnntrain.reporting.gates.estimates import IntervalEstimate, Limit
from dnntrain.reporting.gates.grammar import FACTOR, INEQUALITIES, Sentence, check_sign, plain_number
from dnntrain.reporting.gates.results import Finding
from dnntrain.reporting.gates.scope import SECONDS, Operand, Scope
from dnntrain.statistics import FEWEST_SEEDS, WELCH, compare_arms
from dnntrain.store.run_columns import is_empty

SAME_TIME = 0.001
"""Runs of one length whose times differ by at most this share count as one population."""

RECORDED = 0.0001
"""Records round times to this many seconds."""


class TimedPopulation(NamedTuple):
    """Runs that trained together, as far as their times tell."""

    epochs: int
    seconds: float
    """Of one run."""

    def is_same(self, other: TimedPopulation) -> bool:
        """Whether two runs may have trained together."""
        apart = abs(self.seconds - other.seconds)
        return self.epochs == other.epochs and apart <= SAME_TIME * self.seconds + RECORDED


@dataclass(frozen=True)
class SecondsClaim:
    """An arm's time against a multiple of another arm's, or against a number of seconds."""

    left: Operand
    sign: str
    right: Operand | None
    number: float
    """The factor of the right arm's time; without a right arm, seconds."""

    @classmethod
    def read(cls, left: Operand, sentence: Sentence, scope: Scope) -> Self:
        """Reads a requirement whose left side is known; for errors see `MetricClaim.read`."""
        sentence = sentence.in_direction(higher_is_better=False)
        check_sign(sentence, left.quantity, INEQUALITIES)
        text, number, match = sentence.right, None, None
        if scope.arm(text) is None and (number := plain_number(text)) is None and (match := FACTOR.fullmatch(text)):
            number, text = plain_number(match["factor"]), match["operand"]
            if number is None:
                raise InputError(f"'{match['factor']}' is no factor; write a number, as in '1.2 * {text}'")
        if number is not None and number <= 0:
            raise InputError(f"'{sentence.right}': {number:g} must be more than 0")
        if number is not None and match is None:
            return cls(left, sentence.sign, None, number)
        right = scope.operand(text, left.quantity)
        if right is None:
            raise scope.missing(text)
        if right.quantity != left.quantity or right == left:
            raise InputError(f"'{sentence.right}' must be the time of another arm, as in '1.2 * base', or seconds")
        return cls(left, sentence.sign, right, 1.0 if number is None else number)

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The arms that it names."""
        return (self.left, self.right) if self.right else (self.left,)

    def judge(self, scope: Scope) -> Finding:
        """Judges the mean over populations, or the difference of two such means by Welch's interval."""
        arms = [scope.arms(SECONDS)[operand.arm] for operand in self.operands]
        found = [timed_populations(scope, arm.name) for arm in arms]
        if self.right:  # arms that train together have the same time by construction
            found = [[p for p in own if not any(map(p.is_same, other))] for own, other in (found, found[::-1])]
        good = arms[0] if self.sign.startswith("<") else arms[1] if self.right else None
        left, *rest = ([p.seconds for p in own] for own in found)
        if rest:
            right, name = [self.number * seconds for seconds in rest[0]], arms[0].name
            family = compare_arms(
                dict(enumerate(right)), {name: dict(enumerate(left))}, delta=0.0, method=WELCH, level=scope.level,
                adjusted=False,
            )  # fmt: skip
            estimate = IntervalEstimate.of_difference(family.comparisons[name], [*left, *right], (-math.inf, math.inf))
            subject, required, bound = f"seconds: {name} - {self.number:g} * {arms[1].name} = ", "0", 0.0
        else:
            estimate = IntervalEstimate.of_mean(left, scope.level, (0, math.inf))
            subject, required, bound = f"seconds of {arms[0].name}: ", f"{self.number:g} s", self.number
        limit = Limit(self.sign, bound, good, missing_times(arms, found), scope.level)
        return limit.judge(estimate, subject, f"{estimate.in_words(formatting.brief)} s", required, " s")


def timed_populations(scope: Scope, arm: str) -> list[TimedPopulation]:
    """The populations of an arm's finished runs.

    Runs of one population that stop early have other lengths, and so count as another one.
    """
    own = scope.study.runs.where("arm", arm).where("status", "finished")
    epochs = own["epochs_run"] if "epochs_run" in own else [0] * len(own)
    lengths = [0 if is_empty(length) else int(length) for length in epochs]
    times = [(length, float(seconds)) for length, seconds in zip(lengths, own["seconds"], strict=True)]
    found: list[TimedPopulation] = []
    for run in sorted(TimedPopulation(*time) for time in times if not math.isnan(time[1])):
        if not (found and found[-1].is_same(run)):
            found.append(run)
    return found


def missing_times(arms: Sequence[ArmRuns], found: Sequence[Sequence[TimedPopulation]]) -> str:
    """Why the arms' times cannot be judged; '' if they can."""
    for arm, own in zip(arms, found, strict=True):
        # members of one population that stop early differ in time, so only equal lengths prove several populations
        proved = max(Counter(population.epochs for population in own).values(), default=0)
        if arm.lost:
            return f"the time of a lost run of {arm.name} cannot be compared"
        if proved < FEWEST_SEEDS:
            needed = f"{proved} of the {FEWEST_SEEDS} populations of its own that are needed"
            return f"{arm.name} has {needed} (runs that trained together give one time)"
    return ""
