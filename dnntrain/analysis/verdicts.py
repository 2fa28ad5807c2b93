"""The verdict on each arm in words, lost runs included."""

from __future__ import annotations

from dnntrain.analysis.runs import ArmRuns
from dnntrain.statistics import FEWEST_SEEDS, Comparison
from dnntrain.statistics.verdicts import EQUIVALENT, INCONCLUSIVE, WITHIN

IDENTICAL = "identical"
"""Every run of the arm has the same results as the baseline's."""


def arm_verdict(arm: ArmRuns, baseline: ArmRuns, comparison: Comparison | None, is_identical: bool) -> str:
    """The verdict on one arm.

    An arm that lost all runs is worse, and better than a baseline that lost all. Where either lost some, it says so,
    and is never called equivalent.

    Args:
        arm: The arm's runs.
        baseline: The baseline's runs.
        comparison: Their comparison, lost runs included; None if there is none.
        is_identical: Whether the arm's records equal the baseline's.
    """
    if not arm.made or not baseline.made:
        return "not run yet" if not arm.made else "no baseline yet"
    if min(arm.made, baseline.made) >= FEWEST_SEEDS and (arm.never_finishes or baseline.never_finishes):
        if arm.never_finishes and baseline.never_finishes:
            return "both never finish"
        return "never finishes: worse" if arm.never_finishes else "better: the baseline never finishes"
    if is_identical:
        return IDENTICAL
    lost = lost_in_words(arm, baseline)
    if lost and len(arm.values) + len(baseline.values) < arm.made + baseline.made - len(arm.not_measured):
        return f"no verdict: {lost}, and what a lost run counts as is not known"
    if comparison is None or not comparison.n:
        return "not measured" if arm.not_measured else "no seed in common"
    word = comparison.verdict
    if not lost or comparison.note:
        return word
    if word in (EQUIVALENT, INCONCLUSIVE):
        return f"{INCONCLUSIVE}: {lost}"
    return f"{word.removesuffix(WITHIN)} ({lost})"


def lost_in_words(arm: ArmRuns, baseline: ArmRuns) -> str:
    """How many runs either side lost; empty if none."""
    own = f"{arm.lost} of {arm.made} lost" if arm.lost else ""
    theirs = f"the baseline lost {baseline.lost} of {baseline.made}" if baseline.lost else ""
    return ", ".join(filter(None, [own, theirs]))
