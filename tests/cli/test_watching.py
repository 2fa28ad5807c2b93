"""A study that is trained in the background, and how it looks meanwhile: report, watch and runs list."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import dnntrain as dt
from dnntrain.cli import watch
from dnntrain.config.spec import RunSpec
from dnntrain.executors.in_process import InProcessExecutor
from dnntrain.executors.jobs import EpochEnd
from dnntrain.store import progress
from dnntrain.store.progress import ProcessRecord, ProgressFile, RunProgress, has_progress, read_progress
from dnntrain.store.run_store import RunStore
from dnntrain.store.study_record import ArmRecord, StudyRecord
from dnntrain.studies.callbacks import StudyCallback
from dnntrain.studies.runner import StudyInterrupted, StudyRunner
from dnntrain.studies.study import Arm, Study
from tests.support.command import dnntrain, environment, error_of, succeeds
from tests.support.faults import wait_for
from tests.support.inline import answer

NETWORK = """
import pathlib, time
from torch import nn

class Slow(nn.Sequential):
    '''A network that takes its time, without using a processor, for as long as a file is missing.'''

    def __init__(self, num_classes, width=4):
        super().__init__(nn.Flatten(), nn.LazyLinear(width), nn.ReLU(), nn.Linear(width, num_classes))

    def forward(self, x):
        if not pathlib.Path("fast").exists():
            time.sleep(2 / self[3].in_features)
        return super().forward(x)
"""
PRESET = """
base: {net: "module:slow.py:Slow", train_size: 80, val: 40, batch_size: 40, epochs: 6, lr: 0.1}
factors: {wide: {net: "module:slow.py:Slow:width=40"}}
seeds: 1
"""
"""Two runs; the wide one is trained first, and takes a tenth of the time."""
STUDY = Path("runs", "long")


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    """A command in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "dnntrain", *words], cwd=folder, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which a test run in the background ignores
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "slow.py").write_text(NETWORK)
    (tmp_path / "long.yaml").write_text(PRESET)
    return tmp_path


@pytest.fixture
def training(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The study in training, from the moment on that it shows itself."""
    process = started(folder, "ablate", "long.yaml", "--workers", "1")
    try:
        wait_for(lambda: has_progress(folder / STUDY))
        yield process
    finally:
        process.kill()
        process.communicate()


def recorded(folder: Path) -> int:
    progress = read_progress(folder / STUDY)
    return len(progress.recorded) if progress else 0


def test_a_study_is_watched_killed_and_resumed(folder: Path, training: subprocess.Popen[str]) -> None:
    watching = started(folder, "watch", str(STUDY))
    before_any_run(folder, training.pid)
    wait_for(lambda: recorded(folder) == 1 and bool(running(folder)))
    with_one_arm(folder, training.pid)
    impatient = started(folder, "report", "--follow", str(STUDY))
    wait_for(lambda: impatient.stderr is not None and impatient.stderr.readline() != "")
    impatient.send_signal(signal.SIGINT)
    out, err = impatient.communicate(timeout=60)
    assert (impatient.returncode, out) == (130, "") and err.endswith("stopped watching; the studies go on\n")
    assert training.poll() is None

    training.kill()
    training.wait()
    out, err = watching.communicate(timeout=60)
    assert watching.returncode == 0 and "Interrupted at" in out, err
    assert [line for line in err.splitlines() if line.startswith("long: ") and "1 of 2 runs is recorded" in line]
    after_the_kill(folder)

    (folder / "fast").touch()
    printed = succeeds("ablate", "long.yaml", cwd=folder)
    assert not has_progress(folder / STUDY) and not list((folder / "runs").glob(".*"))
    assert "1/1" in printed and "Interrupted" not in printed
    assert succeeds("report", STUDY, cwd=folder) == succeeds("watch", STUDY, cwd=folder)
    assert "verdict" in succeeds("report", STUDY, cwd=folder)


def running(folder: Path) -> list[str]:
    """The ids of the runs that `runs list` shows as running."""
    shown = json.loads(succeeds("runs", "list", "--status", "running", "--json", cwd=folder))
    return [row["run"] for row in shown["runs"]]


def before_any_run(folder: Path, pid: int) -> None:
    shown = succeeds("report", "runs", cwd=folder)
    assert "In training since" in shown and f"by process {pid} on " in shown
    assert "0 of 2 runs are recorded" in shown and "verdict" not in shown
    [line] = succeeds("runs", "list", cwd=folder).splitlines()[1:]
    assert line.split("\t")[:4] == ["long", "2", "0/2", "running"] and f"{pid} on " in line
    assert "is being trained by process" in error_of("runs", "rm", "long", "--yes", cwd=folder, code=1)
    assert "not complete yet" in error_of("compare", STUDY, cwd=folder)


def with_one_arm(folder: Path, pid: int) -> None:
    shown = succeeds("report", STUDY, cwd=folder)
    assert "1 of 2 runs is recorded, 1 is training" in shown and "Expected end: " in shown
    assert "Verdicts and intervals come when all planned runs are recorded." in shown
    assert "[95 %]" not in shown and "verdict" not in shown and "Δ" not in shown
    done = dnntrain("report", STUDY, "--json", "--require", "wide >= baseline - 50pp", cwd=folder)
    content = json.loads(done.stdout)
    assert done.returncode == 3 and content["requirements"][0]["answer"] == "inconclusive"
    [study] = content["studies"]
    assert study["progress"]["state"] == "training" and study["progress"]["processes"][0]["pid"] == pid
    assert [(arm["recorded"], arm["training"]) for arm in study["progress"]["arms"]] == [(0, 1), (1, 0)]
    assert [(arm["finished"], arm["difference"]) for arm in study["arms"]] == [(0, None), (1, None)]
    loaded = dt.load(folder / STUDY)
    assert len(loaded.runs) == 1 and not loaded.verdicts and "1/1" in str(loaded)
    assert len(loaded.history) == 6
    rows = [line.split("\t") for line in succeeds("runs", "list", "--study", "long", cwd=folder).splitlines()[1:]]
    assert [(row[2], row[4]) for row in rows] == [("wide", "finished"), ("baseline", "running")]
    assert rows[-1][-1].startswith(f"{pid} on ") and "/6" in rows[-1][-1]


def after_the_kill(folder: Path) -> None:
    shown = succeeds("report", STUDY, cwd=folder)
    assert "1 of 2 runs is recorded." in shown
    assert "To continue: dnntrain ablate long.yaml --workers 1" in shown.replace("\n", " ")
    assert shown == succeeds("watch", STUDY, cwd=folder)
    assert "\tinterrupted\t" in succeeds("runs", "list", cwd=folder)
    assert "0 folders" in succeeds("runs", "gc", "--yes", cwd=folder)  # they are still wanted
    run = json.loads(succeeds("runs", "list", "--study", "long", "--json", cwd=folder))["runs"][0]["run"]
    assert run in succeeds("runs", "show", run[:6], cwd=folder)


def test_an_interrupted_study_says_how_it_goes_on(tmp_path: Path) -> None:
    spec = RunSpec(hidden=(8,), epochs=4, train_size=200, val=100)
    study, store = Study("short", (Arm("only", spec),), (0,)), RunStore(tmp_path / "runs")

    class Stops(StudyCallback):
        def progress(self, event: EpochEnd) -> None:
            executor.stop()

    executor = InProcessExecutor()
    with pytest.raises(StudyInterrupted):
        StudyRunner(study, store, device="cpu").run(executor, Stops())
    shown = succeeds("report", "runs", cwd=tmp_path)
    assert "the run is not recorded yet. The same call from Python continues it" in shown.replace("\n", " ")
    assert not dt.load(tmp_path / "runs" / "short").runs.size
    StudyRunner(study, store, device="cpu").run(InProcessExecutor())
    assert not has_progress(tmp_path / "runs" / "short") and "1/1" in succeeds("report", "runs", cwd=tmp_path)


def test_progress_never_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_WRITES", 0.0)
    spec = RunSpec(hidden=(8,), epochs=2, train_size=200, val=100)
    store, shares = RunStore(tmp_path / "runs"), []

    class Looks(StudyCallback):
        def progress(self, event: EpochEnd) -> None:
            time.sleep(0.2)  # a thread writes it
            if shown := read_progress(tmp_path / "runs" / "steady"):
                shares.append(shown.share)

    StudyRunner(Study("steady", (Arm("only", spec),), (0, 1)), store, device="cpu").run(InProcessExecutor(), Looks())
    assert shares[-1] == 1 and shares == sorted(shares)  # between the last epoch and the records, too


def test_a_process_that_helps_is_shown_as_well(tmp_path: Path) -> None:
    spec = RunSpec(hidden=(8,), epochs=4, train_size=200, val=100)
    store, seen = RunStore(tmp_path / "runs"), []
    study = Study("shared", (Arm("only", spec), Arm("elu", spec.changed(act="elu"))), (0,))
    executors = {name: InProcessExecutor() for name in ("first", "second")}

    class Looks(StudyCallback):
        def progress(self, event: EpochEnd) -> None:
            if not executors["second"].stopping:
                wait_for(lambda: len(running(tmp_path)) == 2)  # what others see is at most a second old
                seen.append(succeeds("report", "runs", cwd=tmp_path))
            executors["second"].stop()

    class Helps(StudyCallback):
        def progress(self, event: EpochEnd) -> None:
            if not seen:
                with pytest.raises(StudyInterrupted):
                    StudyRunner(study, store, device="cpu").run(executors["second"], Looks(), join=True)
                left = read_progress(tmp_path / "runs" / "shared")
                assert left and left.is_training and len(left.processes) == 1

    StudyRunner(study, store, device="cpu").run(executors["first"], Helps())
    assert "by processes " in seen[0] and "0 of 2 runs are recorded, 2 are training" in seen[0]
    assert not has_progress(tmp_path / "runs" / "shared")


def test_a_terminal_shows_a_table_while_a_study_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms = [ArmRecord(name=arm, settings={"epochs": 10}) for arm in ("base", "elu")]
    study = StudyRecord(name="small", metric="test_acc", seeds=[0], arms=arms)
    runs = {"base": {0: "0" * 12}, "elu": {0: "1" * 12}}
    with ExitStack() as training:
        file = training.enter_context(
            ProgressFile(tmp_path / "runs" / "small", ProcessRecord.of_this_process(study, runs))
        )
        file.keep = True
        pace = {"first_epoch": datetime.now(UTC) - timedelta(seconds=9), "epochs_at_first": 1, "epochs_trained": 4}
        file.update(running={"1" * 12: RunProgress(epoch=4, score=0.875)}, **pace, metric="val_acc")
        wait_for(lambda: "val_acc" in file.path.read_text())
        monkeypatch.setattr(watch.time, "sleep", lambda seconds: training.close())  # it is killed after the first look
        done = answer(["watch", "runs"], tmp_path, width=80)
    assert done.code == 0 and "Interrupted at" in done.out
    assert "small: 20%" in done.err and "4/10" in done.err and "87.5%" in done.err and "Expected end" in done.err


def test_watching_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert "runs/long: no such folder" in error_of("watch", STUDY, cwd=tmp_path)
    (tmp_path / "runs").mkdir()
    assert "runs: no study in it" in error_of("report", "--follow", "runs", cwd=tmp_path)
