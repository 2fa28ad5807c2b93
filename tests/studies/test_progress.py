"""What is shown while a study trains."""

from __future__ import annotations

import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.executors.jobs import EpochEnd, Job
from dnntrain.metrics import metric_of
from dnntrain.store.records import LayerNames
from dnntrain.studies.progress import ProgressDisplay, format_score
from dnntrain.studies.study import Arm, Study
from tests.support.command import dnntrain

PRESET = """
base: {data: table.csv, target: y, hidden: 4, epochs: 3}
factors: {elu: {act: elu}}
metric: val_loss
seeds: 1
"""


def test_a_study_shows_the_metric_that_judges_it_or_the_score_of_its_task(tmp_path: Path) -> None:
    rows = "".join(f"{i / 7},{i % 5},{i / 3 + i % 5}\n" for i in range(200))
    (tmp_path / "table.csv").write_text(f"a,b,y\n{rows}")
    (tmp_path / "small.yaml").write_text(PRESET)
    first = dnntrain("ablate", "small.yaml", "--workers", 1, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "elu 100%, validation loss " in first.stderr and "R²" not in first.stderr
    more = dnntrain("ablate", "small.yaml", "--workers", 1, "--seeds", 2, cwd=tmp_path)  # half of it is recorded
    assert "elu 100%, validation loss " in more.stderr and "2 of 4 runs are recorded already" in more.stderr
    assert "elu 33%" in more.stderr  # of what is left to do


def epoch_end(job: Job, epoch: int, finished: bool = False, **row: float) -> EpochEnd:
    runs = range(len(job.specs))
    return EpochEnd(
        job, dict.fromkeys(runs, epoch), "val_acc", dict.fromkeys(runs, 0.5), {run: [row] for run in runs},
        LayerNames(), frozenset(runs if finished else ()),
    )  # fmt: skip


def test_the_time_left_follows_from_the_pace_since_the_first_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    study = Study("s", (Arm("one", RunSpec.parse({"data": "fashion-mini", "epochs": 50})),), (0, 1), metric="test_loss")
    display = ProgressDisplay(Console(file=StringIO()))
    display.start(study, {}, {spec: str(spec.seed) for _, spec in study.runs()})
    job = Job(tuple(spec for _, spec in study.runs()), DataLocation())
    assert display.remaining == "" and "starting" in str(display.table().title)
    clock = 120.0  # the start and the first epoch take 20 s, each further epoch 1 s
    for epoch in range(1, 11):
        display.progress(epoch_end(job, epoch, val_acc=0.5, val_loss=1.5))
        assert display.remaining == ("" if epoch < 3 else f"{50 - epoch} s left")
        clock += 0 if epoch == 10 else 1
    assert display.table().title == "s: 20%, 40 s left" and display.score == metric_of("val_loss")
    display.progress(epoch_end(job, 11, finished=True, val_acc=0.5))  # both stop early
    assert display.table().title == "s: 100%" and display.score == metric_of("val_acc")


def test_work_from_before_counts_neither_in_the_share_nor_in_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    study = Study("s", (Arm("one", RunSpec.parse({"data": "fashion-mini", "epochs": 50})),), (0,))
    display = ProgressDisplay(Console(file=StringIO()))
    display.start(study, {}, {spec: str(spec.seed) for _, spec in study.runs()})
    job = Job(tuple(spec for _, spec in study.runs()), DataLocation())
    for epoch in range(41, 46):  # from a checkpoint of epoch 40
        display.progress(epoch_end(job, epoch, val_acc=0.5))
        clock += 0 if epoch == 45 else 1
    assert display.table().title == "s: 50%, 5 s left"


def test_words_for_scores() -> None:
    assert format_score(metric_of("val_acc"), 0.871) == "87.1%" and format_score(metric_of("val_r2"), 0.61) == "0.610"
    assert format_score(metric_of("val_rmse"), 54321.9) == "54,322"
