"""Tables beyond an arm against the baseline: pairs, effects, contributions, an order of arms, and published values."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dnntrain.analysis.pairs import compare_all_pairs
from dnntrain.analysis.summary import Summary
from dnntrain.reporting import formatting
from dnntrain.reporting.design_notes import effect_notes, order_notes, published_notes, within_notes
from dnntrain.statistics import ContrastResult, Interval, deviation
from dnntrain.utils.text_layout import TextTable


def tables_of_design(summary: Summary) -> Iterator[tuple[TextTable, list[str]]]:
    """Yields the tables that a study has beyond those of every study, each with what a reader must know of it."""
    if summary.published:
        yield published_table(summary), [*published_notes(summary)]
    if summary.effects:
        yield effects_table(summary), [*effect_notes(summary)]
    if summary.simple_effects:
        yield within_table(summary), [*within_notes(summary)]
    if summary.ordered:
        yield order_table(summary), [*order_notes(summary)]
    if summary.contributions:
        yield contributions_table(summary), [*effect_notes(summary)]


def pairs_table(summary: Summary) -> TextTable:
    """Every arm compared with every other."""
    rows = []
    for pair in compare_all_pairs(summary):
        c, arms = pair.comparison, (summary.arm(pair.arm), summary.arm(pair.other))
        interval = None if math.isnan(c.difference) else Interval(c.difference, c.low, c.high)
        difference = formatting.difference(interval, summary.metric, *(arm.deviation for arm in arms))
        rows.append([f"{pair.arm} - {pair.other}", f"{c.n}", difference, formatting.p_value(c.p), pair.verdict])
    headings = ["pair", "n", f"difference [{formatting.percent(summary.level)}]", "p", "verdict on the first"]
    verdicts = frozenset(headings[-1:])
    return TextTable("all pairs", headings, rows, frozenset(headings[1:-1]), verdicts, colored=verdicts)


def published_table(summary: Summary) -> TextTable:
    """Published values next to ours, with the difference in standard errors of both."""
    rows = []
    for result in summary.published:
        metric, theirs, c = result.metric, result.published, result.comparison
        values, their_spread = list(result.runs.values.values()), math.nan if theirs.sd is None else theirs.sd
        interval = Interval(c.difference, c.low, c.high) if c else None
        rows.append(
            [
                result.runs.name,
                metric,
                formatting.spread_of_runs(values, metric),
                f"{len(values)}",
                formatting.mean_and_deviation(theirs.mean, their_spread, metric),
                f"{theirs.runs}" if theirs.n else f"{theirs.runs} (assumed)",
                formatting.difference(interval, metric, deviation(values), their_spread),
                "-" if c is None or math.isnan(c.z) else f"{c.z:+.2f}",
                result.verdict,
            ]
        )
    difference = f"ours - published [{formatting.percent(summary.level)}]"
    headings = ["arm", "of", "ours", "n", "published", "its n", difference, "z", "verdict"]
    right, verdicts = frozenset({"ours", "n", "published", difference, "z"}), frozenset({"verdict"})
    return TextTable("published values", headings, rows, right, verdicts, colored=verdicts, keys=2)


def effects_table(summary: Summary) -> TextTable:
    """Main effects and two-way interactions of a factorial design."""
    rows = []
    for effect in summary.effects:
        against = "" if len(effect.factors) > 1 else f" (not {effect.references[0]})"
        interval = None if math.isnan(effect.interval.mean) else effect.interval
        figures = [f"{effect.n}", formatting.difference(interval, summary.metric), formatting.p_value(effect.p)]
        rows.append([effect.name + against, *figures, effect.reading + (f" ({effect.note})" if effect.note else "")])
    headings = ["effect", "n", f"Δ [{formatting.percent(summary.level)}]", "p", "reading"]
    readings = frozenset(headings[-1:])
    return TextTable("effects", headings, rows, frozenset(headings[1:-1]), readings, colored=readings)


def contributions_table(summary: Summary) -> TextTable:
    """What each technique gains alone, what is lost without it, and how far these differ."""
    rows = []
    for name, item in summary.contributions.items():
        parts = [
            formatting.difference(None if math.isnan(part.mean) else part, summary.metric)
            for part in (item.solo, item.marginal, item.gap)
        ]
        rows.append([name, f"{item.n}", *parts, formatting.p_value(item.p), item.reading])
    level = f"[{formatting.percent(summary.level)}]"
    headings = ["technique", "n", f"gain alone {level}", f"loss without {level}", f"gap {level}", "p", "reading"]
    readings = frozenset(headings[-1:])
    return TextTable("alone and among all", headings, rows, frozenset(headings[1:-1]), readings, colored=readings)


def within_table(summary: Summary) -> TextTable:
    """Each level of one factor against the first one, at each setting of the other factors."""
    factor, reference = summary.options.within or "", summary.simple_effects[0].reference
    others = [*summary.simple_effects[0].setting]
    rows = [
        [
            *effect.setting.values(),
            effect.level,
            *judged_cells(effect.result, summary, effect.arm, effect.reference_arm),
        ]
        for effect in summary.simple_effects
    ]
    headings = [*others, factor, "n", f"Δ [{formatting.percent(summary.level)}]", "p", "verdict"]
    verdicts = frozenset(headings[-1:])
    title = f"within {factor}: against {reference}"
    right, keys = frozenset(headings[-4:-1]), len(others) + 1
    return TextTable(title, headings, rows, right, verdicts, colored=verdicts, keys=keys)


def order_table(summary: Summary) -> TextTable:
    """Each arm of an order against the next one."""
    rows = [
        [f"{step.arm} > {step.following}", *judged_cells(step.result, summary, step.arm, step.following)]
        for step in (summary.ordered.steps if summary.ordered else ())
    ]
    headings = ["step", "n", f"difference [{formatting.percent(summary.level)}]", "p", "verdict on the first"]
    verdicts = frozenset(headings[-1:])
    return TextTable("order", headings, rows, frozenset(headings[1:-1]), verdicts, colored=verdicts)


def judged_cells(result: ContrastResult, summary: Summary, *arms: str) -> list[str]:
    """The seeds, the difference with its interval, p, and the verdict of a contrast of two arms."""
    interval = None if math.isnan(result.interval.mean) else result.interval
    difference = formatting.difference(interval, summary.metric, *(summary.arm(name).deviation for name in arms))
    return [f"{result.n}", difference, formatting.p_value(result.p), result.verdict]
