"""Tables beyond an arm against the baseline: a design's effects and contributions, and published values."""

from __future__ import annotations

import math

from dnntrain.analysis.pairs import compare_all_pairs
from dnntrain.analysis.summary import Summary
from dnntrain.reporting import formatting
from dnntrain.statistics import Interval, deviation, mean
from dnntrain.utils.text_layout import TextTable


def pairs_table(summary: Summary) -> TextTable:
    """Every arm compared with every other."""
    rows = []
    for pair in compare_all_pairs(summary):
        c, arms = pair.comparison, (summary.arm(pair.arm), summary.arm(pair.other))
        interval = None if math.isnan(c.difference) else Interval(c.difference, c.low, c.high)
        difference = formatting.difference(interval, summary.metric, *(arm.deviation for arm in arms))
        rows.append([f"{pair.arm} - {pair.other}", f"{c.n}", difference, formatting.p_value(c.p), pair.verdict])
    headings = ["pair", "n", f"difference [{100 * summary.level:.4g} %]", "p", "verdict on the first"]
    verdicts = frozenset(headings[-1:])
    return TextTable("all pairs", headings, rows, frozenset(headings[1:-1]), verdicts, colored=verdicts)


def published_table(summary: Summary) -> TextTable:
    """Published values next to ours, with the difference in standard errors of both."""
    rows = []
    for result in summary.published:
        metric, theirs, c = result.metric, result.published, result.comparison
        values = list(result.runs.values.values())
        spread, their_spread = deviation(values), math.nan if theirs.sd is None else theirs.sd
        ours = formatting.mean_and_deviation(mean(values), spread, metric)
        published = formatting.mean_and_deviation(theirs.mean, their_spread, metric)
        interval = Interval(c.difference, c.low, c.high) if c else None
        difference = formatting.difference(interval, metric, spread, their_spread)
        z = "-" if c is None or math.isnan(c.z) else f"{c.z:+.2f}"
        counts = f"{len(values)}", f"{theirs.runs}" if theirs.n else f"{theirs.runs} (assumed)"
        rows.append([result.runs.name, metric, ours, counts[0], published, counts[1], difference, z, result.verdict])
    headings = ["arm", "of", "ours", "n", "published", "its n", "ours - published [95 %]", "z", "verdict"]
    right = frozenset({"ours", "n", "published", "ours - published [95 %]", "z"})
    return TextTable("published values", headings, rows, right, frozenset({"verdict"}), colored=frozenset({"verdict"}))


def effects_table(summary: Summary) -> TextTable:
    """Main effects and two-way interactions of a factorial design."""
    rows = []
    for effect in summary.effects:
        against = "" if len(effect.factors) > 1 else f" (not {effect.references[0]})"
        interval = None if math.isnan(effect.interval.mean) else effect.interval
        figures = [f"{effect.n}", formatting.difference(interval, summary.metric), formatting.p_value(effect.p)]
        rows.append([effect.name + against, *figures, effect.reading + (f" ({effect.note})" if effect.note else "")])
    headings = ["effect", "n", f"Δ [{100 * summary.level:.4g} %]", "p", "reading"]
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
    level = f"[{100 * summary.level:.4g} %]"
    headings = ["technique", "n", f"gain alone {level}", f"loss without {level}", f"gap {level}", "p", "reading"]
    readings = frozenset(headings[-1:])
    return TextTable("alone and among all", headings, rows, frozenset(headings[1:-1]), readings, colored=readings)
