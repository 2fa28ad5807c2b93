"""A study that takes some seconds, begun as a process of its own, to be killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd

from tests.support.command import environment, succeeds

PRESET = "base: {hidden: 32, epochs: 9, train_size: 3500, batch_size: 8}\nfactors: {elu: {act: elu}}\nseeds: 4\n"
RUNS = 8
WORKERS = 2


def begun(folder: Path, *words: str) -> subprocess.Popen[str]:
    """The study, at work in this folder."""
    (folder / "long.yaml").write_text(PRESET)
    command = [sys.executable, "-m", "dnntrain", "ablate", "long.yaml", "--workers", str(WORKERS), *words]
    return subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)  # fmt: skip


def results(folder: Path) -> str:
    """The study's results.csv without the times."""
    return pd.read_csv(folder / "runs" / "long" / "results.csv", dtype=str).drop(columns=["seconds"]).to_csv()


@cache
def undisturbed() -> str:
    """The results of the study when nobody kills it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "long.yaml").write_text(PRESET)
        succeeds("ablate", "long.yaml", cwd=Path(folder), process=True)
        return results(Path(folder))


def children(process: int) -> list[int]:
    """The worker processes of a coordinator."""
    found = subprocess.run(
        ["pgrep", "-P", str(process), "-f", "dnntrain.executors.worker"], capture_output=True, text=True
    )
    return [int(line) for line in found.stdout.split()]


def wait_for(condition: Callable[[], bool], seconds: float = 100) -> None:
    """Until the condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def wait_for_workers(process: subprocess.Popen[str]) -> list[int]:
    """Its workers, a moment after all have begun."""
    wait_for(lambda: len(children(process.pid)) == WORKERS)
    time.sleep(2.0)  # in the midst of training
    return children(process.pid)
