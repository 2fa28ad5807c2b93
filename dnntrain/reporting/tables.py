"""A study's tables as text cells, shared by the terminal, Markdown, LaTeX and HTML."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dnntrain.analysis.summary import ArmSummary, Summary
from dnntrain.metrics import study_score
from dnntrain.reporting import formatting
from dnntrain.reporting.sparklines import forest_row, sparkline
from dnntrain.statistics import deviation, mean
from dnntrain.utils.text_layout import TextTable

MAX_PICTURES = 60
"""With more arms than this, sparklines are left out."""


def tables(summary: Summary, *, wide: bool = False, pictures: bool = False) -> Iterator[TextTable]:
    """Yields all tables of a study, the main one first.

    Args:
        summary: The study.
        wide: Add adjusted p, wins by seed, correlation and effect size to the main table.
        pictures: Add sparklines and a forest plot in characters, for terminals.
    """
    yield main_table(summary, wide=wide)
    yield runs_table(summary)
    if pictures and len(summary.arms) <= MAX_PICTURES:
        yield pictures_table(summary)
    if any(arm.published for arm in summary.arms):
        yield published_table(summary)
    if summary.effects:
        yield effects_table(summary)
    if summary.contributions:
        yield contributions_table(summary)
    if averaged := averaged_arms(summary):
        yield monte_carlo_table(averaged)


def main_table(summary: Summary, *, wide: bool) -> TextTable:
    """A row for each arm: runs, the metric, the difference from the baseline, and the verdict."""
    metric = summary.metric
    headings = ["arm", "runs"]
    diverged = any(arm.runs.lost for arm in summary.arms)
    headings += ["div."] if diverged else []
    headings += [formatting.heading(metric)]
    headings += ["Δ [95 %]", "verdict"] if summary.family else []
    headings += ["p", "wins", "r", "g"] if summary.family and wide else []
    rows = []
    for arm in summary.arms:
        row = [arm.name, f"{arm.finished}/{arm.runs.planned}"]
        row += [str(arm.runs.lost or "")] if diverged else []
        row += [formatting.spread(arm, metric)]
        if summary.family:
            base = arm.name == summary.baseline
            row += ["baseline" if base else formatting.against_baseline(arm, summary), arm.verdict]
            row += comparison_cells(arm) if wide else []
        rows.append(row)
    return TextTable("", headings, rows, frozenset(headings) - {"arm", "verdict"}, colored=frozenset({"verdict"}))


def comparison_cells(arm: ArmSummary) -> list[str]:
    """Adjusted p, wins by seed, the seeds' correlation, Hedges' g."""
    c = arm.comparison
    if c is None:
        return ["", "", "", ""]
    wins = "-" if c.wins is None else f"{c.wins}/{c.n}"
    return [formatting.p_value(c.p), wins, f"{c.r:.2f}".replace("nan", "-"), f"{c.g:+.2f}".replace("+nan", "-")]


def runs_table(summary: Summary) -> TextTable:
    """A row for each arm: health, time of a run, and the value of each run if there are few."""
    few = any(0 < arm.finished <= formatting.MAX_RUNS_LISTED for arm in summary.arms)
    headings = ["arm", "health", "s/run"] + (["each run"] if few else [])
    rows = []
    for arm in summary.arms:
        values = arm.values.values() if arm.finished <= formatting.MAX_RUNS_LISTED else ()
        each = ["  ".join(formatting.number(value, summary.metric, arm.deviation) for value in values)] if few else []
        rows.append([arm.name, formatting.health(arm), formatting.brief(arm.seconds), *each])
    wraps = frozenset({"health", "each run"})
    return TextTable("", headings, rows, frozenset({"s/run"}), wraps, colored=frozenset({"health"}))


def pictures_table(summary: Summary) -> TextTable:
    """The validation score by epoch as a sparkline, and the differences as a forest plot."""
    score = f"val_{study_score(summary.metric, summary.results.runs.columns).name}"
    curves = summary.results.validation_curves(score)
    finite = [value for curve in curves.values() for value in curve if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    left, right = axis(summary)
    rows = []
    for arm in summary.arms:
        picture = forest_row(arm.difference, left, right) if arm.difference else ""
        rows.append([arm.name, sparkline(curves.get(arm.name, []), low, high), picture])
    digits = (right - left) / 2
    ends = " to ".join(formatting.signed(end, summary.metric, digits) for end in (left, right))
    headings = ["arm", f"{score} by epoch"] + ([f"Δ from {ends}"] if summary.family else [])
    return TextTable("", headings, [row[: len(headings)] for row in rows])


def axis(summary: Summary) -> tuple[float, float]:
    """The ends of the forest plot's axis, which includes 0."""
    shown = [arm.difference for arm in summary.arms if arm.difference]
    ends = [end for item in shown for end in (item.low, item.high, item.mean) if math.isfinite(end)]
    # one huge interval would squeeze all others, so the axis ends before it and an arrow marks it
    axis_range = 3 * max((abs(item.mean) for item in shown), default=1.0)
    return max(min([0.0, *ends]), -axis_range), min(max([0.0, *ends]), axis_range)


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


@dataclass(frozen=True)
class AveragedArm:
    """An arm's mean test score, plain and with Monte Carlo dropout."""

    arm: str
    metric: str
    plain: float
    deviation: float
    """Standard deviation of the plain scores."""
    monte_carlo: float
    gain: float


def averaged_arms(summary: Summary) -> list[AveragedArm]:
    """The arms with Monte Carlo dropout; empty if there are none."""
    runs, metric = summary.results.runs, f"test_{study_score(summary.metric, summary.results.runs.columns).name}"
    if f"mc_{metric}" not in runs:
        return []
    arms = []
    for name, frame in runs[runs[f"mc_{metric}"].notna()].groupby("arm", sort=False):
        plain, averaged = frame[metric], frame[f"mc_{metric}"]
        means = float(plain.mean()), deviation(plain.tolist()), float(averaged.mean())
        arms.append(AveragedArm(str(name), metric, *means, mean((averaged - plain).tolist())))
    return arms


def monte_carlo_table(averaged: list[AveragedArm]) -> TextTable:
    """The test score with and without Monte Carlo dropout."""
    rows = []
    for arm in averaged:
        figures = [formatting.number(value, arm.metric, arm.deviation) for value in (arm.plain, arm.monte_carlo)]
        rows.append([arm.arm, *figures, formatting.signed(arm.gain, arm.metric, arm.deviation)])
    headings = ["arm", formatting.heading(averaged[0].metric), "Monte Carlo", "gain"]
    return TextTable("Monte Carlo dropout", headings, rows, frozenset(headings[1:]))
