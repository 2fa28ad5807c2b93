"""Summaries as tables on a terminal, in 80 columns."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dnntrain.report.summary import ArmSummary, Summary
from dnntrain.statistics import Interval, mean

FEW = 5
"""Up to so many runs, every value is shown."""


def study_report(summary: Summary) -> Group:
    """All that is shown of one study."""
    return Group(*parts(summary))


def parts(summary: Summary) -> Iterator[RenderableType]:
    """The pieces of a study's report, from the top."""
    description = summary.results.description
    yield Text(summary.results.name, style="bold")
    if description.get("question"):
        yield Text(description["question"], style="italic")
    yield main_table(summary)
    yield runs_table(summary)
    if monte_carlo := monte_carlo_table(summary):
        yield monte_carlo
    yield Text("\n".join(footer(summary)), style="dim")
    yield Text("")


def main_table(summary: Summary) -> Table:
    """A row for each arm: how many runs, the metric, the difference from the baseline, the time of a run."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    compared = any(arm.difference for arm in summary.arms)
    diverged = any(arm.diverged for arm in summary.arms)
    published = any(summary.metric in arm.published for arm in summary.arms)
    table.add_column("arm", overflow="fold", max_width=24)
    table.add_column("runs", justify="right")
    if diverged:
        table.add_column("div.", justify="right")
    table.add_column(f"{summary.metric}{' %' if is_share(summary.metric) else ''}", justify="right", no_wrap=True)
    if compared:
        table.add_column("Δ [95 %]", justify="right", no_wrap=True)
    if published:
        table.add_column("publ.", justify="right")
    table.add_column("s/run", justify="right")
    for arm in summary.arms:
        table.add_row(*cells(arm, summary, compared=compared, diverged=diverged, published=published))
    return table


def cells(
    arm: ArmSummary, summary: Summary, *, compared: bool, diverged: bool, published: bool
) -> Iterator[str | Text]:
    """One arm's row."""
    metric = summary.metric
    yield arm.name
    yield f"{arm.finished}/{arm.planned}"
    if diverged:
        yield Text(str(arm.diverged or ""), style="red")
    yield spread(arm.mean, arm.deviation, metric)
    if compared:
        yield "baseline" if arm.name == summary.baseline else difference(arm.difference, metric)
    if published:
        yield number(arm.published[metric], metric) if metric in arm.published else ""
    yield "" if math.isnan(arm.seconds) else f"{arm.seconds:.1f}"


def runs_table(summary: Summary) -> Table:
    """How healthy each arm's runs are, and every run's value where there are few."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("arm", overflow="fold", max_width=24)
    table.add_column("health")
    few = any(0 < arm.finished <= FEW for arm in summary.arms)
    if few:
        table.add_column("each run", style="dim")
    for arm in summary.arms:
        values = arm.values.values() if arm.finished <= FEW else ()
        each = ["  ".join(number(value, summary.metric) for value in values)] if few else []
        table.add_row(arm.name, health(arm), *each)
    return table


def monte_carlo_table(summary: Summary) -> Table | None:
    """Test accuracy with Monte Carlo dropout beside the plain one, for the arms that have it."""
    runs = summary.results.runs
    if "mc_test_acc" not in runs or not runs["mc_test_acc"].notna().any():
        return None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading in ("arm", "test_acc %", "Monte Carlo %", "gain"):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for arm, frame in runs[runs["mc_test_acc"].notna()].groupby("arm", sort=False):
        plain, mc = frame["test_acc"], frame["mc_test_acc"]
        gain = mean((mc - plain).tolist())
        table.add_row(str(arm), number(plain.mean(), "_acc"), number(mc.mean(), "_acc"), f"{100 * gain:+.2f}")
    return table


def footer(summary: Summary) -> Iterator[str]:
    """How to read the numbers, and what they were measured on."""
    description = summary.results.description
    data = description.get("data", {})
    if any(arm.difference for arm in summary.arms):
        unit = "points" if is_share(summary.metric) else "its own unit"
        yield f"Δ: mean difference from {summary.baseline} in {unit}, paired by seed; 95 % t interval"
    if data:
        yield f"data: {data['name']} ({data['train_images']:,} training and {data['test_images']:,} test images)"
    if description.get("note"):
        yield f"note: {description['note']}"


def is_share(metric: str) -> bool:
    """Whether the metric is a share, shown in percent."""
    return metric.endswith("_acc")


def number(value: float, metric: str) -> str:
    """One figure: 87.12 (percent) or 0.3412."""
    return f"{100 * value:.2f}" if is_share(metric) else f"{value:.4f}"


def spread(mean: float, deviation: float, metric: str) -> str:
    """Mean ± standard deviation; a dash where no run finished."""
    if math.isnan(mean):
        return "-"
    return number(mean, metric) + ("" if math.isnan(deviation) else f" ± {number(deviation, metric)}")


def difference(interval: Interval | None, metric: str) -> Text:
    """A signed difference with its interval; bold where the interval leaves zero out."""
    if interval is None:
        return Text("-")
    scale, digits = (100, 2) if is_share(metric) else (1, 4)
    mean, low, high = (f"{scale * value:+.{digits}f}" for value in (interval.mean, interval.low, interval.high))
    if math.isnan(interval.low):
        return Text(mean)
    return Text(f"{mean} [{low}, {high}]", style="bold" if interval.low > 0 or interval.high < 0 else "")


def health(arm: ArmSummary) -> Text:
    """The verdicts of the arm's runs, with their counts where they differ or some are ill."""
    total = sum(arm.health.values())
    if set(arm.health) <= {"healthy"}:
        return Text("healthy" if total else "")
    return Text(", ".join(f"{state} {count}/{total}" for state, count in arm.health.items()), style="yellow")
