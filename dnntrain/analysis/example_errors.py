"""How much another test set would change a difference, from what each run predicts for each example."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dnntrain.analysis.runs import ArmRuns
from dnntrain.errors import InputError
from dnntrain.metrics import HELD_OUT, metric_of, split_column
from dnntrain.statistics.crossed import CrossedError, crossed_error
from dnntrain.store.run_store import RunStore
from dnntrain.store.study_files import Results

MOST_RUNS_READ = 500
"""A report reads the predictions of at most this many runs without being asked: up to half a megabyte each."""

NOT_A_MEAN = "not a mean over examples"
"""Why a metric such as R² has no errors over examples."""


@dataclass(frozen=True)
class ExampleErrors:
    """The error of each arm's difference from the baseline over seeds, over examples, and over both."""

    by_arm: Mapping[str, CrossedError]
    missing: Sequence[str] = ()
    """The arms without an error."""
    why: str = ""
    """Why they have none; empty if none is missing."""


def example_errors(results: Results, metric: str, arms: Mapping[str, ArmRuns], baseline: str) -> ExampleErrors:
    """The errors over the finished runs of the seeds that an arm and the baseline share, of which there must be two.

    Args:
        results: The study.
        metric: The metric with its part, such as test_acc.
        arms: All arms' runs by this metric.
        baseline: The arm that the others are compared with.

    Raises:
        InputError: If a file of predictions is damaged.
    """
    part = split_column(metric)[0]
    if part not in HELD_OUT:
        return ExampleErrors({}, [*arms], f"{metric} is not measured on held-out examples")
    runs = results.runs.where("status", "finished")
    store = RunStore(results.folder.parent)
    values = {
        (arm, int(seed)): _per_example(store, run, metric, part) for arm, seed, run in runs.rows("arm", "seed", "run")
    }
    shared = {name: [seed for seed in arms[baseline].finished if seed in arms[name].finished] for name in arms}
    errors = {}
    for name, seeds in shared.items():
        ours, theirs = ([values.get((arm, seed)) for seed in seeds] for arm in (name, baseline))
        shapes = {None if row is None else row.shape for row in (*ours, *theirs)}
        if name != baseline and len(seeds) > 1 and len(shapes) == 1 and None not in shapes:
            errors[name] = crossed_error(np.array(ours, np.float64), np.array(theirs, np.float64))
    missing = [name for name, arm in arms.items() if name not in errors and name != baseline and arm.finished]
    if missing and all(len(shared[name]) < 2 for name in missing):
        return ExampleErrors(errors, missing, f"it takes at least two seeds that an arm shares with {baseline}")
    return ExampleErrors(errors, missing, _why_missing(results, metric, values) if missing else "")


def population_errors(
    results: Results, metric: str, arms: Mapping[str, ArmRuns], baseline: str
) -> dict[str, tuple[float, float]]:
    """Standard error and degrees of freedom of each difference over other seeds and other examples together.

    Raises:
        InputError: If an arm lacks predictions, or runs were lost.
    """
    if results.is_table:
        raise InputError("--population: needs each run's predictions, which a table does not have")
    if lost := [name for name, arm in arms.items() if arm.lost]:
        raise InputError(f"--population: {', '.join(lost)} lost runs, and a lost run has no predictions")
    found = example_errors(results, metric, arms, baseline)
    if found.missing:
        raise InputError(f"--population: {', '.join(found.missing)}: {found.why}")
    return {name: (math.sqrt(error.over_both), error.df) for name, error in found.by_arm.items()}


def _why_missing(results: Results, metric: str, values: Mapping[tuple[str, int], np.ndarray | None]) -> str:
    if any(value is not None for value in values.values()):
        return "some predictions are missing, or the arms have other test examples"
    store = RunStore(results.folder.parent)
    if any(store.predictions_file(run).exists() for run in results.runs["run"]):
        return f"{metric} is {NOT_A_MEAN}"
    command = f"dnntrain runs evaluate {results.folder.name} --out {results.folder.parent}"
    return f"predictions are not recorded; `{command}` makes them without training"


def _per_example(store: RunStore, run: str, metric: str, part: str) -> np.ndarray | None:
    """The metric's value of each example; None if it is not a mean of such, or the predictions are not recorded."""
    predictions = store.predictions(run)
    if predictions is None:
        return None
    info = predictions.info[part]
    return metric_of(metric).per_example(predictions.outputs[part], predictions.targets[part], info)
