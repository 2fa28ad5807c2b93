"""Where populations are trained: on this machine's cores, one worker process for each."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol, cast

from dnntrain.workers import WORKER_ENVIRONMENT, Event, Failed, Finished, Job, work


class Executor(Protocol):
    """Trains populations somewhere."""

    workers: int
    """How many populations it trains at a time."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Train the jobs, and give the events as they come: each job ends in one Finished or one Failed."""
        ...


def default_workers(device: str) -> int:
    """One worker for each core that this process may use; one where an accelerator does the work."""
    if device in ("cuda", "mps") or (device == "auto" and Path("/dev/nvidia0").exists()):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


MOST_TRIES = 2
"""How often a population whose worker was lost is tried again."""


def tried_again(event: Event) -> list[Job]:
    """The jobs that take the place of one whose worker was lost: its runs in two halves; none where it is given up."""
    if not isinstance(event, Failed) or not event.lost or event.job.tries >= MOST_TRIES:
        return []
    specs, half = event.job.specs, -(-len(event.job.specs) // 2)
    return [replace(event.job, specs=part, tries=event.job.tries + 1) for part in (specs[:half], specs[half:]) if part]


class LocalExecutor:
    """Worker processes on this machine; each takes the next job when it is free."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._processes: list[BaseProcess] = []

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Train the jobs in their order; the workers end with the iterator, also when it is abandoned."""
        waiting = deque(jobs)
        team = [self._start() for _ in range(min(self.workers, len(jobs)))]
        working: dict[Connection, Job] = {}
        try:
            for connection in team:
                connection.send(job := waiting.popleft())
                working[connection] = job
            while working:
                for connection in cast("list[Connection]", wait(list(working))):
                    event = self._next_event(connection, working[connection])
                    if isinstance(event, Finished | Failed):
                        del working[connection]
                        again = tried_again(event)
                        waiting.extendleft(again)
                        self._go_on(connection, waiting, working)
                        if again:
                            continue
                    yield event
        finally:
            self._end()

    def _start(self) -> Connection:
        os.environ.update(WORKER_ENVIRONMENT)  # a spawned process inherits it, and loads torch after
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        self._processes.append(process)
        return ours

    def _next_event(self, connection: Connection, job: Job) -> Event:
        try:
            event: Event = connection.recv()
            return event
        except (EOFError, ConnectionResetError):
            return Failed(job, "a worker process died (killed, or out of memory)", 1, lost=True)

    def _go_on(self, connection: Connection, waiting: deque[Job], working: dict[Connection, Job]) -> None:
        if not waiting:
            return
        job = waiting.popleft()
        try:
            connection.send(job)
        except (BrokenPipeError, ConnectionResetError):
            connection = self._start()
            connection.send(job)
        working[connection] = job

    def _end(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()
        self._processes.clear()
