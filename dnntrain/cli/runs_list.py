"""`dnntrain runs list`: the studies of a store, and their runs, one line each."""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dnntrain.cli import completion
from dnntrain.cli.options import AsJson, Out
from dnntrain.cli.outputs import file_option, save
from dnntrain.errors import InputError, did_you_mean
from dnntrain.store.run_names import MOST_NEAR
from dnntrain.store.studies import RUNS, is_study, open_store, recorded_studies
from dnntrain.utils.console import console
from dnntrain.utils.finite import nan_to_none
from dnntrain.utils.text_layout import one_line_each
from dnntrain.utils.times import parse_since, time_of_day

if TYPE_CHECKING:
    from dnntrain.reporting.run_list import RunLine, StudyLine

CsvFile: Any = file_option("write a row for each study or run as CSV")


def list_runs(
    out: Out = RUNS,
    study: Annotated[
        str | None, typer.Option(metavar="NAME", autocompletion=completion.studies, help="list the runs of this study")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="list all runs, also those that no study uses")] = False,
    status: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.one_of(("finished", "diverged", "failed", "running", "interrupted")),
            help="list the runs with this status: finished, diverged, failed, running or interrupted",
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="list the runs recorded since then: 2d, 6h, 2026-11-01")
    ] = None,
    csv: CsvFile = None,
    as_json: AsJson = False,
) -> None:
    """List the studies, with what is running and where; or the runs, with --study, --all, --status or --since.

    Lines are never wrapped or cut. A narrow terminal shows fewer columns; files and pipes get all, separated by tabs.

    A run that several arms use has a line for each.

    Examples:
        dnntrain runs list
        dnntrain runs list --study vanishing
        dnntrain runs list --status failed --since 2d
    """
    from dnntrain.reporting.run_list import RunLine, StudyLine, list_studies

    open_store(out)
    if as_json and csv == "-":
        raise InputError("only one of --json and --csv - can go to stdout")
    if everything and study is not None:
        raise InputError(f"--all: not with --study {study}, which lists the runs of that study")
    if everything or any(option is not None for option in (study, status, since)):
        runs = chosen_runs(out, study, status, since)
        listing = Listing("runs", RunLine, runs, *run_table(runs))
    else:
        studies = list_studies(out)
        listing = Listing("studies", StudyLine, studies, *study_table(studies))
    if csv is not None:
        save(listing.to_csv(), csv)
    if as_json:
        typer.echo(listing.to_json())
    elif csv != "-":
        listing.print()


@dataclass(frozen=True)
class Listing:
    """Studies or runs, as data and as texts."""

    name: str
    """studies or runs."""
    kind: type[StudyLine | RunLine]
    lines: Sequence[StudyLine | RunLine]
    headings: list[str]
    rows: list[list[str]]
    droppable: Sequence[str]
    """The columns that a narrow terminal may leave out, the first to go first."""

    def to_json(self) -> str:
        """The lines as JSON, with times in ISO format and null for what is not known."""
        rows = nan_to_none([asdict(line) for line in self.lines])
        return json.dumps({self.name: rows}, indent=1, default=datetime.isoformat)

    def to_csv(self) -> str:
        """The lines as CSV, with times in ISO format and empty cells for what is not known."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(field.name for field in fields(self.kind))
        for line in self.lines:
            cells = nan_to_none([*asdict(line).values()])
            writer.writerow(cell.isoformat() if isinstance(cell, datetime) else cell for cell in cells)
        return text.getvalue()

    def print(self) -> None:
        """Print a line for each row, and on stderr which columns a terminal has no room for."""
        terminal = console()
        width = terminal.width if terminal.is_terminal else None
        lines, dropped = one_line_each(self.headings, self.rows, width, self.droppable)
        typer.echo("\n".join(lines))
        if dropped:
            typer.echo(f"no room for: {', '.join(dropped)} (a wider terminal, --csv or --json shows them)", err=True)


def chosen_runs(out: Path, study: str | None, status: str | None, since: str | None) -> list[RunLine]:
    """The runs that the options ask for; InputError for a study, a status or a time that does not exist."""
    from dnntrain.reporting import run_list

    if status is not None and status not in run_list.STATUSES:
        raise InputError(f"--status {status}: unknown{did_you_mean(status, run_list.STATUSES)}")
    if study is not None and not (study and is_study(out / study)):
        known = [folder.name for folder in recorded_studies(out)]
        near = difflib.get_close_matches(study, known, n=MOST_NEAR)
        hint = f"near it: {', '.join(near)}" if near else f"`dnntrain runs list --out {out}` lists the studies"
        raise InputError(f"--study {study}: no such study in {out}; {hint}")
    earliest = None if since is None else parse_since(since)
    return [
        line
        for line in run_list.run_lines(out, study or "")
        if status in (None, line.status) and (earliest is None or (line.when is not None and line.when >= earliest))
    ]


TableParts = tuple[list[str], list[list[str]], Sequence[str]]
"""The headings, rows and droppable columns of a listing."""


def study_table(lines: Iterable[StudyLine]) -> TableParts:
    """The studies as texts."""
    from dnntrain.reporting.run_list import expected_in_words

    rows = [
        [line.study, str(line.arms), f"{line.finished}/{line.planned}", line.state, line.metric,
         time_of_day(line.when) if line.when else "",
         ", ".join(filter(None, [line.where, expected_in_words(line)]))]
        for line in lines
    ]  # fmt: skip
    return ["study", "arms", "runs", "state", "metric", "when", "where"], rows, ("when", "metric", "arms", "where")


def run_table(lines: Iterable[RunLine]) -> TableParts:
    """The runs as texts."""
    rows = [
        [line.run or "-", line.study, line.arm, str(line.seed), line.status, line.shown_value,
         time_of_day(line.when) if line.when else "", line.where]
        for line in lines
    ]  # fmt: skip
    return ["run", "study", "arm", "seed", "status", "metric", "when", "where"], rows, ("where", "when", "metric")
