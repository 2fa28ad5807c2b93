"""Reports for a terminal, as texts and tables that rich lays out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from dnntrain.analysis.summary import Summary
from dnntrain.metrics import METRICS, PARTS
from dnntrain.reporting import formatting
from dnntrain.reporting.footer import footer
from dnntrain.reporting.provenance import provenance_lines, settings_table
from dnntrain.reporting.tables import tables
from dnntrain.store.records import RunRecord


def study_report(summary: Summary, *, wide: bool = False) -> Group:
    """Everything that `report` shows of one study.

    Args:
        summary: The study.
        wide: Add columns to the main table, and each arm's settings.
    """
    return Group(*_parts(summary, wide))


def _parts(summary: Summary, wide: bool) -> Iterator[RenderableType]:
    record = summary.results.record
    yield Text(summary.results.name, style="bold")
    if record.question:
        yield Text(record.question, style="italic")
    yield from tables(summary, wide=wide, pictures=True)
    if wide and (settings := settings_table(summary)):
        yield settings
    made = [f"{label}: {text}" for label, text in provenance_lines(summary)]
    yield Text("\n".join([*footer(summary, wide=wide), *made]), style="dim")
    yield Text("")


def run_report(record: RunRecord, out: Path) -> str:
    """The results of one run in a few lines.

    Args:
        record: The run.
        out: The folder that the run is recorded in.
    """
    lines = []
    for part in PARTS:
        shown = [
            f"{metric.label} {formatting.number(value, column)}{' %' if metric.is_share else ''}"
            for metric in METRICS.values()
            if (value := record.results.get(column := f"{part}_{metric.name}")) is not None
        ]
        if shown:
            lines.append(f"{part + ':':<9} {'   '.join(shown)}")
    best = f", kept epoch {record.best_epoch}" if record.best_epoch else ""
    lines += [
        f"status:   {record.status} after {record.epochs} epoch{'' if record.epochs == 1 else 's'}{best}",
        f"health:   {record.health}",
        f"time:     {formatting.brief(record.seconds)} s",
        f"record:   {out / 'store' / record.run}",
    ]
    return "\n".join(lines)
