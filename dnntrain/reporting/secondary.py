"""The verdicts by a study's second metric, loss or accuracy: lines below the tables, and data for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dnntrain.analysis.arm_summary import ArmSummary
from dnntrain.analysis.secondary import disagreements
from dnntrain.analysis.summary import Summary
from dnntrain.reporting import formatting

COMPARED = ("difference", "low", "high", "p", "p_equivalent")
"""What is exported of an arm's comparison by the second metric."""


def secondary_lines(summary: Summary, most: int) -> Iterator[str]:
    """How the second metric was judged, and the arms whose verdicts differ by metric.

    Args:
        summary: The study.
        most: Arms that a list names, at most.
    """
    other = summary.secondary
    if other is None or other.family is None or summary.family is None:
        return
    level = formatting.percent(other.family.level)
    yield (
        f"{other.metric} is judged separately: its intervals all hold together at {level}, and so do those of "
        f"{summary.metric}, but not both sets together; {formatting.delta_in_words(other)}."
    )
    differing = [
        f"{ours} in {summary.metric} but {theirs} in {other.metric} ({formatting.listed(arms, most)})"
        for (ours, theirs), arms in verdicts_by_metric(summary, other).items()
    ]
    if differing:
        yield f"Verdicts differ by metric: {'; '.join(differing)}."


def verdicts_by_metric(summary: Summary, other: Summary) -> dict[tuple[str, str], list[str]]:
    """The arms whose verdicts differ, by both verdicts in one word."""
    ours, theirs = ({arm.name: arm.verdict for arm in each.arms} for each in (summary, other))
    return disagreements(ours, theirs)


def secondary_data(summary: Summary) -> dict[str, Any] | None:
    """How the second metric was judged, for JSON; the arms' numbers are in their rows. None without one."""
    other = summary.secondary
    if other is None or other.family is None:
        return None
    differing = [
        {"verdict": ours, "secondary_verdict": theirs, "arms": arms}
        for (ours, theirs), arms in verdicts_by_metric(summary, other).items()
    ]
    return {
        "metric": other.metric,
        "level": other.family.level,
        "delta": other.delta,
        "margin": other.margin.text,
        "comparisons": other.family.k,
        "differing": differing,
    }


def secondary_columns(arm: ArmSummary, summary: Summary) -> dict[str, Any]:
    """An arm's numbers by the second metric, as columns; all None without one."""
    other = summary.secondary
    theirs = other.arm(arm.name) if other else None
    comparison = theirs.comparison if theirs else None
    columns = {
        "metric": other.metric if other else None,
        "mean": theirs.mean if theirs else None,
        "sd": theirs.deviation if theirs else None,
        **{key: getattr(comparison, key) if comparison else None for key in COMPARED},
        "verdict": (theirs.verdict or None) if theirs else None,
    }
    return {f"secondary_{key}": value for key, value in columns.items()}
