"""`make torture`: kill a study at random moments, start it again, and compare with one that nobody disturbed.

Every trial ends some process of a study, somewhere, in one of several ways; then the same command is run to its end.
Its results.csv (times aside) and every run's weights must be byte for byte those of the undisturbed study.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd

from tests.support.command import environment
from tests.support.faults import children

PRESET = "base: {hidden: 32, epochs: 8, train_size: 3000, batch_size: 8}\nfactors: {elu: {act: elu}}\nseeds: 3\n"
COMMAND = [sys.executable, "-m", "dnntrain", "ablate", "study.yaml", "--workers", "2", "--checkpoint-every", "1"]
Process = subprocess.Popen[bytes]
PYTHON_IS_UP = 0.1
"""Seconds after which the command can answer a signal."""


def kill_worker(process: Process) -> None:
    """SIGKILL to one worker, as when memory runs out; the coordinator lives on."""
    if workers := children(process.pid):
        kill(random.choice(workers), signal.SIGKILL)


def kill_coordinator(process: Process) -> None:
    """SIGKILL to the coordinator; the workers find out by themselves."""
    kill(process.pid, signal.SIGKILL)


def kill_all(process: Process) -> None:
    """SIGKILL to all, as when the machine goes away."""
    for each in [process.pid, *children(process.pid)]:
        kill(each, signal.SIGKILL)


def interrupt(process: Process) -> None:
    """Ctrl-C."""
    kill(process.pid, signal.SIGINT)


def interrupt_twice(process: Process) -> None:
    """Ctrl-C, and again."""
    kill(process.pid, signal.SIGINT)
    time.sleep(random.uniform(0.0, 0.3))
    kill(process.pid, signal.SIGINT)


def terminate(process: Process) -> None:
    """SIGTERM, as of a batch system that wants its machine back."""
    kill(process.pid, signal.SIGTERM)


KILLS: tuple[Callable[[Process], None], ...] = (
    kill_worker, kill_coordinator, kill_all, interrupt, interrupt_twice, terminate,
)  # fmt: skip


def kill(process: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(process, number)


def phase(folder: Path, process: Process) -> str:
    """How far the study is, as its files show it."""
    runs = folder / "runs"
    if process.poll() is not None:
        return "over"
    if (runs / "study" / "results.csv").exists():
        return "tables written"
    if list((runs / "store").glob("*/run.json")):
        return "some runs recorded"
    if list((runs / "store" / ".checkpoints").glob("*")):
        return "training, with checkpoints"
    return "training, first epoch" if children(process.pid) else "starting"


def content(folder: Path) -> dict[str, str]:
    """What must be the same whatever happened: the table without times, and every run's weights."""
    table = pd.read_csv(folder / "runs" / "study" / "results.csv", dtype=str).drop(columns="seconds")
    weights = sorted((folder / "runs" / "store").glob("*/weights.safetensors"))
    sums = {path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in weights}
    return {"results.csv": table.to_csv()} | sums


def begun(folder: Path) -> Process:
    """The study at work in the folder."""
    (folder / "study.yaml").write_text(PRESET)
    return subprocess.Popen(COMMAND, cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def caught(folder: Path, span: float) -> Process:
    """The study at some moment of its work; one that was over before is begun anew."""
    process = begun(folder)
    time.sleep(random.uniform(PYTHON_IS_UP, span))
    if process.poll() is None:
        return process
    process.communicate()
    shutil.rmtree(folder / "runs")
    return caught(folder, 0.8 * span)


def finish(folder: Path) -> str:
    """Run the study to its end; what is wrong, if anything."""
    process = begun(folder)
    _, err = process.communicate(timeout=600)
    return "" if process.returncode == 0 else f"exit code {process.returncode}: {err.decode()[-300:]}"


def trial(kills: int, span: float, expected: dict[str, str], seen: Counter[tuple[str, str]]) -> str:
    """Disturb a study some times, let it end, and compare; what is wrong, if anything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(kills):
            process = caught(folder, span)
            how = random.choice(KILLS)
            seen[how.__name__, phase(folder, process)] += 1
            how(process)
            _, err = process.communicate(timeout=600)
            if b"Traceback" in err:
                return f"{how.__name__}: {err.decode()[-400:]}"
        wrong = finish(folder) or ("" if content(folder) == expected else "other results")
        left = [path.name for path in (folder / "runs").glob(".*")]
        return wrong or (f"left behind: {left}" if left else "")


def main() -> None:
    """Run the trials, and say how often each kind of kill hit which phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as name:
        started = time.monotonic()
        if wrong := finish(Path(name)):
            sys.exit(f"the undisturbed study failed: {wrong}")
        span, expected = time.monotonic() - started, content(Path(name))
    print(f"undisturbed: {span:.1f} s; {options.trials} trials follow, seed {options.seed}", flush=True)
    seen: Counter[tuple[str, str]] = Counter()
    failures = []
    for number in range(options.trials):
        if wrong := trial(random.choice((1, 1, 2)), span, expected, seen):
            failures.append(wrong)
            print(f"trial {number}: {wrong}", flush=True)
    table = pd.Series(seen).unstack(fill_value=0)
    print(table.to_string())
    print(f"{options.trials - len(failures)} of {options.trials} studies ended as the undisturbed one")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
