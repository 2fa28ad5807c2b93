"""A run as a user names it: by its id, the first digits of it, its folder, or a study for its best run."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from pathlib import Path

from dnntrain.errors import InputError
from dnntrain.metrics import VAL_LOSS, metric_of, validation_column
from dnntrain.store.run_columns import RunColumns, is_empty
from dnntrain.store.run_store import RunStore
from dnntrain.store.studies import is_study, open_study, recorded_studies
from dnntrain.store.study_files import Results

ID = re.compile("[0-9a-f]{12}")
ID_PREFIX = re.compile("[0-9a-f]{4,12}")
"""A run's id, or enough of its first digits."""
MOST_NEAR = 5
"""Runs that an error names, at most."""


class NoSuchRunError(InputError):
    """A name is neither that of a run nor of a study."""

    def __init__(self, message: str, hint: str) -> None:
        """Make the error; `hint` ends its message and says which runs there are."""
        super().__init__(message + hint)
        self.hint = hint


def resolve_run(text: str, store: RunStore, choose: Callable[[Results], str] | None = None) -> tuple[RunStore, str]:
    """The run that a user means.

    Args:
        text: A run's id or at least its first four digits; a run's folder, as runs/STUDY/RUN; a study's folder, or the
            name of a study in the store.
        store: Where runs are recorded.
        choose: Which run of a study is meant; by default `best_run`.

    Returns:
        The run's store, which may be another for a folder, and its id.

    Raises:
        NoSuchRunError: There is no such run or study. The message names the nearest, at most five.
        InputError: Several ids begin like that, of which at most five are named, or no run of the study finished.
    """
    path = Path(text)
    if store.has(text) or (ID_PREFIX.fullmatch(text) and not is_study(store.root / text)):
        return store, complete_id(text, store)
    if len(path.parts) > 2 and ID_PREFIX.fullmatch(path.name):
        return (elsewhere := RunStore(path.parent.parent)), complete_id(path.name, elsewhere)
    for folder in (path, store.root / text):
        if text and is_study(folder):
            return RunStore(folder.parent), (choose or best_run)(open_study(folder))
    raise no_such_run(text, store)


def named_runs(names: list[str] | None, store: RunStore) -> list[str]:
    """The runs of studies, and runs as `resolve_run` knows them; all recorded runs without names."""
    if not names:
        return store.run_ids()
    runs: list[str] = []
    for name in names:
        folder = named_folder(name, store)
        runs += map(str, open_study(folder).runs["run"]) if is_study(folder) else [folder.name]
    return list(dict.fromkeys(runs))


def named_arms(names: list[str], store: RunStore) -> dict[str, dict[str, dict[int, str]]]:
    """The finished runs of studies by study, arm and seed; those that are named themselves as arms of 'runs'."""
    found: dict[str, dict[str, dict[int, str]]] = {}
    for name in names:
        folder = named_folder(name, store)
        if not is_study(folder):
            record = store.read(folder.name)
            if record.status == "finished":
                found.setdefault("runs", {})[record.run] = {record.seed: record.run}
            continue
        study = open_study(folder)
        arms = found.setdefault(study.name, {})
        for arm, seed, run in study.runs.where("status", "finished").rows("arm", "seed", "run"):
            arms.setdefault(str(arm), {})[int(seed)] = str(run)
    return found


def named_folder(name: str, store: RunStore) -> Path:
    """The folder of a study in the store, or of a run; InputError if there is neither."""
    for folder in (store.root / name, Path(name)):
        if name and folder.parent.resolve() == store.root.resolve() and is_study(folder):
            return folder
    found, run = resolve_run(name, store)
    if found.root.resolve() != store.root.resolve():
        raise InputError(f"{name}: is not in {store.root}; give --out {found.root}")
    return found.folder(run)


def complete_id(prefix: str, store: RunStore) -> str:
    """The id of the run that begins with some digits; InputError if there is none, or if there are several."""
    found = [run for run in store.run_ids() if run.startswith(prefix)]
    if not found:
        raise no_such_run(prefix, store)
    if len(found) > 1:
        more = f" and {len(found) - MOST_NEAR} more" if len(found) > MOST_NEAR else ""
        raise InputError(
            f"'{prefix}': {len(found)} runs in {store.root} begin like that: {', '.join(found[:MOST_NEAR])}{more}; "
            "give more digits"
        )
    return found[0]


def no_such_run(text: str, store: RunStore) -> NoSuchRunError:
    """The error for a name of nothing, with the nearest runs and studies."""
    known = [*store.run_ids(), *(folder.name for folder in recorded_studies(store.root))]
    near = difflib.get_close_matches(text, known, n=MOST_NEAR, cutoff=0.6)
    hint = (
        f"; near it: {', '.join(near)}" if near else f"; `dnntrain runs list --all --out {store.root}` lists the runs"
    )
    return NoSuchRunError(f"no study and no run '{text}' in {store.root}", hint)


def best_run(study: Results) -> str:
    """The run to use of a study: of the arm with the best mean on the validation part, the best run there.

    The test part chooses nothing. A lost run counts as the worst run of the study, or as a network that ignores its
    inputs where that is worse still.

    Raises:
        InputError: No run finished.
    """
    finished = finished_runs(study)
    column = selection_column(study)
    higher = metric_of(column).higher_is_better
    worst = (min if higher else max)(finished[column])
    means = {}
    for arm in dict.fromkeys(finished["arm"]):
        values = [float(value) for value in finished.where("arm", arm)[column]]
        lost = len(study.runs.where("arm", arm)) - len(values)
        lost += len(study.record.failed.get(arm, ()))
        constant = study.record.constants.get(arm, {}).get(column, worst)
        values += [(min if higher else max)(worst, constant)] * lost
        means[arm] = math.fsum(values) / len(values)
    best_arm = (max if higher else min)(means, key=lambda arm: means[arm])
    return str(finished.where("arm", best_arm).sorted_by(column, descending=higher)["run"][0])


def run_of_lowest_loss(study: Results) -> str:
    """The finished run of a study with the lowest validation loss, whatever its arm; InputError if none finished."""
    return str(finished_runs(study).sorted_by(VAL_LOSS)["run"][0])


def finished_runs(study: Results) -> RunColumns:
    """The rows of the finished runs; InputError if there are none."""
    finished = study.runs.where("status", "finished")
    if not len(finished):
        raise InputError(f"{study.folder}: none of its runs finished")
    return finished


def selection_column(study: Results) -> str:
    """The validation column that chooses among a study's runs: that of its metric, or val_loss if it is missing."""
    column = validation_column(study.record.metric)
    recorded = column in study.runs and not any(map(is_empty, study.runs.where("status", "finished")[column]))
    return column if recorded else VAL_LOSS
