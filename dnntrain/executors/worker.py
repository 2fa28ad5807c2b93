"""A worker process: `python -m dnntrain.executors.worker`. It trains the jobs it receives and sends back events."""

from __future__ import annotations

import fcntl
import gc
import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import numpy as np

from dnntrain.data import DataLocation, Dataset, DataSource
from dnntrain.engine.run import Run, TakeCheckpoints
from dnntrain.errors import DnntrainError, InputError
from dnntrain.executors.devices import check_precision, pick_device
from dnntrain.executors.environment import describe_environment
from dnntrain.executors.jobs import (
    CheckpointSaved,
    EpochEnd,
    Job,
    JobFailed,
    JobFinished,
    RangeProgress,
    RangeTested,
    RunsFinished,
    SendEvent,
)
from dnntrain.metrics import import_metrics, score_of
from dnntrain.utils.lazy import torch
from dnntrain.utils.memory import is_out_of_memory, release_memory
from dnntrain.utils.torch_start import defer_meta_registrations
from dnntrain.utils.user_code.reference import pinned
from dnntrain.utils.words import count_noun

if TYPE_CHECKING:
    from dnntrain.statistics.range_test import RateRange

SECONDS_BETWEEN_CHECKPOINTS = 60.0


class StopRequested(Exception):
    """The coordinator has asked the job to stop."""


def worker_main() -> None:
    """Train jobs until the coordinator closes the connection, which is this process's standard input.

    The coordinator sends a Job, or None to stop the current one after its epoch.
    """
    # a socket, which works both ways; above 2, since the caller may have closed its standard output
    connection = Connection(fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # standard output is for the coordinator's results: what a library prints here is a message
    import_training()
    while True:
        try:
            job = connection.recv()
            if job is not None:  # else a request to stop a job that has just ended
                connection.send(run_job(job, connection.send, connection.poll))
        except (EOFError, ConnectionError):
            return  # the coordinator has ended
        except InputError as error:  # a plug-in of the job, which cannot be loaded here
            sys.stderr.write(f"error: {error}\n")
            sys.exit(error.exit_code)


def import_training() -> None:
    """Import what training needs, before there is a job: the coordinator reads and plans the study meanwhile."""
    gc.disable()  # imports make a million objects and no garbage
    defer_meta_registrations()
    with suppress(Exception):  # an import that fails will fail again with the first job, which reports it
        for module in ("dnntrain.engine.loop", "dnntrain.techniques", "dnntrain.transfer_learning.stages"):
            importlib.import_module(module)
    gc.freeze()
    gc.enable()


def run_job(
    job: Job, send: SendEvent, stopping: Callable[[], bool] = lambda: False, dataset: Dataset | None = None
) -> JobFinished | JobFailed:
    """Train one population. One that ran out of memory has freed all of it, for the halves that are tried next.

    Args:
        job: The runs, and where they start from.
        send: Receives the events in the order in which they happen.
        stopping: Asked after every epoch whether to stop.
        dataset: The job's data, where they are in memory already.

    Returns:
        How the job ended. Every error but a lost connection is returned as a JobFailed.
    """
    end = attempt(job, send, stopping, dataset)
    if isinstance(end, JobFailed) and end.lost:
        release_memory()  # after the exception is gone, whose traceback holds the population's tensors
    return end


def attempt(
    job: Job, send: SendEvent, stopping: Callable[[], bool], dataset: Dataset | None
) -> JobFinished | JobFailed:
    """Train one population, or say why that failed; see `run_job`."""
    brief = job.without_weights()
    try:
        torch.set_num_threads(1)
        import_metrics(job.metric_modules)
        with pinned(job.code):
            device = pick_device(job.device)
            check_precision(job.specs[0].precision, device)
            dataset = dataset or cached_dataset(job.specs[0].source, job.home)
            if job.rates:
                test_rates(job, job.rates, dataset, send, stopping)
            else:
                train_job(job, dataset, EventReporter(brief, dataset, device, send, stopping))
        return JobFinished(brief)
    except StopRequested:
        return JobFinished(brief)
    except DnntrainError as error:
        return JobFailed(brief, str(error), error.exit_code)
    except ConnectionError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            return JobFailed(
                brief,
                f"out of memory with {count_noun(len(job.specs), 'run')} in one population",
                lost=True,
                short=True,
            )
        where = traceback.extract_tb(error.__traceback__)[-1]
        return JobFailed(brief, f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})")


def test_rates(job: Job, tried: RateRange, dataset: Dataset, send: SendEvent, stopping: Callable[[], bool]) -> None:
    """Run a range test, and send its losses."""
    from dnntrain.engine.range_test import range_test  # imports torch

    brief = job.without_weights()

    def report(losses: np.ndarray) -> None:
        send(RangeProgress(brief, losses))
        if stopping():
            raise StopRequested

    send(RangeTested(brief, range_test(job.specs, dataset, tried.rates(), pick_device(job.device), report)))


def train_job(job: Job, dataset: Dataset, reporter: EventReporter) -> None:
    """Train the job's runs, from their checkpoints where these can be used."""
    from dnntrain.engine.graphs import StepRunner
    from dnntrain.engine.loop import train_population  # these import torch
    from dnntrain.engine.population import StartState
    from dnntrain.transfer_learning.stages import train_transfer

    checkpoints = [job.checkpoints[spec] for spec in job.specs if spec in job.checkpoints]
    # a checkpoint of another environment would continue with other bits
    if len(checkpoints) < len(job.specs) or any(c.environment != reporter.environment for c in checkpoints):
        checkpoints = []
    runner = partial(StepRunner.of, compiles=job.compiles)
    if job.backbone:
        reporter.data["notes"] += job.backbone.for_run(job.specs[0]).notes(job.specs[0], dataset.outline)
        backbone, device = job.backbone, reporter.device
        train_transfer(job.specs, dataset, backbone, device, reporter, checkpoints, job.predictions, runner)
    else:
        start = StartState(checkpoints=checkpoints)
        train_population(job.specs, dataset, reporter.device, reporter, start, job.predictions, runner)


class EventReporter:
    """Sends the events of each epoch; the engine calls it as its `on_epoch`."""

    def __init__(
        self, job: Job, dataset: Dataset, device: torch.device, send: SendEvent, stopping: Callable[[], bool]
    ) -> None:
        from dnntrain.engine.splits import validation_notes

        self.job, self.send, self.stopping, self.device = job, send, stopping, device
        self.metric = f"val_{score_of(dataset.outline.task).name}"
        self.environment, self.data = describe_environment(device), dataset.description()
        self.environment["bit_for_bit"] &= not job.compiles
        self.data["notes"] += validation_notes(dataset, job.specs[0])  # all runs split the data alike
        self.last_checkpoint = time.monotonic()
        self.reported = [0] * len(job.specs)
        """How many epochs of each run were reported."""
        if stopping():
            raise StopRequested

    def __call__(self, runs: list[Run], take: TakeCheckpoints) -> None:
        """Report progress, finished runs, and a checkpoint of the others when one is due."""
        finished = [run for run in runs if run.status != "running"]
        epochs = {run.index: len(run.history) for run in runs}
        val_score = {run.index: run.history[-1][self.metric] for run in runs}
        rows = {run.index: run.history[self.reported[run.index] :] for run in runs}
        for index, epoch in epochs.items():
            self.reported[index] = epoch
        ended = frozenset(run.index for run in finished)
        self.send(EpochEnd(self.job, epochs, self.metric, val_score, rows, runs[0].layers, ended))
        if finished:
            self.send(RunsFinished(self.job, finished, self.environment, self.data))
        stopping = self.stopping()
        if stopping or self.is_due(len(runs[0].history)):
            checkpoints = {self.job.specs[i]: replace(c, environment=self.environment) for i, c in take().items()}
            if checkpoints:
                self.send(CheckpointSaved(self.job, checkpoints))
            self.last_checkpoint = time.monotonic()
        if stopping:
            raise StopRequested

    def is_due(self, epochs: int) -> bool:
        """Whether it is time for a checkpoint."""
        if self.job.checkpoint_every:
            return epochs % self.job.checkpoint_every == 0
        return time.monotonic() - self.last_checkpoint >= SECONDS_BETWEEN_CHECKPOINTS


@lru_cache(maxsize=1)
def cached_dataset(source: DataSource, home: DataLocation) -> Dataset:
    """The data set; cached, because a worker's next job usually needs the same."""
    return source.load(home)


if __name__ == "__main__":
    worker_main()
