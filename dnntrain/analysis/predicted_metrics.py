"""Metrics that a study's runs did not record, computed from their predictions without training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from dnntrain.metrics import HELD_OUT, METRICS, metric_columns, metric_of, split_column
from dnntrain.store.predictions import Predictions
from dnntrain.store.provenance import datasets_of
from dnntrain.store.run_columns import is_empty
from dnntrain.store.run_store import RunStore
from dnntrain.store.study_files import Results, mean_constants


def with_metric(results: Results, column: str) -> Results:
    """The study with a metric's columns of both held-out parts, where its runs did not record them.

    The record's `constants` get what a network that ignores its inputs would score.

    Args:
        results: The study.
        column: The metric with its part, such as test_macro_f1.

    Returns:
        The same study if it has all values, or if no value can be computed: see `no_metric`.

    Raises:
        InputError: If a file of predictions is damaged.
    """
    part, name = split_column(column)
    runs, finished = results.runs, results.runs.where("status", "finished")
    is_recorded = column in runs and not any(map(is_empty, finished[column]))
    if is_recorded or part not in HELD_OUT or not _has_task(results, METRICS[name].tasks):
        return results
    columns = [f"{held_out}_{name}" for held_out in HELD_OUT]
    values = {each: [*runs[each]] if each in runs else [math.nan] * len(runs) for each in columns}
    constants: dict[str, list[dict[str, float]]] = {}
    n_missing = 0
    for row, (arm, predictions) in enumerate(zip(runs["arm"], predictions_of(results), strict=True)):
        n_missing += runs["status"][row] == "finished" and predictions is None
        if predictions is not None:
            for each in columns:
                values[each][row] = predictions.metric(each) if math.isnan(values[each][row]) else values[each][row]
            of_run = {each: predictions.constant(each) for each in columns}
            constants.setdefault(arm, []).append({key: value for key, value in of_run.items() if math.isfinite(value)})
    if all(map(math.isnan, values[column])):
        return results
    known = results.record.constants
    by_arm = {arm: {**known.get(arm, {}), **of_arm} for arm, of_arm in mean_constants(constants).items()}
    notes = [f"{n_missing} of {len(runs)} runs have no predictions: {remedy(results)}."] if n_missing else []
    return replace(
        results,
        runs=runs.with_columns(values),
        record=results.record.model_copy(update={"constants": {**known, **by_arm}}),
        notes=(*results.notes, *notes),
    )


def no_metric(results: Results, column: str) -> str:
    """The error for a metric that a study lacks, and that its predictions do not give either."""
    part, _ = split_column(column)
    if part in HELD_OUT and _has_task(results, metric_of(column).tasks):
        found = [predictions for predictions in predictions_of(results) if predictions is not None]
        if not found:
            return f"{results.folder}: {column} is computed from predictions, and none are recorded; {remedy(results)}"
        if not all(predictions.is_complete for predictions in found):
            why = "the predictions of an older version lack what it needs"
            return f"{results.folder}: {column} is not recorded, and {why}; {remedy(results)}"
        needs = metric_of(column).needs
        return f"{results.folder}: {column} is not defined for these data{needs and f': it needs {needs}'}"
    columns = results.runs.recorded()
    known = [name for name in metric_columns() if name in columns or _is_computed(results, name)]
    return f"{results.folder} has no metric {column}; it has {', '.join(known)}"


def _is_computed(results: Results, column: str) -> bool:
    """Whether a metric is one that reports compute from predictions, for the study's task."""
    metric = metric_of(column)
    return not metric.recorded and _has_task(results, metric.tasks)


def _has_task(results: Results, tasks: tuple[str, ...]) -> bool:
    """Whether dnntrain trained the study, and on data of one of these tasks."""
    return not results.is_table and any(data.task in tasks for data in datasets_of(results.record))


def predictions_of(results: Results) -> Iterator[Predictions | None]:
    """The predictions of each run in the order of the table; None for a run that did not finish or has none."""
    store = RunStore(results.folder.parent)
    for run, status in results.runs.rows("run", "status"):
        yield store.predictions(run) if status == "finished" else None


def remedy(results: Results) -> str:
    """How predictions of a study's runs are made, as part of a message."""
    command = f"dnntrain runs evaluate {results.folder.name} --out {results.folder.parent}"
    return f"`{command}` makes them without training"
