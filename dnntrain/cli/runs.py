"""`dnntrain runs`: lists, verifies, evaluates, times and removes recorded runs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from dnntrain.cli import completion
from dnntrain.cli.evaluate import evaluate
from dnntrain.cli.export import export
from dnntrain.cli.options import Out
from dnntrain.cli.runs_list import list_runs
from dnntrain.cli.runs_thresholds import thresholds
from dnntrain.cli.runs_time import time_runs
from dnntrain.cli.track import track
from dnntrain.errors import DnntrainError, InputError
from dnntrain.reporting.progress import trained_by
from dnntrain.store.code import unused_code
from dnntrain.store.progress import read_progress
from dnntrain.store.run_names import named_folder, resolve_run
from dnntrain.store.studies import RUNS, open_store, open_study, recorded_studies
from dnntrain.store.study_files import CHANGED
from dnntrain.utils.console import console
from dnntrain.utils.files import read_json, write_errors

runs_app = typer.Typer(
    help="""List, show, verify, evaluate, time, export, track and remove recorded runs, and propose thresholds.

    Examples:
        dnntrain runs list
        dnntrain runs export vanishing --to torch
    """
)
runs_app.command()(evaluate)
runs_app.command()(export)
runs_app.command()(track)
runs_app.command()(thresholds)
runs_app.command("time")(time_runs)

Yes = Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")]


runs_app.command("list")(list_runs)


@runs_app.command("show")
def show_run(
    run: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.runs, help="a run's id or its first digits, or a study for its best run"
        ),
    ],
    out: Out = RUNS,
) -> None:
    """Print a run's record as JSON, without its history.

    Examples:
        dnntrain runs show vanishing
        dnntrain runs show 3f2a
    """
    store, run = resolve_run(run, open_store(out))
    record = read_json(store.folder(run) / "run.json")
    console().print_json(data={key: value for key, value in record.items() if key != "history"})


@runs_app.command()
def verify(out: Out = RUNS) -> None:
    """Verify the checksums of all runs and of the studies' tables; exit code 1 if one differs.

    Examples:
        dnntrain runs verify
        dnntrain runs verify -o elsewhere
    """
    store = open_store(out)
    ids = store.run_ids()
    problems = [problem for run in ids if (problem := store.problem(run))]
    studies = map(open_study, recorded_studies(out))
    changed = [CHANGED.format(study.folder / "results.csv") for study in studies if study.is_changed]
    for problem in [*problems, *changed]:
        typer.echo(problem)
    typer.echo(f"{len(ids) - len(problems)} of {len(ids)} runs are whole")
    raise typer.Exit(1 if problems or changed else 0)


@runs_app.command()
def rm(
    names: Annotated[list[str], typer.Argument(autocompletion=completion.runs, help="studies or runs")],
    out: Out = RUNS,
    yes: Yes = False,
) -> None:
    """Remove runs, or the tables of studies. A study's runs stay for other studies; see gc.

    Examples:
        dnntrain runs rm vanishing
        dnntrain runs rm 3f2a --yes
    """
    store = open_store(out)
    folders = [named_folder(name, store) for name in names]
    for folder in folders:
        if (progress := read_progress(folder)) and progress.is_training:
            raise DnntrainError(f"{folder}: is being trained by {trained_by(progress)}; wait until it ends")
    remove(folders, yes)


@runs_app.command()
def gc(out: Out = RUNS, yes: Yes = False) -> None:
    """Remove runs that no study uses, targets that no run uses, old checkpoints, and files of interrupted writes.

    Examples:
        dnntrain runs gc
        dnntrain runs gc --yes
    """
    store, used = open_store(out), used_by(out)
    if store.is_training():
        raise DnntrainError(f"{out}: a process is training runs that are not in its tables yet; wait until it ends")
    unused = [store.folder(run) for run in store.run_ids() if run not in used]
    unused += store.unused_targets(run for run in store.run_ids() if run in used)
    if store.code.is_dir():
        unused += unused_code(store.code, [store.read(run) for run in store.run_ids() if run in used])
    left = [*out.glob(".new-*"), *out.glob("*/.new-*"), *(out / "store").glob(".checkpoints")]
    remove([*unused, *left], yes)
    for folder in (store.targets, store.code):
        with suppress(OSError):
            folder.rmdir()  # unless some are used


def used_by(out: Path) -> dict[str, list[str]]:
    """For each run, the studies and arms that use it."""
    found: dict[str, list[str]] = {}
    for study in map(open_study, recorded_studies(out)):
        for run, arm in study.runs.rows("run", "arm"):
            found.setdefault(str(run), []).append(f"{study.folder.name}: {arm}")
    return found


def remove(paths: Iterable[Path], yes: bool) -> None:
    """Remove folders and files after confirmation; DnntrainError if it is not given."""
    paths = list(paths)
    size = sum(file.stat().st_size for path in paths for file in (path, *path.rglob("*")) if file.is_file())
    for path in paths:
        typer.echo(str(path))
    n_files = sum(path.is_file() for path in paths)
    n_folders = len(paths) - n_files
    files = f" and {n_files} {'file' if n_files == 1 else 'files'}" if n_files else ""
    typer.echo(f"{n_folders} {'folder' if n_folders == 1 else 'folders'}{files}, {size / 1e6:.1f} MB")
    if not paths:
        return
    if not yes and not sys.stdin.isatty():
        raise InputError("cannot ask for confirmation without a terminal; give --yes to remove them")
    if not yes and not typer.confirm("remove them?"):
        raise DnntrainError("nothing was removed")
    for path in paths:
        with write_errors(path):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
