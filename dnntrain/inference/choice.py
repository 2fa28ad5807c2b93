"""Which recorded runs predict: a run, a study's best run, or all seeds of an arm."""

from __future__ import annotations

from pathlib import Path

from dnntrain.errors import InputError, did_you_mean
from dnntrain.metrics import metric_of
from dnntrain.store.run_names import best_run, finished_runs, resolve_run, selection_column
from dnntrain.store.run_store import RunStore
from dnntrain.store.studies import is_study, open_study


def choose_runs(
    text: str, store: RunStore, arm: str | None = None, ensemble: bool = False
) -> tuple[RunStore, list[str], str]:
    """The runs that a run's or a study's name stands for. Validation alone decides which one is best.

    Args:
        text: A run, or a study: see `resolve_run`.
        store: Where ids and names are looked up.
        arm: The arm of a study; by default that of its best run.
        ensemble: Whether to choose all finished runs of the arm instead of the best one.

    Returns:
        Their store, their ids, and words for them: 'run 0123456789ab (arm bn, seed 3, of study)'.

    Raises:
        InputError: There is no such run, study, or arm; or an ensemble would have one member.
    """
    folder = next((path for path in (Path(text), store.root / text) if text and is_study(path)), None)
    if folder is None:
        store, run = resolve_run(text, store)
        if arm is not None or ensemble:
            option = "--ensemble" if ensemble else f"--arm {arm}"
            raise InputError(f"{option}: needs a study, and {text} is a run")
        return store, [run], f"run {run}"
    study = open_study(folder)
    if arm is None:
        arm = str(study.runs.where("run", best_run(study))["arm"][0])
    names = [each.name for each in study.record.arms]
    if arm not in names:
        raise InputError(f"--arm {arm}: no such arm in {folder}{did_you_mean(arm, names)}")
    runs, column = finished_runs(study), selection_column(study)
    runs = runs.where("arm", arm).sorted_by(column, descending=metric_of(column).higher_is_better)
    ids = [str(run) for run in runs["run"]]
    if len(ids) < (2 if ensemble else 1):
        needed = "an ensemble needs two" if ensemble else "none can predict"
        raise InputError(f"{folder}: arm {arm} has {len(ids)} finished runs; {needed}")
    found = RunStore(folder.parent)
    if ensemble:
        seeds = ", ".join(map(str, sorted(int(seed) for seed in runs["seed"])))
        return found, ids, f"{len(ids)} runs (arm {arm}, seeds {seeds}, of {study.name})"
    return found, ids[:1], f"run {ids[0]} (arm {arm}, seed {int(runs['seed'][0])}, of {study.name})"
