"""How much another test set would change a difference, from what each run predicts for each example."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dnntrain.analysis.runs import ArmRuns
from dnntrain.metrics import metric_of, split_column
from dnntrain.statistics.crossed import CrossedError, crossed_error
from dnntrain.store.run_store import RunStore
from dnntrain.store.study_files import Results

MOST_RUNS = 500
"""A report reads the predictions of at most this many runs without being asked: about half a megabyte each."""

EVALUATE = "`dnntrain runs evaluate {}` makes them from the weights"


def test_set_errors(
    results: Results, metric: str, arms: Mapping[str, ArmRuns], baseline: str
) -> tuple[dict[str, CrossedError], str]:
    """The error of each arm's difference from the baseline over seeds, over examples, and over both.

    It is over the finished runs of the seeds that both have, of which there must be two or more.

    Args:
        results: The study.
        metric: The metric with its part, such as test_acc.
        arms: All arms' runs by this metric.
        baseline: The arm that the others are compared with.

    Returns:
        The errors by arm, and why arms are missing; empty if none is.

    Raises:
        InputError: If a file of predictions is damaged.
    """
    part = split_column(metric)[0]
    if part not in ("val", "test") or not hasattr(metric_of(metric), "per_example"):
        return {}, f"{metric} is not a mean over held-out examples"
    runs = results.runs[results.runs["status"] == "finished"]
    ids = {(arm, int(seed)): run for arm, seed, run in zip(runs["arm"], runs["seed"], runs["run"], strict=True)}
    store = RunStore(results.folder.parent)
    values = {key: _per_example(store, run, metric, part) for key, run in ids.items()}
    errors = {}
    for name in arms:
        seeds = [seed for seed in arms[baseline].finished if seed in arms[name].finished]
        tables = [[values.get((arm, seed)) for seed in seeds] for arm in (name, baseline)]
        shapes = {None if row is None else row.shape for table in tables for row in table}
        if name != baseline and len(seeds) > 1 and len(shapes) == 1 and None not in shapes:
            ours, theirs = (np.array(table, dtype=np.float64) for table in tables)
            errors[name] = crossed_error(ours, theirs)
    if all(value is None for value in values.values()):
        return {}, f"the runs' predictions are not recorded; {EVALUATE.format(results.name)}"
    missing = [name for name in arms if name not in errors and name != baseline]
    return (
        errors,
        f"predictions of {', '.join(missing)} are missing; {EVALUATE.format(results.name)}" if missing else "",
    )


def _per_example(store: RunStore, run: str, metric: str, part: str) -> np.ndarray | None:
    """The metric's value of each example; None if it is not a mean of such, or the predictions are not recorded."""
    predictions = store.predictions(run)
    if predictions is None:
        return None
    info = predictions.info[part]
    return metric_of(metric).per_example(predictions.outputs[part], predictions.targets[part], info)
