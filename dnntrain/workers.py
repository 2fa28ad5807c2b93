"""Worker processes: each has one thread and one core, takes jobs one by one, and tells what happens.

Three conditions make a run's numbers the same alone and in any population (found by comparing bits; tests hold it):
one thread; MKL told to use one code path for every alignment; rows padded to whole vectors (see `inputs`).
"""

from __future__ import annotations

import os
import platform
import signal
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import Any

from dnntrain.bases import Base
from dnntrain.data import DataHome, Dataset, DataSource
from dnntrain.errors import DnntrainError
from dnntrain.lazy import torch
from dnntrain.metrics import score
from dnntrain.run import Run
from dnntrain.spec import CoreSpec

WORKER_ENVIRONMENT = {
    # one thread a worker, one worker a core: with two threads some sizes of matmul round differently
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # without it MKL picks its code by alignment, and odd batch sizes differ in one case of ten
    "MKL_CBWR": "AVX2,STRICT",
    # gradients are allocated at every step: keep their pages instead of mapping them anew (glibc)
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_TOP_PAD_": str(2**26),
}
"""What a worker's environment needs before it loads torch."""


@dataclass(frozen=True)
class Job:
    """One population to train."""

    number: int
    specs: tuple[CoreSpec, ...]
    home: DataHome
    device: str
    base: Base | None = None
    """What the runs reuse."""
    tries: int = 0
    """How often it was begun before, by workers that were lost."""


@dataclass(frozen=True)
class Progress:
    """The population has trained one more epoch: the runs that were in it, by their index, and how they do."""

    job: Job
    epochs: dict[int, int]
    val_score: dict[int, float]
    """The newest validation accuracy, or R²."""
    over: frozenset[int]


@dataclass(frozen=True)
class Finished:
    """The population's runs, and the environment that trained them."""

    job: Job
    runs: list[Run]
    environment: dict[str, Any]
    data: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """The population could not be trained."""

    job: Job
    message: str
    exit_code: int
    lost: bool = False
    """Whether the worker died or ran out of memory, so that trying again, with fewer runs at a time, may help."""


Event = Progress | Finished | Failed


def work(connection: Connection) -> None:
    """A worker's life: train the jobs that arrive, until the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator decides what an interrupt means
    torch.set_num_threads(1)
    while True:
        try:
            connection.send(perform(connection.recv(), connection))
        except (EOFError, ConnectionError):
            return  # the coordinator is gone


def perform(job: Job, connection: Connection) -> Finished | Failed:
    """Train one population; every way in which it can fail becomes a message."""
    from dnntrain.engine import train  # these import torch
    from dnntrain.transfer import train_reusing

    def tell(runs: Sequence[Run]) -> None:
        epochs = {run.index: len(run.history) for run in runs}
        val_score = {run.index: run.history[-1][metric] for run in runs}
        over = frozenset(run.index for run in runs if run.status != "running")
        connection.send(Progress(job, epochs, val_score, over))

    try:
        dataset = load_once(job.specs[0].source, job.home)
        metric = f"val_{score(dataset.outline.task)}"
        device = pick_device(job.device)
        if job.base:
            runs = train_reusing(job.specs, dataset, job.base, device, tell)
        else:
            runs = train(job.specs, dataset, device, tell)
        return Finished(job, runs, environment(device), dataset.description())
    except DnntrainError as error:
        return Failed(job, str(error), error.exit_code)
    except ConnectionError:
        raise
    except MemoryError:
        return Failed(job, f"out of memory with {len(job.specs)} runs in one population", 1, lost=True)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Failed(job, f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})", 1)


@lru_cache(maxsize=1)
def load_once(source: DataSource, home: DataHome) -> Dataset:
    """The data set; a worker's next job most often needs the same."""
    return source.load(home)


def pick_device(wanted: str) -> torch.device:
    """The device called auto, cpu, cuda or mps; raises DnntrainError where it is not to be had."""
    mps: bool = torch.backends.mps.is_available()
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": mps}
    if wanted == "auto":
        wanted = "cuda" if available["cuda"] else "cpu"
    if not available[wanted]:
        raise DnntrainError(f"device {wanted} is not available here; use --device cpu or auto")
    return torch.device(wanted)


def environment(device: torch.device) -> dict[str, Any]:
    """What trained a run: versions, platform, threads, device, and whether the bit-for-bit promise holds there."""
    import numpy as np

    threads = torch.get_num_threads()
    mkl: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    exact = device.type == "cpu" and threads == 1 and mkl
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a plain text: its own class would load torch in the coordinator
        "numpy": np.__version__,
        "platform": platform.platform(),
        "processor": platform.machine(),
        "threads": threads,
        "device": str(device) if device.type != "cuda" else f"cuda ({torch.cuda.get_device_name(device)})",
        "bit_for_bit": bool(exact and os.environ.get("MKL_CBWR") == WORKER_ENVIRONMENT["MKL_CBWR"]),
    }
