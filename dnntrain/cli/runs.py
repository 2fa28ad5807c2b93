"""`dnntrain runs`: what is recorded, whether it is whole, and how it is removed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dnntrain.errors import DnntrainError, InputError, did_you_mean
from dnntrain.store.records import RunRecord
from dnntrain.store.run_store import RunStore
from dnntrain.store.study_files import CHANGED
from dnntrain.utils.console import console, show
from dnntrain.utils.files import read_json, write_errors
from dnntrain.utils.text_layout import TextTable

if TYPE_CHECKING:
    from dnntrain.store.study_files import Results

runs_app = typer.Typer(help="List, show, check and remove what is recorded.")

Out = Annotated[Path, typer.Option("--out", help="folder of the run store")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]
RUNS = Path("runs")


@runs_app.command("list")
def list_runs(out: Out = RUNS) -> None:
    """Show every recorded run: its state, its validation figure, the studies that it is part of."""
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
    """Print one run's record as JSON, without its history."""
    store = opened(out)
    known(run, store)
    record = read_json(store.folder(run) / "run.json")
    console().print_json(data={key: value for key, value in record.items() if key != "history"})


@runs_app.command()
def verify(out: Out = RUNS) -> None:
    """Check every run's files and the studies' tables against what was written; exit code 1 where one differs."""
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
    """Remove studies (their tables; their runs stay for others, see gc) or runs."""
    store = opened(out)
    folders = [out / name if (out / name / "study.json").is_file() else known(name, store) for name in names]
    remove(folders, yes)


@runs_app.command()
def gc(out: Out = RUNS, yes: Yes = False) -> None:
    """Remove the runs that no study uses, and what was left behind: by interrupted writes, and checkpoints."""
    store, used = opened(out), used_by(out)
    if store.is_training():
        raise DnntrainError(f"{out}: a process is training runs that its tables do not name yet; wait for its end")
    unused = [store.folder(run) for run in store.run_ids() if run not in used]
    left = [*out.glob(".new-*"), *out.glob("*/.new-*"), *(out / "store").glob(".checkpoints")]
    remove([*unused, *left], yes)


def validation_score(record: RunRecord) -> str:
    """acc 87.12 %, r2 0.6123; empty where the run diverged."""
    from dnntrain.reporting.formatting import number

    for name, text in (("val_acc", "acc {} %"), ("val_r2", "r2 {}")):
        if (value := record.results.get(name)) is not None:
            return text.format(number(value, name))
    return ""


def opened(out: Path) -> RunStore:
    """The store in a folder; InputError where there is none."""
    if not (out / "store").is_dir():
        raise InputError(f"--out {out}: no runs are recorded there")
    return RunStore(out)


def known(run: str, store: RunStore) -> Path:
    """A run's folder; InputError with the nearest id where there is none."""
    if (store.root / run / "study.json").is_file():
        study = store.root / run
        raise InputError(
            f"{run} is a study, not a run: `dnntrain report {study}` shows it, `dnntrain runs list` its runs"
        )
    if run not in store.run_ids():
        raise InputError(f"no study and no run '{run}' in {store.root}{did_you_mean(run, store.run_ids())}")
    return store.folder(run)


def used_by(out: Path) -> dict[str, list[str]]:
    """The studies, and in them the arms, by the runs that their tables name."""
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
    """Remove folders and files after saying what that frees; DnntrainError where nobody agrees."""
    folders = list(folders)
    size = sum(file.stat().st_size for folder in folders for file in (folder, *folder.rglob("*")) if file.is_file())
    for folder in folders:
        typer.echo(str(folder))
    typer.echo(f"{len(folders)} {'folder' if len(folders) == 1 else 'folders'}, {size / 1e6:.1f} MB")
    if not folders:
        return
    if not yes and not sys.stdin.isatty():
        raise InputError("nobody to ask without a terminal: give --yes to remove them")
    if not yes and not typer.confirm("remove them?"):
        raise DnntrainError("nothing was removed")
    for folder in folders:
        with write_errors(folder):
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
