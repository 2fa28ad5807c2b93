"""What the commands print and write of studies and runs: the report's way out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console, RenderableType

from dnntrain.consoles import console
from dnntrain.errors import InputError
from dnntrain.metrics import PARTS, is_share
from dnntrain.records import CHANGED
from dnntrain.report.compare import comparison_notes, comparison_table, find_study
from dnntrain.report.gates import Judged
from dnntrain.report.load import Results
from dnntrain.report.summary import Summary
from dnntrain.report.terminal import rendered, study_report
from dnntrain.whole_files import write_whole, writing


def print_summary(summary: Summary, wide: bool = False) -> None:
    """A study on the terminal."""
    show(console(width=max(120, console().width) if wide else None), study_report(summary, wide=wide))


def show(terminal: Console, what: RenderableType) -> None:
    """Print; without a terminal as plain lines, that is without the blanks that fill a table's rows."""
    if terminal.is_terminal:
        terminal.print(what)
        return
    with terminal.capture() as captured:
        terminal.print(what)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def warn_of_changes(studies: Sequence[Results]) -> None:
    """Say which tables are not as they were written; they are shown all the same."""
    for study in studies:
        if study.changed:
            typer.echo(f"warning: {CHANGED.format(study.folder / 'results.csv')}", err=True)


def print_judged(judged: Sequence[Judged]) -> None:
    """Each requirement with its answer and the reason."""
    for item in judged:
        typer.echo(f"{item.answer.name}: {item.requirement} ({item.study}): {item.reason}")


def print_comparison(names: tuple[str, str], paths: Sequence[Path], metric: str | None) -> None:
    """Two studies side by side."""
    first, second = (find_study(name, paths) for name in names)
    terminal = console()
    show(terminal, rendered(comparison_table(first, second, metric or str(first.description["metric"]))))
    terminal.print("\n".join(comparison_notes(first, second)), soft_wrap=True)


def print_run(record: dict[str, Any], out: Path) -> None:
    """One run's result in a few lines."""
    terminal = console()
    results = record["results"]
    measures = {"loss": "loss {:.4f}", "acc": "accuracy {:.2%}", "r2": "R² {:.4f}", "rmse": "RMSE {:.6g}"}
    for part in PARTS:
        known = [
            text.format(results[name]) for m, text in measures.items() if results.get(name := f"{part}_{m}") is not None
        ]
        if known:
            terminal.print(f"{part + ':':<9} {'   '.join(known)}")
    kept = f", kept epoch {record['best_epoch']}" if record["best_epoch"] else ""
    terminal.print(f"status:   {record['status']} after {record['epochs']} epochs{kept}")
    terminal.print(f"health:   {record['health']}")
    terminal.print(f"time:     {record['seconds']:.1f} s")
    terminal.print(f"record:   {out / 'store' / record['run']}", soft_wrap=True)


def read_delta(delta: float | None, metric: str | None, results: Results) -> float | None:
    """--delta in the metric's own unit: points of an accuracy are hundredths."""
    if delta is None:
        return None
    if not 0 <= delta < float("inf"):
        raise InputError(f"--delta {delta}: must be 0 or more")
    if not is_share(metric or str(results.description["metric"])):
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
    with writing(Path(file)):
        write_whole(Path(file), [text])
