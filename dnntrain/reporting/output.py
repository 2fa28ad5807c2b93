"""Prints and writes results for the commands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from dnntrain.errors import InputError
from dnntrain.metrics import METRICS, PARTS, metric_of
from dnntrain.reporting import formatting
from dnntrain.reporting.compare import compared_arms, comparison_notes, comparison_table, find_study
from dnntrain.reporting.gates import GateResult
from dnntrain.reporting.summary import Summary
from dnntrain.reporting.terminal import study_report
from dnntrain.store.records import RunRecord
from dnntrain.store.study_files import CHANGED, Results
from dnntrain.utils import finite
from dnntrain.utils.console import show
from dnntrain.utils.files import write_atomic, write_errors


def print_summary(summary: Summary, wide: bool = False) -> None:
    """Prints a study's report."""
    show(study_report(summary, wide=wide))


def warn_of_changes(studies: Sequence[Results]) -> None:
    """Warns on stderr of tables that were edited since they were written."""
    for study in studies:
        if study.is_changed:
            typer.echo(f"warning: {CHANGED.format(study.folder / 'results.csv')}", err=True)


def print_judged(judged: Sequence[GateResult]) -> None:
    """Prints each requirement with its result and the reason."""
    for item in judged:
        typer.echo(f"{item.answer.name}: {item.requirement} ({item.study}): {item.reason}")


def print_comparison(names: tuple[str, str], paths: Sequence[Path], metric: str | None, as_json: bool) -> None:
    """Prints two studies side by side, as a table or as JSON."""
    first, second = (find_study(name, paths) for name in names)
    metric = metric or first.record.metric
    arms, notes = compared_arms(first, second, metric), comparison_notes(first, second)
    if as_json:
        typer.echo(
            json.dumps(finite.nan_to_none({"metric": metric, "arms": [*map(asdict, arms)], "notes": notes}), indent=1)
        )
        return
    show(comparison_table(arms, metric))
    typer.echo("\n".join(notes))


def print_run(record: RunRecord, out: Path) -> None:
    """Prints one run's results in a few lines."""
    for part in PARTS:
        shown = [
            f"{metric.label} {formatting.number(value, column)}{' %' if metric.is_share else ''}"
            for metric in METRICS.values()
            if (value := record.results.get(column := f"{part}_{metric.name}")) is not None
        ]
        if shown:
            typer.echo(f"{part + ':':<9} {'   '.join(shown)}")
    kept = f", kept epoch {record.best_epoch}" if record.best_epoch else ""
    typer.echo(f"status:   {record.status} after {record.epochs} epochs{kept}")
    typer.echo(f"health:   {record.health}")
    typer.echo(f"time:     {formatting.brief(record.seconds)} s")
    typer.echo(f"record:   {out / 'store' / record.run}")


def read_delta(delta: float | None, metric: str | None, results: Results) -> float | None:
    """Converts --delta to the metric's own unit: for a share it is given in percentage points.

    Raises:
        InputError: If it is negative, not finite, or more than 100 points.
    """
    if delta is None:
        return None
    if not 0 <= delta < float("inf"):
        raise InputError(f"--delta {delta}: must be 0 or more")
    if not metric_of(metric or results.record.metric).is_share:
        return delta
    if delta > 100:
        raise InputError(f"--delta {delta:g}: in points, so at most 100")
    return delta / 100


def check_stdout(outputs: int, wide: bool) -> None:
    """Raises InputError if more than one output would go to stdout, or --wide is given without the table."""
    if outputs > 1:
        raise InputError("only one of --json, --csv -, --md -, --latex - and --html - can go to stdout")
    if outputs and wide:
        raise InputError("--wide: is for the table on the terminal, which is not printed here")


def save(text: str, file: str) -> None:
    """Writes text to a file, atomically, or to stdout for '-'."""
    if file == "-":
        typer.echo(text, nl=False)
        return
    if not file:
        raise InputError("empty file name")
    with write_errors(Path(file)):
        write_atomic(Path(file), [text])
