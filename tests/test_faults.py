"""Nothing is lost: workers that are killed, two processes on one study, records that were changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.command import QUICK, dnntrain, environment, error_of, succeeds

PRESET = "base: {hidden: 32, epochs: 12, train_size: 4000, batch_size: 8}\nfactors: {elu: {act: elu}}\nseeds: 4\n"
TIMES = ["seconds"]


def results(folder: Path) -> str:
    return pd.read_csv(folder / "results.csv").drop(columns=TIMES).to_csv()


def children(process: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(process), "-f", "spawn_main"], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def begun(folder: Path) -> subprocess.Popen[str]:
    (folder / "long.yaml").write_text(PRESET)
    command = [sys.executable, "-m", "dnntrain", "ablate", "long.yaml", "--workers", "2"]
    return subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)  # fmt: skip


def wait_for_workers(process: subprocess.Popen[str]) -> list[int]:
    for _ in range(400):
        if len(workers := children(process.pid)) == 2:
            time.sleep(2.0)  # in the midst of training
            return workers
        time.sleep(0.05)
    raise AssertionError("no workers")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "long.yaml").write_text(PRESET)
    succeeds("ablate", "long.yaml", cwd=folder)
    return results(folder / "runs" / "long")


def test_a_killed_worker_costs_nothing(tmp_path: Path, undisturbed: str) -> None:
    process = begun(tmp_path)
    os.kill(wait_for_workers(process)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert results(tmp_path / "runs" / "long") == undisturbed


def test_a_killed_coordinator_goes_on_where_it_was(tmp_path: Path, undisturbed: str) -> None:
    process = begun(tmp_path)
    wait_for_workers(process)
    process.kill()
    process.communicate(timeout=60)
    succeeds("ablate", "long.yaml", cwd=tmp_path)
    assert results(tmp_path / "runs" / "long") == undisturbed
    assert not [path.name for path in (tmp_path / "runs").glob(".*")]


def test_a_second_process_on_the_study_says_who_holds_it(tmp_path: Path) -> None:
    process = begun(tmp_path)
    try:
        wait_for_workers(process)
        shown = error_of("ablate", "long.yaml", cwd=tmp_path, code=1)
        assert f"process {process.pid}" in shown
    finally:
        process.kill()
        process.communicate(timeout=60)


def test_runs_are_listed_checked_and_removed(tmp_path: Path) -> None:
    succeeds("train", *QUICK, "--seeds", "2", cwd=tmp_path)
    ids = [path.name for path in (tmp_path / "runs" / "store").iterdir()]
    assert all(run in succeeds("runs", "list", cwd=tmp_path) for run in ids)
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
