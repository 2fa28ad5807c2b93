"""Nothing is lost: workers that are killed, two processes on one study, records that were changed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, find_source
from dnntrain.data import cache as decoded
from dnntrain.engine import run
from dnntrain.executors.jobs import Event, Job, JobFailed, RunsFinished
from dnntrain.executors.local import LocalExecutor
from dnntrain.studies import runner
from tests.support.command import QUICK, dnntrain, error_of, succeeds
from tests.support.faults import begun, results, undisturbed, wait_for, wait_for_workers


def test_a_killed_worker_costs_nothing(tmp_path: Path) -> None:
    process = begun(tmp_path)
    os.kill(wait_for_workers(process)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert results(tmp_path) == undisturbed()


def test_a_killed_coordinator_goes_on_where_it_was(tmp_path: Path) -> None:
    process = begun(tmp_path)
    wait_for_workers(process)
    process.kill()
    process.communicate(timeout=60)
    succeeds("ablate", "long.yaml", cwd=tmp_path)
    assert results(tmp_path) == undisturbed()
    assert not [path.name for path in (tmp_path / "runs").glob(".*")]


def test_a_second_process_says_who_holds_the_study_or_helps_and_gc_waits(tmp_path: Path) -> None:
    first = begun(tmp_path, "--workers", "1")
    wait_for(lambda: all((tmp_path / "runs" / name).exists() for name in (".long.holder", "store")))
    assert f"process {first.pid}" in error_of("ablate", "long.yaml", cwd=tmp_path, code=1)
    assert "wait until it ends" in error_of("runs", "gc", "--yes", cwd=tmp_path, code=1)
    second = begun(tmp_path, "--workers", "1", "--join")
    ends = [process.communicate(timeout=200) for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), ends
    assert results(tmp_path) == undisturbed()
    # both tell the whole study, however they shared the work; each names its own command
    assert [line for line in ends[0][0].splitlines() if "elu" in line]
    assert ends[0][0] == ends[1][0].replace(" --join", "")
    assert not [path.name for path in (tmp_path / "runs").glob(".*")]


def test_runs_are_listed_checked_and_removed(tmp_path: Path) -> None:
    succeeds("train", *QUICK, "--seeds", "2", cwd=tmp_path)
    ids = [path.name for path in (tmp_path / "runs" / "store").glob("[!.]*")]
    assert all(run in succeeds("runs", "list", "--all", cwd=tmp_path) for run in ids)
    assert '"status": "finished"' in succeeds("runs", "show", ids[0], cwd=tmp_path)
    assert "2 of 2 runs are whole" in succeeds("runs", "verify", cwd=tmp_path)
    weights = tmp_path / "runs" / "store" / ids[0] / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    record = tmp_path / "runs" / "store" / ids[1] / "run.json"
    record.write_text(record.read_text().replace('"status": "finished"', '"status": "diverged"'))
    done = dnntrain("runs", "verify", cwd=tmp_path)
    assert done.returncode == 1 and "0 of 2 runs are whole" in done.stdout and done.stdout.count("changed since") == 2
    assert "0 folders" in succeeds("runs", "gc", "--yes", cwd=tmp_path)
    study = next(path.parent.name for path in (tmp_path / "runs").glob("*/study.json"))
    succeeds("runs", "rm", study, "--yes", cwd=tmp_path)
    assert "2 folders" in succeeds("runs", "gc", "--yes", cwd=tmp_path)
    assert list((tmp_path / "runs" / "store").iterdir()) == []
    assert "no study and no run" in error_of("runs", "rm", ids[0], cwd=tmp_path)
    assert "no runs are recorded" in error_of("runs", "list", "--out", "nowhere", cwd=tmp_path)


def test_an_arms_fault_costs_that_arm_only(tmp_path: Path) -> None:
    """Arms of one population, of which one asks for a figure that a regression does not have."""
    x = np.linspace(-1, 1, 120)
    np.savez(tmp_path / "line.npz", x=x[:, None], y=2.5 * x)
    good = RunSpec.parse({"data": str(tmp_path / "line.npz"), "hidden": "8", "epochs": 2})
    bad = good.changed(early_stop=2, early_stop_metric="val_acc")
    assert good.graph() == bad.graph()
    specs = tuple(arm.changed(seed=seed) for arm in (good, bad) for seed in (0, 1))
    events: list[Event] = []
    LocalExecutor(1).run([Job(specs, DataLocation(tmp_path))], events.append)
    trained = [run.spec for event in events if isinstance(event, RunsFinished) for run in event.runs]
    [failed] = [event for event in events if isinstance(event, JobFailed)]
    assert trained == [*specs[:2]] and failed.job.specs == specs[2:]
    assert "KeyError: 'val_acc'" in failed.message and "run.py:" in failed.message


def test_a_store_of_an_older_engine_is_trained_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's version is part of a run's name: the same settings on the same bytes no longer give its numbers."""
    for module in (run, runner):
        monkeypatch.setattr(module, "ENGINE_VERSION", "4")
    succeeds("train", *QUICK, cwd=tmp_path)
    monkeypatch.undo()
    succeeds("train", *QUICK, cwd=tmp_path)
    records = [json.loads(path.read_text()) for path in (tmp_path / "runs/store").glob("*/run.json")]
    assert sorted(record["engine"] for record in records) == ["4", run.ENGINE_VERSION]


def test_what_an_older_version_decoded_is_decoded_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("L", (4, 4), 40 * number + ord(name)).save(tmp_path / "images" / name / f"{number}.png")
    source, home = find_source(f"{tmp_path}/images/"), DataLocation(tmp_path / "home")
    monkeypatch.setattr(decoded, "CACHE_VERSION", decoded.CACHE_VERSION - 1)
    source.load(home)
    monkeypatch.undo()
    source.load(home)
    assert len(list((home.folder / "decoded").iterdir())) == 2
