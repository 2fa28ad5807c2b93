"""Executors train jobs somewhere: on this machine's cores, on a cluster.

The base class has the one loop. It submits jobs while there are free workers, receives events, retries what failed, and
stops softly. A new executor is a small class with four methods, registered in `executors.registry`:

    @register
    class Slurm(Executor):
        name, summary = "slurm", "a Slurm cluster"

        def submit(self, job): ...     # start it; the worker calls `executors.worker.run_job`
        def poll(self, timeout): ...   # the events since the last call
        def cancel(self): ...          # ask all running jobs to stop after their epoch
        def close(self): ...           # end all jobs at once
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from dnntrain.config.spec import RunSpec
from dnntrain.executors.devices import default_workers
from dnntrain.executors.jobs import Event, Job, JobFailed, JobFinished, SendEvent

POLL_SECONDS = 0.2
"""The longest wait for events before a request to stop is noticed."""

MAX_RETRIES = 2
"""How often runs are retried after their worker was lost."""


class ExecutorOptions(BaseModel):
    """An executor's own options. The command line shows each field as `--name`, with its description as the help."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Executor(ABC):
    """Trains populations, `workers` at a time."""

    name: ClassVar[str]
    """What `--executor` calls it."""
    summary: ClassVar[str]
    """Where it trains, in a few words, for `--help`."""
    Options: ClassVar[type[ExecutorOptions]] = ExecutorOptions

    workers: int
    """How many jobs run at a time."""

    def __init__(
        self, workers: int | None = None, device: str = "auto", options: ExecutorOptions | None = None
    ) -> None:
        """Args:
        workers: Jobs to run at a time; by default as many as the hardware can feed.
        device: auto, cpu, cuda or mps.
        options: An instance of the class's `Options`.
        """
        self.workers = workers or default_workers(device)
        self.stopping = False
        self._numbers = count(1)

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Start a job. Called only while fewer than `workers` jobs are running."""

    @abstractmethod
    def poll(self, timeout: float) -> Iterable[Event]:
        """The events since the last call; waits for the first one for `timeout` seconds.

        Each job's last event is a JobFinished or a JobFailed. Every event has the number of its job.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Ask the running jobs to stop after their epoch, with a checkpoint."""

    @abstractmethod
    def close(self) -> None:
        """End the running jobs at once, and free their workers."""

    def stop(self) -> None:
        """Start no more jobs, and cancel the running ones. Only sets a flag, so a signal handler may call it."""
        self.stopping = True

    def run(self, jobs: Iterable[Job], handle: SendEvent) -> None:
        """Train the jobs; returns when all have ended. No worker outlives this call, even if it raises.

        Args:
            jobs: Taken one by one, when there is a free worker.
            handle: Called with each event. A job whose runs are retried counts as finished; those that retry them
                end in events of their own.
        """
        waiting, retries, cancelled = iter(jobs), deque[Job](), False
        running: dict[int, Job] = {}  # what remains of each job, by its number
        try:
            while True:
                while len(running) < self.workers and (job := self._next_job(retries, waiting)):
                    running[job.number] = job
                    self.submit(job)
                if not running:
                    return
                for event in self.poll(POLL_SECONDS):
                    number = event.job.number
                    if number not in running:
                        continue  # a lost node may still send events of a job that was given up
                    remaining = running[number] = running[number].apply(event)
                    if isinstance(event, JobFinished | JobFailed):
                        del running[number]
                        event, again = resolve_end(event, remaining, self.stopping)
                        retries.extend(again)
                    handle(event)
                if self.stopping and not cancelled:
                    cancelled = True
                    self.cancel()
        finally:
            self.close()

    def _next_job(self, retries: deque[Job], waiting: Iterator[Job]) -> Job | None:
        if self.stopping:
            return None
        job = retries.popleft() if retries else next(waiting, None)
        return job and replace(job, number=next(self._numbers))


def resolve_end(
    event: JobFinished | JobFailed, remaining: Job, stopping: bool
) -> tuple[JobFinished | JobFailed, list[Job]]:
    """How to report the end of a job, and the jobs that retry what remains of it.

    Without runs that remain, or with some that are retried, the job counts as finished.
    """
    if not remaining.specs or (isinstance(event, JobFinished) and stopping):
        return JobFinished(remaining), []
    if isinstance(event, JobFinished):
        event = JobFailed(remaining, "the results of a worker were lost", lost=True)
    again = retry_jobs(event, remaining)
    return (JobFinished(remaining), again) if again else (replace(event, job=remaining), [])


def retry_jobs(failed: JobFailed, remaining: Job) -> list[Job]:
    """The jobs that retry what remains of a failed one; none if it is given up.

    After an error each arm's runs train apart, so that one arm's error costs no other arm. A lost worker may have had
    too little memory: two halves. Where it is known that it had, a population is halved until it fits.
    """
    if not failed.lost:
        arms: dict[RunSpec, list[RunSpec]] = {}
        for spec in remaining.specs:
            arms.setdefault(spec.model_copy(update={"seed": 0}), []).append(spec)
        return [remaining.subset(tuple(runs)) for runs in arms.values()] if len(arms) > 1 else []
    can_shrink = failed.short and len(remaining.specs) > 1
    if remaining.retries >= MAX_RETRIES and not can_shrink:
        return []
    half = -(-len(remaining.specs) // 2)
    again = replace(remaining, retries=remaining.retries + 1)
    return [again.subset(part) for part in (remaining.specs[:half], remaining.specs[half:]) if part]
