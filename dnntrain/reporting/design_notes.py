"""What a reader must know of the tables in `design_tables`: the methods, and what the words mean."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dnntrain.analysis.designs import missing_cells
from dnntrain.analysis.summary import Summary
from dnntrain.reporting import formatting
from dnntrain.statistics.published import RUNS_APART

READINGS = (
    "Synergistic: better together than one by one; redundant: worse; additive: the {} interval lies within ±δ; "
    "not told from additive: the interval is too wide to say."
)


def design_notes(summary: Summary) -> Iterator[str]:
    """The notes on a study's pairs, effects, contributions and published values, as far as it has these."""
    yield from pair_notes(summary)
    yield from effect_notes(summary)
    yield from within_notes(summary)
    yield from order_notes(summary)
    yield from published_notes(summary)


def pair_notes(summary: Summary) -> Iterator[str]:
    """How all pairs of arms were judged."""
    arms = len(summary.arms)
    if summary.options.pairs and arms > 1:
        percent = formatting.percent(summary.level)
        yield (
            f"All {arms * (arms - 1) // 2} pairs: simultaneous {percent} intervals by Tukey and Kramer's method on "
            "moderated variances."
        )


def effect_notes(summary: Summary) -> Iterator[str]:
    """What effects and contributions are, how they were judged, and from which arms."""
    if not summary.effects and not summary.contributions:
        return
    how = "(Bonferroni, moderated variances)"
    words = READINGS.format(formatting.percent(2 * summary.level - 1))
    if judged := sum(not math.isnan(effect.p) for effect in summary.effects):
        yield (
            "Effects are means over the settings of the other factors. An interaction (×) is the difference of "
            "differences: by how much the effect of one factor differs between two levels of the other. Intervals and "
            f"p are simultaneous over {counted(judged, 'effect')} {how}. {words}"
        )
    if judged := sum(not math.isnan(item.p) for item in summary.contributions.values()):
        yield (
            "Gap: the loss without a technique minus its gain alone: its interaction with all others together. Its "
            f"intervals and p are simultaneous over {counted(judged, 'technique')} {how}; the intervals of gain and "
            f"loss hold one by one. {words}"
        )
    if missing := missing_cells(summary.runs):
        yield f"Effects are estimated without these arms, which have too few runs: {', '.join(missing)}."


def within_notes(summary: Summary) -> Iterator[str]:
    """What is compared within a factor, and how it was judged."""
    if summary.simple_effects:
        judged = sum(not math.isnan(effect.result.p) for effect in summary.simple_effects)
        yield (
            f"Within {summary.options.within}: each level against {summary.simple_effects[0].reference} at the same "
            f"setting of the other factors. Intervals and p are simultaneous over {counted(judged, 'comparison')} "
            "(Bonferroni, moderated variances), a family of their own."
        )


def order_notes(summary: Summary) -> Iterator[str]:
    """Where an order of arms holds, where it is contradicted, whether there is a trend, and how it was judged."""
    if summary.ordered is None:
        return
    steps = summary.ordered.steps
    found: dict[bool | None, list[str]] = {holds: [] for holds in (True, False, None)}
    for step in steps:
        better, worse = (step.following, step.arm) if step.holds is False else (step.arm, step.following)
        found[step.holds].append(f"{better} {'and' if step.holds is None else '>'} {worse}")
    words = {True: "shown", False: "contradicted", None: "without a clear difference"}
    said = [f"{len(which)} {words[holds]} ({', '.join(which)})" for holds, which in found.items() if which]
    yield f"Order {' > '.join(summary.ordered.order)}: of {counted(len(steps), 'step')}, {'; '.join(said)}."
    if (trend := summary.ordered.trend) is not None:
        shows = "shows a trend" if trend.p < 1 - summary.level else "does not show a trend"
        yield (
            f"Page's test over {counted(trend.n, 'seed')} (Page 1963) {shows} along this order: L = "
            f"{trend.statistic:g}, one-sided p {formatting.p_value(trend.p)}. A trend does not mean that each step "
            "holds."
        )
    yield (
        "The p of the steps are of moderated paired t tests in both directions, by Holm's correction over all steps; "
        "the intervals hold one by one."
    )


def published_notes(summary: Summary) -> Iterator[str]:
    """How published values were judged."""
    if judged := sum(result.is_judged for result in summary.published):
        yield (
            "Published values: z is the difference in standard errors, which count both sides' deviations and numbers "
            f"of runs. The {formatting.percent(summary.level)} intervals are simultaneous over "
            f"{counted(judged, 'published value')} (Bonferroni). A side without a deviation is taken to vary as the "
            f"other. Compatible: surely less than {RUNS_APART:g} standard deviations of one run apart, if data and "
            "settings are those that were published."
        )


def counted(number: int, what: str) -> str:
    """A number of things: '1 effect', '3 effects'."""
    return f"{number} {what}{'s' if number != 1 else ''}"
