"""Figures of single runs that reports have no column for, as tables that `dnntrain compare` judges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from dnntrain.analysis.sensitivity import factors_of
from dnntrain.store.run_store import RunStore
from tests.bench.lecture.declaration import Table

COLUMNS = {"sensitivity": ("factor", "slope", "weights"), "averaged predictions": ("test_loss", "test_acc", "test_ece")}
"""The figures of each kind of table."""


def write_table(name: str, table: Table, runs: Path) -> None:
    """Write a table of figures as CSV.

    Args:
        name: The table's name, and its file's.
        table: What it has.
        runs: The folder of recorded studies, in which it is written.
    """
    rows = pd.DataFrame(MAKERS[table.figures](runs / table.of), columns=["arm", "seed", *COLUMNS[table.figures]])
    rows.to_csv(runs / f"{name}.csv", index=False)


def sensitivities(folder: Path) -> Iterator[dict[str, Any]]:
    """How the gradient of the net inputs passes down each run's hidden layers, before the first step.

    Yields:
        `factor`, `slope` and `weights` of `analysis.sensitivity.LayerFactor`. By equation 8, factor ≈ slope · weights.
    """
    store = RunStore(folder.parent)
    runs = pd.read_csv(folder / "results.csv", dtype={"arm": str, "run": str}, keep_default_na=False)
    for arm, seed, run in zip(runs["arm"], runs["seed"], runs["run"], strict=True):
        start = factors_of([store.read(run)]).start
        yield {"arm": arm, "seed": seed, "factor": start.factor, "slope": start.slope, "weights": start.weights}


def averaged_predictions(folder: Path) -> Iterator[dict[str, Any]]:
    """The test figures of each arm with dropout, with dropout off and by its mean over passes with dropout on.

    Yields:
        The metrics of an arm's run, and those of its Monte Carlo predictions as an arm of their own.
    """
    store = RunStore(folder.parent)
    runs = pd.read_csv(folder / "results.csv", dtype={"arm": str, "run": str}, keep_default_na=False)
    for arm, seed, run in zip(runs["arm"], runs["seed"], runs["run"], strict=True):
        samples = store.samples(run)
        for name, passes in ((arm, None), (f"{arm}, Monte Carlo", max(samples))) if samples else ():
            if predictions := store.predictions(run, passes):
                figures = {column: predictions.metric(column) for column in COLUMNS["averaged predictions"]}
                yield {"arm": name, "seed": seed} | figures


MAKERS: dict[str, Callable[[Path], Iterator[dict[str, Any]]]] = {
    "sensitivity": sensitivities,
    "averaged predictions": averaged_predictions,
}
