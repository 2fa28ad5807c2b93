"""This machine: its cores, how fast it multiplies, and processes that are started at once and watched."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.bench.peers.peer import peak_memory

HERE = Path(__file__).parent
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
WATCH_EVERY = 0.1
"""Seconds between two looks at the memory; what is read is a peak, so only the last moments can be missed."""


class Failure(Exception):
    """A process that was to be timed ended with an error."""


@dataclass(frozen=True)
class Ended:
    """Processes that ran at once."""

    outputs: list[str]
    seconds: float
    """From the start of the first to the end of the last."""
    peak_memory: int | None
    """The sum of the peaks of all processes and of all that they started; None where the system does not tell."""
    others: float | None
    """The share of the cores' time that processes of others took meanwhile; None where the system does not tell."""


def cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def run(command: Sequence[str], environment: Mapping[str, str], on: Sequence[int | None] = (None,)) -> Ended:
    """Run a command, once for each entry of `on` and all at once: on that core, or wherever it likes.

    Raises Failure with the last line of its errors where one fails.
    """
    started, others_before = time.perf_counter(), others_time()
    with ExitStack() as stack:
        files = [[stack.enter_context(tempfile.TemporaryFile("w+")) for _ in ("out", "err")] for _ in on]
        processes = [start(command, environment, core, *pair) for core, pair in zip(on, files, strict=True)]
        memory = watch(processes)
        seconds = time.perf_counter() - started
        texts = [[written(file) for file in pair] for pair in files]
    for process, (_, errors) in zip(processes, texts, strict=True):
        if process.returncode:
            raise Failure((errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1])
    others_after = others_time()
    known = others_before is not None and others_after is not None
    others = max(0.0, others_after - others_before) / (seconds * all_cores()) if known else None
    return Ended([output for output, _ in texts], seconds, memory, others)


def start(
    command: Sequence[str], environment: Mapping[str, str], core: int | None, out: IO[str], err: IO[str]
) -> subprocess.Popen[str]:
    """Start one process. Thread pools are made as large as the cores they may use, so a core makes one thread."""
    pinned = core is not None and hasattr(os, "sched_setaffinity")
    pin = (lambda: os.sched_setaffinity(0, {core})) if pinned else None
    variables = {**os.environ, **({} if core is None else ONE_THREAD), **environment}
    return subprocess.Popen(command, env=variables, stdout=out, stderr=err, preexec_fn=pin, text=True)


def watch(processes: Sequence[subprocess.Popen[str]]) -> int | None:
    """Wait for the processes to end; the sum of the peaks of their memory and of their descendants'."""
    peaks: dict[int, int] = {}
    while any(process.poll() is None for process in processes):
        for pid in descendants({process.pid for process in processes}):
            peaks[pid] = max(peaks.get(pid, 0), peak_memory(pid) or 0)
        time.sleep(WATCH_EVERY)
    return sum(peaks.values()) or None


def descendants(roots: set[int]) -> set[int]:
    """The processes and all that descend from them."""
    parents = dict(filter(None, map(parent, Path("/proc").glob("[0-9]*/stat"))))
    found, newest = set(roots), set(roots)
    while newest:
        newest = {pid for pid, its_parent in parents.items() if its_parent in newest} - found
        found |= newest
    return found


def parent(stat: Path) -> tuple[int, int] | None:
    """A process and its parent, from /proc/PID/stat; None if it has just ended."""
    try:
        # the name, in brackets, may hold anything
        return int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def others_time() -> float | None:
    """Seconds that all cores have worked so far for others than this process and its children that have ended."""
    try:
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    except OSError:
        return None
    ours = sum(os.times()[:4])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK") - ours


def all_cores() -> int:
    """The cores of the machine, of which others may use all."""
    return os.cpu_count() or 1


def written(file: IO[str]) -> str:
    """What a process wrote."""
    file.seek(0)
    return file.read()


def matmul_rate() -> float:
    """float32 operations a second of a matmul of 512 × 512, one thread a core and all cores at once: their sum."""
    ended = run([sys.executable, str(HERE / "matmul_rate.py")], {}, cores())
    return sum(map(float, ended.outputs))


def description() -> dict[str, Any]:
    """What the figures were measured on."""
    try:
        info = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        info = []
    model = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    return {
        "processor": model[0] if model else platform.processor(),
        "cores": len(cores()),
        "platform": platform.platform(),
        "python": platform.python_version(),
    }


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)
