"""Tables beyond an arm against the baseline: a design's effects and contributions, and published values."""

from __future__ import annotations

from dnntrain.analysis.summary import Summary
from dnntrain.reporting import formatting
from dnntrain.utils.text_layout import TextTable


def published_table(summary: Summary) -> TextTable:
    """Published figures next to the measured ones, judged by the prediction interval of one more run."""
    rows = []
    for arm, metric in summary.published:
        ends = (
            formatting.number(end, metric, arm.deviation)
            for end in (arm.prediction_interval.low, arm.prediction_interval.high)
        )
        figures = [formatting.spread(arm, metric), " to ".join(ends), formatting.number(arm.published[metric], metric)]
        rows.append([arm.name, metric, *figures, arm.reproduced(metric)])
    headings = ["arm", "of", "ours", "95 % prediction", "published", "verdict"]
    colored = frozenset({"verdict"})
    return TextTable("published figures", headings, rows, frozenset(headings[2:5]), colored=colored)


def effects_table(summary: Summary) -> TextTable:
    """Main effects and two-way interactions of a factorial design."""
    rows = []
    for effect in summary.effects:
        against = "" if len(effect.factors) > 1 else f" (not {effect.references[0]})"
        text = formatting.difference(effect.interval, summary.metric)
        rows.append([effect.name + against, text, formatting.p_value(effect.p)])
    headings = ["effect", "Δ [95 %]", "p"]
    return TextTable("effects: each with its own interval, p by Holm", headings, rows, frozenset(headings[1:]))


def contributions_table(summary: Summary) -> TextTable:
    """What each technique gains alone, what is lost without it, and how to read the two."""
    rows = [
        [
            name,
            formatting.difference(item.solo, summary.metric),
            formatting.difference(item.marginal, summary.metric),
            item.reading,
        ]
        for name, item in summary.contributions.items()
    ]
    headings = ["technique", "gain alone", "loss without", "reading"]
    return TextTable("alone and among all", headings, rows, frozenset({"gain alone", "loss without"}))
