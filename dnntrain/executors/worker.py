"""Worker processes: each has one thread and one core, takes jobs one by one, and tells what happens.

Three conditions make a run's numbers the same alone and in any population (found by comparing bits; tests hold it):
one thread; MKL told to use one code path for every alignment; rows padded to whole turns of torch's loops (`inputs`).
"""

from __future__ import annotations

import os
import platform
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dnntrain.config.spec import CoreSpec
from dnntrain.data import DataLocation, Dataset, DataSource
from dnntrain.engine.run import Run, TakeCheckpoints
from dnntrain.errors import DnntrainError
from dnntrain.metrics import score_of
from dnntrain.store.checkpoint import Checkpoint
from dnntrain.transfer_learning.mlp_backbone import Backbone
from dnntrain.utils.lazy import torch


@lru_cache
def processor() -> dict[str, str]:
    """What Linux says of the first processor, by field; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def mkl_path() -> str:
    """The widest of MKL's code paths that this processor has and that gives the same bits for every alignment."""
    wide = {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= set(processor().get("flags", "").split())
    return "AVX512,STRICT" if wide and processor().get("vendor_id") == "GenuineIntel" else "AVX2,STRICT"


WORKER_ENVIRONMENT = {
    # one thread a worker, one worker a core: with two threads some sizes of matmul round differently
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # without it MKL picks its code by alignment, and odd batch sizes differ in one case of ten
    "MKL_CBWR": mkl_path(),
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
    home: DataLocation
    device: str
    base: Backbone | None = None
    """What the runs reuse."""
    tries: int = 0
    """How often it was begun before, by workers that were lost."""
    checkpoints: Mapping[CoreSpec, Checkpoint] = field(default_factory=dict)
    """Where its runs were when they were cut off, all at the same epoch; empty where they are new."""
    checkpoint_every: int | None = None
    """Epochs between checkpoints; None for one a minute."""

    def of(self, specs: tuple[CoreSpec, ...]) -> Job:
        """The part of it that trains these runs."""
        made = {spec: checkpoint for spec, checkpoint in self.checkpoints.items() if spec in specs}
        return replace(self, specs=specs, checkpoints=made)

    def after(self, event: Event) -> Job:
        """What is left of it once this has happened."""
        if isinstance(event, RunsFinished):
            over = {run.spec for run in event.runs}
            return self.of(tuple(spec for spec in self.specs if spec not in over))
        return replace(self, checkpoints=event.checkpoints) if isinstance(event, CheckpointSaved) else self


@dataclass(frozen=True)
class EpochEnd:
    """The population has trained one more epoch: the runs that were in it, by their index, and how they do."""

    job: Job
    epochs: dict[int, int]
    val_score: dict[int, float]
    """The newest validation accuracy, or R²."""
    over: frozenset[int]


@dataclass(frozen=True)
class RunsFinished:
    """Some of the population's runs are over; and the environment that trained them."""

    job: Job
    runs: list[Run]
    environment: dict[str, Any]
    data: dict[str, Any]


@dataclass(frozen=True)
class CheckpointSaved:
    """Where the population's runs are that still train."""

    job: Job
    checkpoints: dict[CoreSpec, Checkpoint]


@dataclass(frozen=True)
class JobFinished:
    """The job is at its end: all its runs are trained, or it was asked to stop."""

    job: Job


@dataclass(frozen=True)
class JobFailed:
    """The rest of the population could not be trained."""

    job: Job
    message: str
    exit_code: int
    lost: bool = False
    """Whether the worker died or ran out of memory, so that trying again, with fewer runs at a time, may help."""


Event = EpochEnd | RunsFinished | CheckpointSaved | JobFinished | JobFailed
SendEvent = Callable[[Event], None]

SECONDS_BETWEEN_CHECKPOINTS = 60.0


class StopRequested(Exception):
    """The coordinator has asked to stop."""


def worker_main(connection: Connection) -> None:
    """A worker's life: train the jobs that arrive, until the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator decides what an interrupt means
    torch.set_num_threads(1)
    while True:
        try:
            job = connection.recv()
            if job is not None:  # a call to stop that came too late
                connection.send(run_job(job, connection.send, connection.poll))
        except (EOFError, ConnectionError):
            return  # the coordinator is gone


def run_job(
    job: Job, tell: SendEvent, stopping: Callable[[], bool] = lambda: False, dataset: Dataset | None = None
) -> JobFinished | JobFailed:
    """Train one population; every way in which it can fail becomes a message."""
    named = replace(job, base=None, checkpoints={})  # what is told need not carry weights
    try:
        dataset = dataset or load_once(job.specs[0].source, job.home)
        train_told(job, dataset, EventReporter(named, dataset, pick_device(job.device), tell, stopping))
        return JobFinished(named)
    except StopRequested:
        return JobFinished(named)
    except DnntrainError as error:
        return JobFailed(named, str(error), error.exit_code)
    except ConnectionError:
        raise
    except Exception as error:
        if out_of_memory(error):
            return JobFailed(named, f"out of memory with {len(job.specs)} runs in one population", 1, lost=True)
        where = traceback.extract_tb(error.__traceback__)[-1]
        return JobFailed(named, f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})", 1)


def train_told(job: Job, dataset: Dataset, teller: EventReporter) -> None:
    """Train the job's runs from where they are."""
    from dnntrain.engine.loop import train  # these import torch
    from dnntrain.engine.population import StartState
    from dnntrain.transfer_learning.stages import train_transfer

    known = [job.checkpoints[spec] for spec in job.specs if spec in job.checkpoints]
    # one that was made elsewhere would go on with other bits
    whole = len(known) == len(job.specs) and all(made.environment == teller.environment for made in known)
    known = known if whole else []
    if job.base:
        train_transfer(job.specs, dataset, job.base, teller.device, teller, known)
    else:
        train(job.specs, dataset, teller.device, teller, StartState(checkpoints=known))


def out_of_memory(error: Exception) -> bool:
    """Whether this is Python's, the processor's or the accelerator's way to say that memory is short."""
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error) or "out of memory" in str(error)


class EventReporter:
    """Tells after each epoch what happened in it."""

    def __init__(
        self, job: Job, dataset: Dataset, device: torch.device, tell: SendEvent, stopping: Callable[[], bool]
    ) -> None:
        from dnntrain.engine.batches import validation_notes

        self.job, self.tell, self.stopping, self.device = job, tell, stopping, device
        self.metric = f"val_{score_of(dataset.outline.task).name}"
        self.environment, self.data = environment(device), dataset.description()
        self.data["notes"] += validation_notes(dataset, job.specs[0])  # all split the data alike
        self.checkpointed = time.monotonic()
        if stopping():
            raise StopRequested

    def __call__(self, runs: list[Run], take: TakeCheckpoints) -> None:
        """Progress, the runs that are over, and a checkpoint of the others when one is due."""
        over = [run for run in runs if run.status != "running"]
        epochs = {run.index: len(run.history) for run in runs}
        val_score = {run.index: run.history[-1][self.metric] for run in runs}
        self.tell(EpochEnd(self.job, epochs, val_score, frozenset(run.index for run in over)))
        if over:
            self.tell(RunsFinished(self.job, over, self.environment, self.data))
        stopping = self.stopping()
        if stopping or self.is_due(len(runs[0].history)):
            made = {self.job.specs[i]: replace(c, environment=self.environment) for i, c in take().items()}
            if made:
                self.tell(CheckpointSaved(self.job, made))
            self.checkpointed = time.monotonic()
        if stopping:
            raise StopRequested

    def is_due(self, epochs: int) -> bool:
        """Whether it is time for a checkpoint."""
        if self.job.checkpoint_every:
            return epochs % self.job.checkpoint_every == 0
        return time.monotonic() - self.checkpointed >= SECONDS_BETWEEN_CHECKPOINTS


@lru_cache(maxsize=1)
def load_once(source: DataSource, home: DataLocation) -> Dataset:
    """The data set; a worker's next job most often needs the same."""
    return source.load(home)


def pick_device(wanted: str) -> torch.device:
    """The device called auto, cpu, cuda or mps; raises DnntrainError where it is not to be had."""
    mps: bool = torch.backends.mps.is_available()
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": mps}
    if wanted == "auto":
        wanted = "cuda" if available["cuda"] else "cpu"
    if not available[wanted]:
        shown = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = f" (CUDA_VISIBLE_DEVICES is '{shown}')" if wanted == "cuda" and shown is not None else ""
        raise DnntrainError(f"device {wanted} is not available here{why}; use --device cpu or auto")
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
        "cpu": processor().get("model name") or platform.processor(),
        "threads": threads,
        "mkl": os.environ.get("MKL_CBWR", "AUTO"),
        "device": str(device) if device.type != "cuda" else f"cuda ({torch.cuda.get_device_name(device)})",
        "bit_for_bit": bool(exact and os.environ.get("MKL_CBWR") == WORKER_ENVIRONMENT["MKL_CBWR"]),
    }
