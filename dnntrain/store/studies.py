"""Finds studies: those that are complete by their files, and those in training by their progress and recorded runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dnntrain.errors import InputError, did_you_mean
from dnntrain.metrics import metric_columns
from dnntrain.store.progress import StudyProgress, has_progress, read_progress
from dnntrain.store.run_columns import RunColumns
from dnntrain.store.run_store import RunRecords, RunStore
from dnntrain.store.study_files import NEEDED, Results, StudyFiles, read_study
from dnntrain.store.study_record import StudyRecord

RUNS = Path("runs")
"""The folder where runs and studies are recorded by default."""


def open_store(out: Path) -> RunStore:
    """Open the store in a folder; InputError if there is none."""
    if not (out / "store").is_dir() and not recorded_studies(out):
        raise InputError(f"--out {out}: no runs are recorded there")
    return RunStore(out)


def find_studies(paths: Sequence[Path], out: Path = RUNS) -> list[Results]:
    """The studies of some paths, by `study_folders`; InputError where there is none."""
    folders = [folder for path in paths for folder in study_folders(path, out)]
    return [open_study(folder) for folder in {folder.resolve(): folder for folder in folders}.values()]


def study_folders(path: Path, out: Path = RUNS) -> list[Path]:
    """The folders of the studies that a path stands for.

    Args:
        path: A study's folder, a folder of studies, or the name of a study in `out`.
        out: The folder of studies.

    Returns:
        The folder itself, or those right below it, by name.

    Raises:
        InputError: There is no study.
    """
    path = named_study(path, out)
    if not path.exists():
        known = [folder.name for folder in recorded_studies(out)]
        hint = did_you_mean(path.name, known) or "; `dnntrain ablate` makes one (runs/ by default)"
        raise InputError(f"{path}: no such folder, and no study in {out} has that name{hint}")
    if path.is_file():
        path = path.parent
    folders = [path] if is_study(path) else recorded_studies(path)
    if not folders:
        raise InputError(f"{path}: no study in it (no study.json); run `dnntrain ablate PRESET --out {path}` first")
    return folders


def named_study(path: Path, out: Path) -> Path:
    """The folder in `out` of the study that is called like this; any other path as it is."""
    is_path = len(path.parts) != 1 or path.is_file() or is_study(path)
    return out / path if not is_path and is_study(out / path) else path


def recorded_studies(out: Path) -> list[Path]:
    """The folders of the studies in a store, by name."""
    return sorted(folder for folder in out.glob("*") if is_study(folder))


def is_study(folder: Path) -> bool:
    """Whether a folder is that of a study, which may still be in training."""
    return (folder / "study.json").is_file() or has_progress(folder)


def open_study(folder: Path) -> Results:
    """A study as it is now: complete, in training, or interrupted.

    Raises:
        InputError: A file is missing or damaged; the message names it.
    """
    progress = read_progress(folder)
    if progress is None or (not progress.is_training and is_complete(folder, progress)):
        return read_study(folder)
    return unfinished_study(folder, progress)


def is_complete(folder: Path, progress: StudyProgress) -> bool:
    """Whether the study's files have all planned runs, so that what a killed process left behind means nothing."""
    if len(progress.recorded) < progress.planned or not (folder / "results.csv").is_file():
        return False
    return progress.recorded <= {*read_study(folder).runs["run"]}


def unfinished_study(folder: Path, progress: StudyProgress) -> Results:
    """A study that is not complete, made from its plan and the runs that are recorded so far."""
    study, store = progress.study, RunStore(folder.parent)
    planned = [(arm, run) for arm, ids in progress.runs.items() for run in ids.values()]
    runs = [(arm, run) for arm, run in planned if run in progress.recorded]
    if not runs:
        record = study.model_copy(update={"failed": progress.failed})
        table = RunColumns({column: [] for column in (*NEEDED, *metric_columns())})
        return Results(folder, record, table, run_records={}, progress=progress)
    records = RunRecords(store, [run for _, run in runs])
    varied = varied_settings(study)
    files = StudyFiles.build(study, runs, records, {run: varied[arm] for arm, run in runs}, failed=progress.failed)
    return replace(files.results(folder), progress=progress)


def varied_settings(study: StudyRecord) -> dict[str, dict[str, object]]:
    """The settings in which the arms differ, by arm."""
    settings = {arm.name: arm.settings for arm in study.arms}
    first, *others = settings.values()
    varied = [key for key in first if any(other.get(key) != first[key] for other in others)]
    return {name: {key: own.get(key) for key in varied} for name, own in settings.items()}
