"""Where populations are trained: on this machine's cores, one worker process for each."""

from __future__ import annotations

import math
import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol, cast

from dnntrain.config.spec import RunSpec
from dnntrain.executors.worker import WORKER_ENVIRONMENT, Event, Job, JobFailed, JobFinished, worker_main
from dnntrain.utils import cgroups


class Executor(Protocol):
    """Trains populations somewhere."""

    workers: int
    """How many populations it trains at a time."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Event]:
        """Train the jobs, and give the events as they come: each job ends in one Finished or one Failed.

        A job is taken from `jobs` when there is a place for it.
        """
        ...

    def stop(self) -> None:
        """Begin no more jobs, and end those at work after their epoch, with a checkpoint."""
        ...


def accelerated(device: str) -> bool:
    """Whether the device of this name is an accelerator here; does not load torch."""
    return device in ("cuda", "mps") or (device == "auto" and has_visible_gpu())


def has_visible_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether there is an NVIDIA GPU that $CUDA_VISIBLE_DEVICES does not hide.

    CUDA reads that list up to the first entry that names no GPU, so '' and '-1' hide all of them.
    """
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    shown = first.isdecimal() or first.startswith(("GPU-", "MIG-"))
    return shown and any(devices.glob("nvidia[0-9]*"))


def default_workers(device: str, root: Path = cgroups.ROOT) -> int:
    """One worker for each core that this process may use; one where an accelerator does the work."""
    if accelerated(device):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, cgroups.cores(root) or cores)))


MOST_TRIES = 2
"""How often a population whose worker was lost is tried again."""


def retry_jobs(failed: JobFailed, left: Job) -> list[Job]:
    """The jobs that take the place of what is left of one that failed; none if given up.

    Where the worker was lost, its memory may have been too small: two halves. After an error each arm's runs train
    apart, so that one arm's fault costs no other arm.
    """
    if not failed.lost:
        arms: dict[RunSpec, list[RunSpec]] = {}
        for spec in left.specs:
            arms.setdefault(spec.model_copy(update={"seed": 0}), []).append(spec)
        return [left.of(tuple(runs)) for runs in arms.values()] if len(arms) > 1 else []
    if left.tries >= MOST_TRIES:
        return []
    half = -(-len(left.specs) // 2)
    again = replace(left, tries=left.tries + 1)
    return [again.of(part) for part in (left.specs[:half], left.specs[half:]) if part]


def resolve_failure(event: JobFinished | JobFailed, left: Job, again: deque[Job]) -> JobFinished | JobFailed:
    """The job's end as it is to be told: no failure where nothing is left to train, or that is tried again."""
    if isinstance(event, JobFinished) or not left.specs:
        return JobFinished(left)
    retried = retry_jobs(event, left)
    again.extend(retried)
    return JobFinished(left) if retried else replace(event, job=left)


POLL = 0.2
"""Seconds after which a call to stop is noticed."""


class LocalExecutor:
    """Worker processes on this machine; each takes the next job when it is free."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._processes: list[BaseProcess] = []
        self._stopping = False

    def stop(self) -> None:
        self._stopping = True

    def run(self, jobs: Iterable[Job]) -> Iterator[Event]:
        """Train the jobs in their order; the workers end with the iterator, also when it is abandoned."""
        waiting, again = iter(jobs), deque[Job]()
        working: dict[Connection, Job] = {}
        told = False
        try:
            for _ in range(self.workers):
                self._go_on(None, again, waiting, working)
            while working:
                for connection in cast("list[Connection]", wait(list(working), POLL)):
                    event = self._next_event(connection, working[connection])
                    left = working[connection] = working[connection].after(event)
                    if isinstance(event, JobFinished | JobFailed):
                        del working[connection]
                        event = resolve_failure(event, left, again)
                        self._go_on(connection, again, waiting, working)
                    yield event
                if self._stopping and not told:
                    told = True
                    self._tell_to_stop(working)
        finally:
            self._end()

    def _start(self) -> Connection:
        os.environ.update(WORKER_ENVIRONMENT)  # a spawned process inherits it, and loads torch after
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=worker_main, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        self._processes.append(process)
        return ours

    def _next_event(self, connection: Connection, job: Job) -> Event:
        try:
            event: Event = connection.recv()
            return event
        except (EOFError, ConnectionResetError):
            return JobFailed(job, "a worker process died (killed, or out of memory)", 1, lost=True)

    def _go_on(
        self, free: Connection | None, again: deque[Job], waiting: Iterator[Job], working: dict[Connection, Job]
    ) -> None:
        """Give a free worker, or a new one, the next job if there is one."""
        job = None if self._stopping else again.popleft() if again else next(waiting, None)
        if job is None:
            return
        try:
            connection = free or self._start()
            connection.send(job)
        except (BrokenPipeError, ConnectionResetError):
            connection = self._start()
            connection.send(job)
        working[connection] = job

    def _tell_to_stop(self, working: Iterable[Connection]) -> None:
        for connection in working:
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.send(None)

    def _end(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()
        self._processes.clear()
