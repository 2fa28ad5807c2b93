"""What a process shows of the study that it trains, and what is left of it where it is killed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from dnntrain.errors import InputError
from dnntrain.store.progress import (
    ProcessRecord,
    ProgressFile,
    RunProgress,
    has_progress,
    read_progress,
    recorded_in_words,
)
from dnntrain.store.run_store import RunStore
from dnntrain.store.study_record import ArmRecord, StudyRecord
from dnntrain.utils import locks
from tests.support.faults import wait_for
from tests.support.records import made_record

RUNS = {"base": {0: "0" * 12, 1: "1" * 12}, "elu": {0: "2" * 12, 1: "3" * 12}}
STUDY = StudyRecord(
    name="small", metric="test_acc", seeds=[0, 1], arms=[ArmRecord(name=arm, settings={"epochs": 10}) for arm in RUNS]
)


def process() -> ProcessRecord:
    return ProcessRecord.of_this_process(STUDY, RUNS, "dnntrain ablate small.yaml")


@pytest.fixture
def file(tmp_path: Path) -> Iterator[ProgressFile]:
    with ProgressFile(tmp_path / "small", process()) as file:
        yield file


def epochs(*run_epochs: tuple[str, int]) -> dict[str, RunProgress]:
    return {run: RunProgress(epoch=epoch, score=0.5) for run, epoch in run_epochs}


def test_a_file_is_there_from_the_start_and_gone_at_the_end(tmp_path: Path) -> None:
    with ProgressFile(tmp_path / "small", process()):
        progress = read_progress(tmp_path / "small")
        assert progress and progress.is_training and (len(progress.recorded), progress.planned) == (0, 4)
        assert progress.expected_end is None and progress.share == 0
    assert not (tmp_path / "small").exists()


def test_changes_are_written_within_a_second_and_not_more_often(file: ProgressFile, tmp_path: Path) -> None:
    writes = []
    for epoch in range(1, 8):
        file.update(running=epochs(("0" * 12, epoch)), epochs_trained=epoch, metric="val_acc")
        time.sleep(0.02)
        writes.append(file.path.stat().st_mtime_ns)
    assert len({*writes}) == 1
    wait_for(lambda: "val_acc" in file.path.read_text(), seconds=5)
    progress = read_progress(tmp_path / "small")
    assert progress and progress.running["0" * 12].epoch == 7 and progress.metric == "val_acc"


def test_the_expected_end_follows_from_the_pace_of_all_processes(tmp_path: Path) -> None:
    store, now = RunStore(tmp_path), datetime.now(UTC)
    store.write(made_record("3" * 12), {"w": np.zeros(2, np.float32)})
    pace = {"first_epoch": now - timedelta(seconds=8), "epochs_at_first": 1, "epochs_trained": 5}
    with ProgressFile(tmp_path / "small", process()) as one, ProgressFile(tmp_path / "small", process()) as two:
        for file, run in ((one, "0" * 12), (two, "1" * 12)):
            file.update(**pace, running=epochs((run, 5)), metric="val_acc")
            file._write()
        progress = read_progress(tmp_path / "small")
        assert progress and progress.is_training and len(progress.processes) == 2
        assert {*progress.running} == {"0" * 12, "1" * 12} and progress.recorded == {"3" * 12}
        # 40 planned epochs: 10 recorded, 5 and 5 trained; 20 are left at one a second, whenever the processes started
        assert progress.share == 0.5 and progress.expected_end
        assert abs(progress.expected_end - now - timedelta(seconds=20)) < timedelta(seconds=2)


def test_what_a_killed_process_left_is_found_and_removed_by_the_next(tmp_path: Path) -> None:
    with ProgressFile(tmp_path / "small", process()) as killed:
        killed.keep = True  # as if it had no time to remove its file
        killed.update(epochs_trained=3, running=epochs(("0" * 12, 3)))
    progress = read_progress(tmp_path / "small")
    assert progress and not progress.is_training and progress.running["0" * 12].epoch == 3
    assert progress.processes[0].command == "dnntrain ablate small.yaml" and progress.expected_end is None
    with ProgressFile(tmp_path / "small", process()) as file:
        assert [path.name for path in file.path.parent.glob("*.json")] == [file.path.name]
    assert not has_progress(tmp_path / "small")


def test_a_folder_that_is_removed_meanwhile_stops_nothing(tmp_path: Path) -> None:
    with ProgressFile(tmp_path / "small", process()) as file:
        file.path.unlink()
        file.lock.release()
        for path in [*file.path.parent.iterdir(), file.path.parent, tmp_path / "small"]:
            path.unlink() if path.is_file() else path.rmdir()
        file.update(epochs_trained=1)
    assert not (tmp_path / "small").exists()


def test_without_locks_a_process_counts_until_it_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "acquire_if_possible", lambda lock: False)
    with ProgressFile(tmp_path / "small", process()) as file:
        progress = read_progress(tmp_path / "small")
        assert progress and progress.is_training
        content = json.loads(file.path.read_text())
        content["updated"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        file.path.write_text(json.dumps(content))
        progress = read_progress(tmp_path / "small")
        assert progress and not progress.is_training


def test_recorded_runs_in_words() -> None:
    assert [recorded_in_words(n, 1) for n in (0, 1)] == ["the run is not recorded yet", "the run is recorded"]
    assert [recorded_in_words(n, 4)[:15] for n in (1, 2)] == ["1 of 4 runs is ", "2 of 4 runs are"]


def test_a_damaged_file_is_named(file: ProgressFile, tmp_path: Path) -> None:
    file.path.write_text('{"pid": 1}')
    with pytest.raises(InputError, match="json: damaged; remove it once nobody trains this study"):
        read_progress(tmp_path / "small")
