"""Studies that take some seconds, begun as processes of their own, to be killed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd

from tests.support import own_networks
from tests.support.command import environment, succeeds

PRESET = "base: {hidden: 32, epochs: 9, train_size: 2000, batch_size: 8}\nfactors: {elu: {act: elu}}\nseeds: 4\n"
RUNS = 8
WORKERS = 2

OWN_NETWORKS = """
base: {net: "module:own_networks.py:ConvNet:stride=4", train_size: 203, val: 100, epochs: 4, batch_size: 20, lr: 0.02}
factors:
  gelu: {act: gelu, dropout: 0.3}
  adam: {optimizer: adam, schedule: cosine}
  lstm: {net: "module:own_networks.py:RowReader", act: elu, dropout: 0.3, optimizer: adam, schedule: cosine}
  cnn: {net: "cnn:channels=4", hidden: 8, dropout: 0.3}
seeds: 1
"""
"""Modules as users write them, and a network of dnntrain's own."""
OWN_RUNS = 5


def furnish(folder: Path, preset: str) -> None:
    """Put the preset and the networks that it may name into a folder."""
    (folder / "long.yaml").write_text(preset)
    shutil.copy(own_networks.__file__, folder)


def begun(folder: Path, *words: str, preset: str = PRESET) -> subprocess.Popen[str]:
    """The study, at work in this folder."""
    furnish(folder, preset)
    command = [sys.executable, "-m", "dnntrain", "ablate", "long.yaml", "--workers", str(WORKERS), *words]
    return subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)  # fmt: skip


def results(folder: Path, study: str = "long") -> str:
    """The study's results.csv without the times."""
    return pd.read_csv(folder / "runs" / study / "results.csv", dtype=str).drop(columns=["seconds"]).to_csv()


def recorded(folder: Path, study: str = "long") -> dict[str, str | bytes]:
    """What must not depend on where the study's runs were trained: its results, and the files of each run."""
    store = folder / "runs" / "store"
    files = [*store.glob("*/weights.safetensors"), *store.glob("*/predictions.npz"), *store.glob(".targets/*.npy")]
    return {"results": results(folder, study), **{str(path.relative_to(store)): path.read_bytes() for path in files}}


@cache
def undisturbed() -> str:
    """The results of the study when nobody kills it."""
    return str(all_undisturbed()["results"])


@cache
def all_undisturbed(preset: str = PRESET) -> dict[str, str | bytes]:
    """What is recorded of a study when nobody kills it; this process trains it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        furnish(folder, preset)
        succeeds("ablate", "long.yaml", cwd=folder)
        return recorded(folder)


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
