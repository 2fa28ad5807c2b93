"""A study's tables as text cells, shared by the terminal, Markdown, LaTeX and HTML."""

from __future__ import annotations

from collections.abc import Iterator

from dnntrain.analysis.arm_summary import ArmSummary
from dnntrain.analysis.averaged_predictions import recorded_scores
from dnntrain.analysis.summary import Summary
from dnntrain.metrics import validation_column
from dnntrain.reporting import formatting
from dnntrain.reporting.averaged_predictions import scores_table
from dnntrain.reporting.class_tables import class_tables
from dnntrain.reporting.design_tables import pairs_table, tables_of_design
from dnntrain.reporting.planning import planning_table
from dnntrain.reporting.progress import progress_table
from dnntrain.reporting.sensitivity import sensitivity_table
from dnntrain.reporting.sparklines import curve_range, forest_range, forest_row, sparkline
from dnntrain.reporting.timing import target_table, time_columns
from dnntrain.statistics import ComparisonFamily
from dnntrain.utils.fields import format_value
from dnntrain.utils.text_layout import TextTable

MAX_PICTURES = 60
"""With more arms than this, sparklines are left out."""


def tables(summary: Summary, *, wide: bool = False, pictures: bool = False) -> Iterator[TextTable]:
    """Yields all tables of a study: how far it is if it is not complete, the main one, and the others.

    Args:
        summary: The study.
        wide: Add the numbers behind the verdicts to the main table, and the tables of `wide_tables`.
        pictures: Add sparklines and a forest plot in characters, for terminals.
    """
    if summary.results.progress:
        yield progress_table(summary.results.progress)
    if not (summary.results.progress and not len(summary.results.runs)):
        yield from tables_of_runs(summary, wide=wide, pictures=pictures)


def tables_of_runs(summary: Summary, *, wide: bool, pictures: bool) -> Iterator[TextTable]:
    """Yields the tables of a study that has runs; for the arguments see `tables`."""
    yield main_table(summary, wide=wide)
    if (runs := runs_table(summary)).rows[0][1:]:
        yield runs
    if summary.mean_ranks:
        yield ranks_table(summary)
    if pictures and len(summary.arms) <= MAX_PICTURES and (drawn := pictures_table(summary)).headings[1:]:
        yield drawn
    yield from class_tables(summary, summary.per_class)
    if summary.options.pairs and len(summary.arms) > 1:
        yield pairs_table(summary)
    if wide:
        yield from wide_tables(summary)
    yield from (table for table, _ in tables_of_design(summary))
    if scores := recorded_scores(summary.results):
        yield scores_table("Monte Carlo dropout", scores)


def wide_tables(summary: Summary) -> Iterator[TextTable]:
    """Yields the tables that only a wide report has: seeds that each arm needs, how soon it is good, sensitivities."""
    if summary.plans:
        yield planning_table(summary)
    if summary.time_to_target:
        yield target_table(summary.time_to_target, str(summary.baseline))
    if (measured := sensitivity_table(summary)).rows:
        yield measured


def main_table(summary: Summary, *, wide: bool, secondary: bool = True) -> TextTable:
    """A row for each arm: its runs, the metric, the difference from the baseline, and the verdict.

    A study that is judged by the test part has the validation metric as a further column. One that is judged by
    accuracy has the difference in loss and the verdict by it at the end, and the reverse, unless `secondary` is off.
    """
    metric, family = summary.metric, summary.family
    validation = summary.other_part if summary.other_part.startswith("val_") else ""
    has_validation = bool(validation) and any(arm.other_part for arm in summary.arms)
    keys = list(dict.fromkeys(arm.tuned for arm in summary.arms if arm.tuned))
    tuned = [f"tuned {keys[0]}" if len(keys) == 1 else "tuned"] if keys else []
    headings = ["arm", *tuned, "runs", formatting.heading(metric)]
    headings += [formatting.heading(validation)] if has_validation else []
    headings += [f"Δ [{formatting.percent(family.level)}]", "verdict"] if family else []
    headings += wide_headings(family) if family and wide else []
    other = summary.secondary if secondary else None
    judged_by_other = f"verdict by {other.metric}" if other else ""
    headings += [f"Δ {other.metric} [{formatting.percent(other.level)}]", judged_by_other] if other else []
    rows = []
    for arm in summary.arms:
        value = "" if arm.tuned_value is None else format_value(arm.tuned_value)
        row = [arm.name] + [f"{arm.tuned} {value}".strip() if len(keys) > 1 else value] * len(tuned)
        row += [f"{arm.finished}/{arm.runs.planned}", formatting.spread(arm, metric)]
        row += [formatting.spread_of_runs([*arm.other_part.values()], validation)] if has_validation else []
        if family:
            row += difference_cells(arm, summary)
            row += wide_cells(arm, summary) if wide else []
        if other:
            row += difference_cells(other.arm(arm.name), other)
        rows.append(row)
    verdicts = frozenset({"verdict", judged_by_other})
    return TextTable("", headings, rows, frozenset(headings) - {"arm"} - verdicts, colored=verdicts)


def difference_cells(arm: ArmSummary, summary: Summary) -> list[str]:
    """An arm's difference from the baseline, and its verdict; of the baseline, what it is."""
    if arm.name == summary.baseline:
        return ["", "baseline"]
    return [formatting.against_baseline(arm, summary), arm.verdict]


def wide_headings(family: ComparisonFamily) -> list[str]:
    """The headings of `wide_cells`."""
    return ["p", f"[{formatting.percent(2 * family.level - 1)}]", "p equivalent", "wins", "r", "g"]


def wide_cells(arm: ArmSummary, summary: Summary) -> list[str]:
    """Adjusted p, the interval for equivalence with its p, wins by seed, the seeds' correlation, and Hedges' g."""
    c = arm.comparison
    if c is None:
        return [""] * 6
    narrow = formatting.interval(c.narrow_low, c.narrow_high, summary.metric, (c.high - c.low) / 2)
    wins = "-" if c.wins is None else f"{c.wins}/{c.n}"
    numbers = [f"{c.r:.2f}".replace("nan", "-"), f"{c.g:+.2f}".replace("+nan", "-")]
    return [formatting.p_value(c.p), narrow, formatting.p_value(c.p_equivalent), wins, *numbers]


def runs_table(summary: Summary) -> TextTable:
    """A row for each arm: health, clipping, times, and the value or the end of each run if there are few.

    A table that dnntrain did not write has no health and no times.
    """
    clipped = [arm.clipped for arm in summary.arms]
    times = time_columns(summary) or {"s/run": [formatting.brief(arm.seconds) for arm in summary.arms]}
    columns = {
        "arm": [arm.name for arm in summary.arms],
        "health": [formatting.health(arm, summary) for arm in summary.arms],
        "clipped": [formatting.percent(round(each.share, 3)) if each else "" for each in clipped],
        "cosine": [formatting.cosine(each.cosine) if each else "" for each in clipped],
        **times,
        "each run": ["  ".join(ends_of_runs(arm, summary)) for arm in summary.arms],
    }
    headings = [name for name, cells in columns.items() if name == "arm" or any(cells)]
    rows = [list(row) for row in zip(*(columns[name] for name in headings), strict=True)]
    wraps = frozenset({"health", "each run"})
    right = frozenset({"clipped", "cosine", *times})
    return TextTable("", headings, rows, right, wraps, colored=frozenset({"health"}))


def ranks_table(summary: Summary) -> TextTable:
    """The mean rank of each arm over the blocks that all arms have."""
    rows = [[name, f"{rank:.2f}"] for name, rank in summary.mean_ranks.items()]
    blocks = len(set.intersection(*(set(arm.values) for arm in summary.arms)))
    return TextTable(f"mean ranks over {blocks} blocks", ["arm", "mean rank"], rows, frozenset({"mean rank"}))


def ends_of_runs(arm: ArmSummary, summary: Summary) -> list[str]:
    """The value of each run in the order of the seeds, or how it ended; nothing for many runs."""
    if arm.runs.made > formatting.MAX_RUNS_LISTED:
        return []
    finished = {seed: formatting.number(v, summary.metric, arm.deviation) for seed, v in arm.runs.finished.items()}
    lost = dict.fromkeys(arm.runs.diverged, "diverged") | dict.fromkeys(arm.runs.failed, "failed")
    ends = finished | lost | dict.fromkeys(arm.runs.not_measured, "not measured")
    return [end for _, end in sorted(ends.items())]


def pictures_table(summary: Summary) -> TextTable:
    """The validation metric by epoch as a sparkline if it is recorded, and the differences as a forest plot."""
    score = validation_column(summary.metric)
    curves = summary.results.validation_curves(score)
    low, high = curve_range([value for curve in curves.values() for value in curve])
    left, right = axis(summary)
    rows = []
    for arm in summary.arms:
        picture = forest_row(arm.difference, left, right) if arm.difference else ""
        lines = [sparkline(curves.get(arm.name, []), low, high)] if curves else []
        rows.append([arm.name, *lines, picture])
    digits = (right - left) / 2
    ends = " to ".join(formatting.signed(end, summary.metric, digits) for end in (left, right))
    direction = "" if summary.higher_is_better else " (lower is better)"
    drawn = [f"{score} by epoch{direction}"] if curves else []
    headings = ["arm", *drawn, *([f"Δ from {ends}"] if summary.family else [])]
    return TextTable("", headings, [row[: len(headings)] for row in rows])


def axis(summary: Summary) -> tuple[float, float]:
    """The ends of the forest plot's axis."""
    return forest_range([arm.difference for arm in summary.arms if arm.difference])
