"""Figures of single runs that reports have no column for, as tables that `dnntrain compare` judges."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from dnntrain.analysis.sensitivity import factors_of
from dnntrain.store.run_store import RunStore
from tests.bench.lecture.commands import REQUIREMENTS_ANSWERED, StudyRuns, dnntrain
from tests.bench.lecture.declaration import Reading, Table
from tests.bench.lecture.judging import JudgedReading, judge_reading


def judge_table(reading: Reading, table: Table, studies: StudyRuns, commands: tuple[str, ...]) -> JudgedReading:
    """Judge a reading by a table of figures, which is written next to the study.

    Args:
        reading: The reading.
        table: The table.
        studies: The recorded studies.
        commands: What made the study.
    """
    folder = studies.runs / table.of
    rows = pd.DataFrame(MAKERS[table.figures](folder))
    path = folder.with_name(f"{reading.study}.csv")
    rows.to_csv(path, index=False)
    values = [f"--value={column}:{DIRECTION}" for column in rows.columns.drop(["arm", "seed"])]
    requirements = [f"--require={text}" for text in reading.require]
    options = ["compare", str(path), "--arm=arm", "--seed=seed", *values, *requirements]
    answers = json.loads(dnntrain([*options, "--json"], REQUIREMENTS_ANSWERED))["requirements"]
    return judge_reading(reading, answers, (*commands, shlex.join(options)))


DIRECTION = "min"
"""Requirements name the direction by their signs; the tables' own verdicts are not used."""


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


def times_to_target(folder: Path) -> Iterator[dict[str, Any]]:
    """When each run reaches the validation accuracy that the study's baseline ends with, on average.

    Yields:
        `epochs` until then, and the `seconds` of training that they take, by the times that `dnntrain runs time`
        measured. A run that never gets there counts as one epoch more than it trained.
    """
    baseline = json.loads((folder / "study.json").read_text(encoding="utf-8"))["baseline"]
    times = json.loads((folder / "timing.json").read_text(encoding="utf-8"))["arms"]
    history = pd.read_csv(folder / "history.csv", dtype={"arm": str}, keep_default_na=False)
    final = history.sort_values("epoch").groupby(["arm", "seed"]).tail(1)
    target = final.loc[final["arm"] == baseline, "val_acc"].mean()
    for (arm, seed), run in history.groupby(["arm", "seed"]):
        reached = run.loc[run["val_acc"] >= target, "epoch"]
        epochs = int(reached.min()) if len(reached) else int(run["epoch"].max()) + 1
        own = times[str(arm)]
        epoch_seconds = pd.Series(own["step"]).median() * own["steps_per_epoch"]
        yield {"arm": arm, "seed": seed, "epochs": epochs, "seconds": epochs * epoch_seconds}


MAKERS: dict[str, Callable[[Path], Iterator[dict[str, Any]]]] = {
    "sensitivity": sensitivities,
    "time to target": times_to_target,
}
