"""Trains on a Ray cluster, one task for each job. Ray is imported only when this executor is used.

A task sends its events through a small actor, the `EventActor`, which lives on the coordinator's node. So no event is
lost with a node, and a task that Ray restarts on another node continues from the last checkpoint.
"""

from __future__ import annotations

import math
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import Field

from dnntrain.data import Dataset, DataSource
from dnntrain.data.cache import ARRAYS
from dnntrain.engine.run import ENGINE_VERSION
from dnntrain.errors import DnntrainError, InputError
from dnntrain.executors.base import Executor, ExecutorOptions
from dnntrain.executors.environment import WORKER_ENVIRONMENT
from dnntrain.executors.jobs import Event, Job, JobFailed, JobFinished
from dnntrain.executors.ray_connection import OWN_INSTANCE, connect, first_sentence, ray

TASK_RETRIES = 3
"""How often Ray restarts a task whose node was lost, before the population is tried in halves."""
ACTOR_RESTARTS = 20
"""How often Ray restarts the event actor. The runs whose events it held are trained again."""


class RayOptions(ExecutorOptions):
    """Options of `--executor ray`."""

    address: str | None = Field(
        None,
        description="the Ray cluster to join; without it, Ray is started on this machine",
        json_schema_extra={"metavar": "auto|HOST:PORT"},
    )


class EventActor:
    """Keeps the tasks' events until the coordinator fetches them, and what remains of each job."""

    def __init__(self) -> None:
        self.remaining: dict[int, Job] = {}
        self.events: list[Event] = []
        self.stopping = False

    def begin(self, job: Job) -> tuple[Job, bool]:
        """What remains of the job (all of it, unless it was begun before), and whether to stop."""
        return self.remaining.setdefault(job.number, job), self.stopping

    def send(self, event: Event) -> bool:
        """Keep an event; returns whether its task is to stop."""
        number = event.job.number
        if number in self.remaining:  # else Ray has restarted this actor
            self.remaining[number] = self.remaining[number].apply(event)
        self.events.append(event)
        return self.stopping

    def fetch(self) -> list[Event]:
        """The events since the last call."""
        events, self.events = self.events, []
        return events

    def stop(self) -> None:
        """Ask every task to stop after its epoch."""
        self.stopping = True


def train_remotely(job: Job, dataset: Dataset, actor: Any, version: str) -> JobFinished | JobFailed:
    """A task: train the job, or what remains of it if an earlier try was lost with its node."""
    from dnntrain.executors.worker import run_job

    if version != ENGINE_VERSION:
        node = socket.gethostname()
        return JobFailed(job, f"node {node} has another version of dnntrain ({ENGINE_VERSION}, not {version})")
    os.environ.update(WORKER_ENVIRONMENT)  # of this node, whose processor may differ from the coordinator's
    # the node's tasks share the arrays, which nothing writes to
    warnings.filterwarnings("ignore", "The given NumPy array is not writable")

    def ask(call: Any) -> Any:
        # `ray.get` would lend the task's core to another task while it waits; this keeps it
        return call.future().result()

    remaining, stop = ask(actor.begin.remote(replace(job, backbone=None)))

    def send(event: Event) -> None:
        nonlocal stop
        stop = ask(actor.send.remote(event))  # training goes on when the event is safe

    remaining = replace(remaining, backbone=job.backbone)
    return run_job(remaining, send, lambda: stop, dataset) if remaining.specs else JobFinished(remaining)


class RayExecutor(Executor):
    """Tasks on a Ray cluster. Ray replaces lost nodes; results come to this coordinator."""

    name, summary = "ray", "a Ray cluster"
    Options = RayOptions

    def __init__(
        self, workers: int | None = None, device: str = "auto", options: ExecutorOptions | None = None
    ) -> None:
        address = getattr(options, "address", None) or os.environ.get("RAY_ADDRESS") or OWN_INSTANCE
        connect(address, workers)
        resources = ray.cluster_resources()
        on_gpu = device == "cuda" or (device == "auto" and resources.get("GPU", 0) > 0)
        units = int(resources.get("GPU" if on_gpu else "CPU", 0))
        if not units and (not workers or address == OWN_INSTANCE):
            what = "GPU" if on_gpu else "core"
            raise InputError(f"--device {device}: Ray has no {what} now; where it grows on demand, give --workers")
        super().__init__(workers or units, device, options)
        self._task = ray.remote(train_remotely).options(
            num_cpus=1,
            num_gpus=gpu_share(self.workers, units) if on_gpu else 0,
            max_retries=TASK_RETRIES,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": WORKER_ENVIRONMENT},
        )
        self._running: dict[Any, Job] = {}
        self._datasets: dict[DataSource, Any] = {}
        self._actor: Any = None

    def submit(self, job: Job) -> None:
        """Start a task. Each data set is put into the cluster's memory once."""
        self._actor = self._actor or start_actor()
        source = job.specs[0].source
        try:
            if source not in self._datasets:
                self._datasets[source] = ray.put(in_memory(source.load(job.home)))
        except DnntrainError as error:
            task = ray.put(JobFailed(job, str(error), error.exit_code))
        else:
            task = self._task.remote(job, self._datasets[source], self._actor, ENGINE_VERSION)
        self._running[task] = job

    def poll(self, timeout: float) -> Iterator[Event]:
        """The actor's events, then the ends of tasks, whose events have all been fetched by then."""
        ended, _ = ray.wait(list(self._running), timeout=timeout)
        try:
            events: list[Event] = ray.get(self._actor.fetch.remote())
        except ray.exceptions.RayError as error:
            message = f"the Ray cluster no longer answers here ({first_sentence(error)}); run it again"
            raise DnntrainError(message) from None
        yield from events
        for task in ended:
            yield task_end(task, self._running.pop(task))

    def cancel(self) -> None:
        """Ask all tasks to stop."""
        self._actor.stop.remote()

    def close(self) -> None:
        """Cancel the tasks, and end the actor."""
        for task in self._running:
            with suppress(Exception):  # it may have ended, or the cluster may be gone
                ray.cancel(task, force=True)
        with suppress(Exception):
            ray.kill(self._actor)
        self._running.clear()
        self._actor = None


def start_actor() -> Any:
    """An event actor on the coordinator's own node; if memory is short there, Ray may kill and restart it."""
    here = ray.get_runtime_context().get_node_id()
    pinned = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
    actor = ray.remote(EventActor).options(
        num_cpus=0, scheduling_strategy=pinned, max_restarts=ACTOR_RESTARTS, max_task_retries=-1
    )
    return actor.remote()


def task_end(task: Any, job: Job) -> JobFinished | JobFailed:
    """How a task ended."""
    try:
        event: JobFinished | JobFailed = ray.get(task)
        return event
    except ray.exceptions.RayTaskError as error:
        return JobFailed(job, f"a Ray task failed: {first_sentence(error.cause or error)}")
    except ray.exceptions.RayError as error:
        message = f"a Ray task was lost ({type(error).__name__}: {first_sentence(error)})"
        return JobFailed(job, message, lost=True)


def in_memory(dataset: Dataset) -> Dataset:
    """The data in ordinary arrays: Ray shares these between tasks, but copies memory-mapped ones."""
    arrays: dict[str, Any] = {name: np.asarray(getattr(dataset, name)) for name in ARRAYS}
    return replace(dataset, **arrays)


def gpu_share(workers: int, gpus: int) -> float:
    """The part of a GPU that each worker asks for, rounded down to Ray's steps of 1/10,000."""
    together = math.ceil(workers / max(gpus, 1))
    return math.floor(10_000 / together) / 10_000
