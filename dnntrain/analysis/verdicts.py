"""The verdict on each arm in words, lost runs included."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from dnntrain.analysis.runs import ArmRuns, outcomes
from dnntrain.statistics import FEWEST_SEEDS, PAIRED, WELCH, Comparison, ContrastResult, compare_arms
from dnntrain.statistics.contrasts import INTERACTIONS
from dnntrain.statistics.verdicts import EQUIVALENT, INCONCLUSIVE, WITHIN
from dnntrain.store.study_files import Results

IDENTICAL = "identical"
"""Every run of the arm has the same results as the baseline's."""


def arm_verdict(
    arm: ArmRuns,
    baseline: ArmRuns,
    comparison: Comparison | ContrastResult | None,
    is_identical: bool,
    reference: str = "the baseline",
    is_complete: bool = True,
) -> str:
    """The verdict on one arm.

    An arm that lost all runs is worse, and better than a baseline that lost all. Where either lost some, it says so,
    and is never called equivalent.

    Args:
        arm: The arm's runs.
        baseline: The baseline's runs.
        comparison: Their comparison, lost runs included; None if there is none.
        is_identical: Whether the arm's records equal the baseline's.
        reference: What the baseline is called.
        is_complete: Whether all planned runs of the study are made. There is no verdict before, because who stops when
            something shows errs more often.
    """
    if not arm.made or not baseline.made:
        return f"{reference} not run yet" if arm.made else "not run yet"
    if not is_complete:
        return f"{arm.made} of {arm.planned} seeds so far"
    if min(arm.made, baseline.made) >= FEWEST_SEEDS and (arm.never_finishes or baseline.never_finishes):
        if arm.never_finishes and baseline.never_finishes:
            return "both never finish"
        return "never finishes: worse" if arm.never_finishes else f"better: {reference} never finishes"
    if is_identical:
        return IDENTICAL
    lost = lost_in_words(arm, baseline, reference)
    if any(side.lost and math.isnan(side.lost_value) for side in (arm, baseline)):
        return f"no verdict: {lost}, and what a lost run counts as is not known"
    if comparison is None or not comparison.n:
        return "not measured" if arm.not_measured else "no seed in common"
    return with_losses(comparison.verdict, lost)


@dataclass(frozen=True)
class PairVerdicts:
    """Verdicts on one arm of a study against another that need not be the baseline."""

    arms: Mapping[str, ArmRuns]
    ends: Mapping[str, Mapping[int, tuple[Any, ...]]]
    """How the runs of each arm ended; empty for a table that dnntrain did not write."""
    is_complete: bool
    """Whether all planned runs of the study are made."""

    @classmethod
    def of(cls, results: Results, arms: Mapping[str, ArmRuns]) -> Self:
        """The verdicts on the arms of a study, by their runs."""
        ends = {} if results.is_table else outcomes(results.runs)
        return cls(arms, ends, all(runs.made >= runs.planned for runs in arms.values()))

    def verdict(self, arm: str, other: str, comparison: Comparison | ContrastResult | None, reference: str = "") -> str:
        """The verdict on an arm against another, which is called `reference`, or by its name; see `arm_verdict`."""
        is_identical = bool(self.ends) and self.ends.get(arm) == self.ends.get(other)
        ours, theirs = self.arms[arm], self.arms[other]
        return arm_verdict(ours, theirs, comparison, is_identical, reference or other, self.is_complete)


def with_losses(word: str, lost: str) -> str:
    """A verdict on runs of which some were lost: it says so, and nothing is called equivalent or additive.

    Args:
        word: The verdict by the intervals.
        lost: How many runs were lost, in words; empty if none.
    """
    if not lost:
        return word
    word = {EQUIVALENT: INCONCLUSIVE, INTERACTIONS[EQUIVALENT]: INTERACTIONS[INCONCLUSIVE]}.get(word, word)
    is_open = word in (INCONCLUSIVE, INTERACTIONS[INCONCLUSIVE])
    return f"{word}: {lost}" if is_open else f"{word.removesuffix(WITHIN)} ({lost})"


def lost_in_words(arm: ArmRuns, baseline: ArmRuns, reference: str) -> str:
    """How many runs either side lost; empty if none."""
    own = f"{arm.lost} of {arm.made} lost" if arm.lost else ""
    theirs = f"{reference} lost {baseline.lost} of {baseline.made}" if baseline.lost else ""
    return ", ".join(filter(None, [own, theirs]))


def compare_finished(arms: Mapping[str, ArmRuns], baseline: str, method: str) -> Mapping[str, Comparison]:
    """Compares arms by their finished runs only, each for itself, where they or the baseline lost some.

    This is not a verdict: it hides that an arm loses runs.

    Args:
        arms: All arms.
        baseline: The arm to compare with.
        method: The method of the study's comparisons. Where that does not pair the runs, nor does this.
    """
    reference = arms[baseline]
    finished = {name: arm.finished for name, arm in arms.items() if name != baseline and (arm.lost or reference.lost)}
    how = WELCH if method == WELCH else PAIRED
    return compare_arms(reference.finished, finished, delta=0.0, method=how, adjusted=False).comparisons
