"""`dnntrain runs`: lists, verifies and removes recorded runs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnntrain.cli.options import Out
from dnntrain.cli.run_options import RUNS
from dnntrain.errors import DnntrainError, InputError, did_you_mean
from dnntrain.metrics import score_of
from dnntrain.store.records import RunRecord
from dnntrain.store.run_store import RunStore
from dnntrain.store.study_files import CHANGED
from dnntrain.utils.console import console, show
from dnntrain.utils.files import read_json, write_errors
from dnntrain.utils.text_layout import TextTable

if TYPE_CHECKING:
    from dnntrain.store.study_files import Results

runs_app = typer.Typer(help="List, show, verify and remove recorded runs.")

Yes = Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")]


@runs_app.command("list")
def list_runs(out: Out = RUNS) -> None:
    """List all recorded runs with their status, validation score and studies."""
    store, studies = opened(out), used_by(out)
    rows = []
    for run in store.run_ids():
        record = store.read(run)
        rows.append(
            [
                run,
                Path(str(record.settings["data"])).name,
                str(record.seed),
                record.status,
                str(record.epochs),
                validation_score(record),
                "\n".join(studies.get(run, ())),
            ]
        )
    headings = ["run", "data", "seed", "status", "epochs", "val", "studies: arms"]
    show(TextTable("", headings, rows, wraps=frozenset({"studies: arms"})))


@runs_app.command("show")
def show_run(run: Annotated[str, typer.Argument(help="a run's id")], out: Out = RUNS) -> None:
    """Print a run's record as JSON, without its history."""
    store = opened(out)
    find_run(run, store)
    record = read_json(store.folder(run) / "run.json")
    console().print_json(data={key: value for key, value in record.items() if key != "history"})


@runs_app.command()
def verify(out: Out = RUNS) -> None:
    """Verify the checksums of all runs and of the studies' tables; exit code 1 if one differs."""
    store = opened(out)
    ids = store.run_ids()
    problems = [problem for run in ids if (problem := store.problem(run))]
    changed = [CHANGED.format(study.folder / "results.csv") for study in recorded_studies(out) if study.is_changed]
    for problem in [*problems, *changed]:
        typer.echo(problem)
    typer.echo(f"{len(ids) - len(problems)} of {len(ids)} runs are whole")
    raise typer.Exit(1 if problems or changed else 0)


@runs_app.command()
def rm(names: Annotated[list[str], typer.Argument(help="studies or runs")], out: Out = RUNS, yes: Yes = False) -> None:
    """Remove runs, or the tables of studies. A study's runs stay for other studies; see gc."""
    store = opened(out)
    folders = [out / name if (out / name / "study.json").is_file() else find_run(name, store) for name in names]
    remove(folders, yes)


@runs_app.command()
def gc(out: Out = RUNS, yes: Yes = False) -> None:
    """Remove runs that no study uses, old checkpoints, and files left by interrupted writes."""
    store, used = opened(out), used_by(out)
    if store.is_training():
        raise DnntrainError(f"{out}: a process is training runs that are not in its tables yet; wait until it ends")
    unused = [store.folder(run) for run in store.run_ids() if run not in used]
    left = [*out.glob(".new-*"), *out.glob("*/.new-*"), *(out / "store").glob(".checkpoints")]
    remove([*unused, *left], yes)


def validation_score(record: RunRecord) -> str:
    """The validation score as text, such as `acc 87.12 %`; empty if the run diverged."""
    from dnntrain.reporting.formatting import number

    score = score_of(record.data.task)
    column = f"val_{score.name}"
    value = record.results.get(column)
    return "" if value is None else f"{score.name} {number(value, column)} {score.unit}".rstrip()


def opened(out: Path) -> RunStore:
    """Open the store in a folder; InputError if there is none."""
    if not (out / "store").is_dir():
        raise InputError(f"--out {out}: no runs are recorded there")
    return RunStore(out)


def find_run(run: str, store: RunStore) -> Path:
    """A run's folder; InputError with the nearest id if there is no such run."""
    if (store.root / run / "study.json").is_file():
        study = store.root / run
        raise InputError(
            f"{run} is a study, not a run: `dnntrain report {study}` shows it, `dnntrain runs list` its runs"
        )
    if run not in store.run_ids():
        raise InputError(f"no study and no run '{run}' in {store.root}{did_you_mean(run, store.run_ids())}")
    return store.folder(run)


def used_by(out: Path) -> dict[str, list[str]]:
    """For each run, the studies and arms that use it."""
    found: dict[str, list[str]] = {}
    for study in recorded_studies(out):
        for run, arm in zip(study.runs["run"], study.runs["arm"], strict=True):
            found.setdefault(str(run), []).append(f"{study.folder.name}: {arm}")
    return found


def recorded_studies(out: Path) -> list[Results]:
    """The studies in a store, by name."""
    from dnntrain.store.study_files import read_study

    return [read_study(path.parent) for path in sorted(out.glob("*/study.json"))]


def remove(folders: Iterable[Path], yes: bool) -> None:
    """Remove folders and files after confirmation; DnntrainError if it is not given."""
    folders = list(folders)
    size = sum(file.stat().st_size for folder in folders for file in (folder, *folder.rglob("*")) if file.is_file())
    for folder in folders:
        typer.echo(str(folder))
    typer.echo(f"{len(folders)} {'folder' if len(folders) == 1 else 'folders'}, {size / 1e6:.1f} MB")
    if not folders:
        return
    if not yes and not sys.stdin.isatty():
        raise InputError("cannot ask for confirmation without a terminal; give --yes to remove them")
    if not yes and not typer.confirm("remove them?"):
        raise DnntrainError("nothing was removed")
    for folder in folders:
        with write_errors(folder):
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
