"""`dnntrain runs`: lists, verifies, evaluates, times and removes recorded runs."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from dnntrain.cli.export import export
from dnntrain.cli.options import DataDir, Out, TrustCode
from dnntrain.cli.run_options import RUNS
from dnntrain.cli.runs_list import list_runs
from dnntrain.cli.runs_time import time_runs
from dnntrain.cli.track import track
from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.errors import DnntrainError, InputError
from dnntrain.reporting.progress import trained_by
from dnntrain.store.code import runnable_code, unused_code
from dnntrain.store.progress import read_progress
from dnntrain.store.run_names import resolve_run
from dnntrain.store.run_store import RunStore
from dnntrain.store.studies import is_study, open_store, open_study, recorded_studies
from dnntrain.store.study_files import CHANGED
from dnntrain.utils.console import console
from dnntrain.utils.files import read_json, write_errors
from dnntrain.utils.user_code.reference import pinned

runs_app = typer.Typer(help="List, show, verify, evaluate, time, export, track and remove recorded runs.")
runs_app.command()(export)
runs_app.command()(track)
runs_app.command("time")(time_runs)

Yes = Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")]


runs_app.command("list")(list_runs)


@runs_app.command("show")
def show_run(
    run: Annotated[str, typer.Argument(help="a run's id or its first digits, or a study for its best run")],
    out: Out = RUNS,
) -> None:
    """Print a run's record as JSON, without its history."""
    store, run = resolve_run(run, open_store(out))
    record = read_json(store.folder(run) / "run.json")
    console().print_json(data={key: value for key, value in record.items() if key != "history"})


@runs_app.command()
def verify(out: Out = RUNS) -> None:
    """Verify the checksums of all runs and of the studies' tables; exit code 1 if one differs."""
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
def evaluate(
    names: Annotated[list[str] | None, typer.Argument(help="studies or runs; by default all")] = None,
    out: Out = RUNS,
    data_dir: DataDir = None,
    trust_code: TrustCode = False,
) -> None:
    """Predict held-out examples with recorded weights, for runs without predictions. Nothing is trained.

    A run whose predictions do not give its recorded metrics is named, and keeps none.
    """
    from dnntrain.executors.environment import prepare_this_process

    prepare_this_process()  # as a worker's, so that the predictions have the bits that training would have written
    from dnntrain.executors.worker import cached_dataset
    from dnntrain.transfer_learning.evaluation import evaluate_record

    store, home, counts, problems = open_store(out), DataLocation.at(data_dir), Counter[str](), []
    runs, loaded = named_runs(names, store), set[str]()
    for run in runs:
        try:
            record = store.read(run)
            if record.status != "finished" or has_predictions(store, run):
                counts["diverged" if record.status != "finished" else "had predictions"] += 1
                continue
            code = runnable_code(store.code, record, trust_code=trust_code)
            if (version := {each.digest for each in code}) != loaded:
                loaded = version
                cached_dataset.cache_clear()  # the same reference may mean other code in the next run
            with pinned(code):
                dataset = cached_dataset(RunSpec.from_record(record.settings).source, home)
                store.write_predictions(run, evaluate_record(record, dataset, store, home))
            counts["evaluated"] += 1
        except InputError as error:
            problems.append(f"run {run}: {error}")
    others = "".join(f"; {counts[what]} {what}" for what in ("had predictions", "diverged") if counts[what])
    typer.echo(f"{counts['evaluated']} of {len(runs)} runs evaluated{others}")
    if problems:
        raise InputError("\n".join(problems))


@runs_app.command()
def rm(names: Annotated[list[str], typer.Argument(help="studies or runs")], out: Out = RUNS, yes: Yes = False) -> None:
    """Remove runs, or the tables of studies. A study's runs stay for other studies; see gc."""
    store = open_store(out)
    folders = [named_folder(name, store) for name in names]
    for folder in folders:
        if (progress := read_progress(folder)) and progress.is_training:
            raise DnntrainError(f"{folder}: is being trained by {trained_by(progress)}; wait until it ends")
    remove(folders, yes)


@runs_app.command()
def gc(out: Out = RUNS, yes: Yes = False) -> None:
    """Remove runs that no study uses, targets that no run uses, old checkpoints, and files of interrupted writes."""
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


def named_runs(names: list[str] | None, store: RunStore) -> list[str]:
    """The runs of studies, and runs as `resolve_run` knows them; all recorded runs without names."""
    if not names:
        return store.run_ids()
    runs: list[str] = []
    for name in names:
        folder = named_folder(name, store)
        runs += map(str, open_study(folder).runs["run"]) if is_study(folder) else [folder.name]
    return list(dict.fromkeys(runs))


def named_folder(name: str, store: RunStore) -> Path:
    """The folder of a study in the store, or of a run; InputError if there is neither."""
    for folder in (store.root / name, Path(name)):
        if name and folder.parent.resolve() == store.root.resolve() and is_study(folder):
            return folder
    found, run = resolve_run(name, store)
    if found.root.resolve() != store.root.resolve():
        raise InputError(f"{name}: is not in {store.root}; give --out {found.root}")
    return found.folder(run)


def has_predictions(store: RunStore, run: str) -> bool:
    """Whether a run has predictions that can be read, with all that metrics may ask for."""
    try:
        predictions = store.predictions(run)
        return predictions is not None and predictions.is_complete
    except InputError:
        return False


def used_by(out: Path) -> dict[str, list[str]]:
    """For each run, the studies and arms that use it."""
    found: dict[str, list[str]] = {}
    for study in map(open_study, recorded_studies(out)):
        for run, arm in zip(study.runs["run"], study.runs["arm"], strict=True):
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
