"""Requirements on facts about an arm's runs: `bn.lost <= 0`, `bn.lost < 20%`, `bn.health == healthy`.

They are about the runs that were made, and have no interval.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Self

from dnntrain.errors import InputError, did_you_mean
from dnntrain.reporting.gates.grammar import Sentence, bound_in_words, check_sign, plain_number
from dnntrain.reporting.gates.results import OPERATORS, Finding, GateStatus, status_of
from dnntrain.reporting.gates.scope import HEALTH, LOST, Operand, Scope
from dnntrain.statistics.significance import rate_limit
from dnntrain.store.records import DIVERGED_HEALTH, HEALTHY, NOT_JUDGED, health_state
from dnntrain.store.run_columns import is_empty


@dataclass(frozen=True)
class LostClaim:
    """The number or the share of an arm's runs that were lost."""

    left: Operand
    sign: str
    bound: float
    is_share: bool

    @classmethod
    def read(cls, left: Operand, sentence: Sentence, scope: Scope) -> Self:
        """Reads a requirement whose left side is known; InputError if the sign or the number is wrong."""
        check_sign(sentence, LOST, tuple(OPERATORS))
        is_share = sentence.right.endswith("%")
        number = plain_number(sentence.right.removesuffix("%").strip())
        if number is None or number < 0 or (number > 100 if is_share else number != int(number)):
            raise InputError(f"'{sentence.right}' must be a number of runs, such as 0, or a share, such as 20%")
        return cls(left, sentence.sign, number / 100 if is_share else number, is_share)

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The arm that it names."""
        return (self.left,)

    def judge(self, scope: Scope) -> Finding:
        """Judges the count."""
        arm = scope.arms(LOST)[self.left.arm]
        if not arm.made:
            return Finding(GateStatus.INCONCLUSIVE, (f"no run of {arm.name} was made",), bound=self.bound)
        lost = arm.lost / arm.made if self.is_share else float(arm.lost)
        shown, required = (f"{100 * x:.3g} %" if self.is_share else f"{x:g}" for x in (lost, self.bound))
        return Finding(
            status_of(lost, lost, self.sign, self.bound, 1.0),
            (
                f"lost runs of {arm.name}: {shown}; required: {bound_in_words(self.sign, required)}",
                f"these runs leave a rate of up to {100 * rate_limit(arm.lost, arm.made):.0f} % possible",
            ),
            shown,
            *(lost, lost, lost, self.bound),
        )


@dataclass(frozen=True)
class HealthClaim:
    """The diagnosis of all of an arm's runs."""

    left: Operand
    sign: str
    state: str
    needs_activations: bool
    """Whether it is about activations, so that a run that was not judged by them neither meets nor breaks it."""

    @classmethod
    def read(cls, left: Operand, sentence: Sentence, scope: Scope) -> Self:
        """Reads a requirement whose left side is known; InputError if the sign or the state is wrong."""
        # takes a sixth of a second, which other reports need not wait
        from dnntrain.engine.health import ACTIVATION_SYMPTOMS, SYMPTOMS

        check_sign(sentence, HEALTH, ("==", "!="))
        states = (HEALTHY, *SYMPTOMS, DIVERGED_HEALTH)
        if sentence.right not in states:
            raise InputError(f"unknown health '{sentence.right}'{did_you_mean(sentence.right, states)}")
        return cls(left, sentence.sign, sentence.right, sentence.right in (HEALTHY, *ACTIVATION_SYMPTOMS))

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The arm that it names."""
        return (self.left,)

    def judge(self, scope: Scope) -> Finding:
        """Judges the number of runs that are otherwise. A run whose job failed is not known, nor one not judged."""
        arm, runs = scope.arms(HEALTH)[self.left.arm], scope.study.runs
        diagnosed = [health for health in runs.where("arm", arm.name)[HEALTH] if not is_empty(health)]
        states = Counter(map(health_state, diagnosed))
        shown = [f"{state} {count}/{arm.made}" for state, count in states.most_common()]
        failed = arm.made - states.total()
        if failed:
            shown.append(f"not known {failed}/{arm.made}")
        unknown = failed + (states.pop(NOT_JUDGED, 0) if self.needs_activations else 0)
        wrong = sum(count for state, count in states.items() if not OPERATORS[self.sign](state, self.state))
        answer = GateStatus.FAILS if wrong else GateStatus.INCONCLUSIVE if unknown or not arm.made else GateStatus.HOLDS
        found = ", ".join(shown) or "no run"
        line = f"health of {arm.name}: {found}; required: {bound_in_words(self.sign, self.state)}"
        return Finding(answer, (line,), found, *(float(wrong),) * 3, bound=0.0)
