"""What the commands print and write of studies and runs: the report's way out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from dnntrain.errors import InputError
from dnntrain.metrics import PARTS, is_share
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
    """A study on the terminal."""
    show(study_report(summary, wide=wide))


def warn_of_changes(studies: Sequence[Results]) -> None:
    """Say which tables are not as they were written; they are shown all the same."""
    for study in studies:
        if study.is_changed:
            typer.echo(f"warning: {CHANGED.format(study.folder / 'results.csv')}", err=True)


def print_judged(judged: Sequence[GateResult]) -> None:
    """Each requirement with its answer and the reason."""
    for item in judged:
        typer.echo(f"{item.answer.name}: {item.requirement} ({item.study}): {item.reason}")


def print_comparison(names: tuple[str, str], paths: Sequence[Path], metric: str | None, as_json: bool) -> None:
    """Two studies side by side."""
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
    """One run's result in a few lines."""
    results = record.results
    measures = {"loss": "loss {}", "acc": "accuracy {} %", "r2": "R² {}", "rmse": "RMSE {}"}
    for part in PARTS:
        known = [
            text.format(formatting.number(value, name))
            for measure, text in measures.items()
            if (value := results.get(name := f"{part}_{measure}")) is not None
        ]
        if known:
            typer.echo(f"{part + ':':<9} {'   '.join(known)}")
    kept = f", kept epoch {record.best_epoch}" if record.best_epoch else ""
    typer.echo(f"status:   {record.status} after {record.epochs} epochs{kept}")
    typer.echo(f"health:   {record.health}")
    typer.echo(f"time:     {formatting.brief(record.seconds)} s")
    typer.echo(f"record:   {out / 'store' / record.run}")


def read_delta(delta: float | None, metric: str | None, results: Results) -> float | None:
    """--delta in the metric's own unit: points of an accuracy are hundredths."""
    if delta is None:
        return None
    if not 0 <= delta < float("inf"):
        raise InputError(f"--delta {delta}: must be 0 or more")
    if not is_share(metric or results.record.metric):
        return delta
    if delta > 100:
        raise InputError(f"--delta {delta:g}: in points, so at most 100")
    return delta / 100


def check_stdout(outputs: int, wide: bool) -> None:
    """Raise InputError where more than one output would go to stdout, or none is the table that --wide is for."""
    if outputs > 1:
        raise InputError("only one of --json, --csv -, --md -, --latex - and --html - can go to stdout")
    if outputs and wide:
        raise InputError("--wide: is for the table on the terminal, which is not printed here")


def save(text: str, file: str) -> None:
    """Write to a file, whole or not at all, or to stdout for '-'."""
    if file == "-":
        typer.echo(text, nl=False)
        return
    if not file:
        raise InputError("a file's name is empty")
    with write_errors(Path(file)):
        write_atomic(Path(file), [text])
