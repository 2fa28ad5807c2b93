"""Where populations are trained: on a Ray cluster, a task for each. Imported only where it is asked for.

A task tells what happens through one small actor, the `EventActor`, which lives beside the coordinator: so nothing
that was told is lost with a node, and a task that Ray begins again on another node goes on from the last checkpoint.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import threading
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from dnntrain.data import Dataset, DataSource
from dnntrain.data.cache import ARRAYS
from dnntrain.engine.run import ENGINE_VERSION
from dnntrain.errors import DnntrainError, InputError
from dnntrain.executors.local import default_workers, resolve_failure
from dnntrain.executors.worker import WORKER_ENVIRONMENT, Event, Job, JobFailed, JobFinished, run_job
from dnntrain.utils.lazy import torch

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    # memory that was short once will be short again: halves of the population are tried instead
    "RAY_task_oom_retries": "0",
    # one try at a cluster takes 40 s where something else listens at its port; Ray would try 20 times
    "RAY_NUM_REDIS_GET_RETRIES": "1",
}
"""What Ray reads from the environment when it is imported."""

for name, value in SETTINGS.items():
    os.environ.setdefault(name, value)

try:
    import ray
except ImportError as error:
    raise InputError(f"--executor ray: Ray cannot be imported ({error}); pip install 'dnntrain[ray]'") from None

RETRIES = 3
"""How often Ray begins a task again whose node or worker was lost, before the population is tried in halves."""
POST_RESTARTS = 20
"""How often the post may be lost. What it held then is trained again."""
POLL = 0.2
"""Seconds between two looks at what the tasks have told."""
ALONE = "local"
"""Ray's own word for an instance that is started here, for this process alone."""
REACH = 5.0
"""Seconds that a cluster has to answer in."""


class EventActor:
    """The actor between tasks and coordinator: keeps what was told till it is fetched, and what is left of each job."""

    def __init__(self) -> None:
        self.left: dict[int, Job] = {}
        self.told: list[tuple[int, Event]] = []
        self.stopping = False

    def begin(self, ticket: int, job: Job) -> tuple[Job, bool]:
        """What is left of the job, which is all where it was not begun before; and whether to stop."""
        return self.left.setdefault(ticket, job), self.stopping

    def tell(self, ticket: int, event: Event) -> bool:
        """Take an event in; whether its task is to stop."""
        if ticket in self.left:  # else Ray has had to start this post again
            self.left[ticket] = self.left[ticket].after(event)
        self.told.append((ticket, event))
        return self.stopping

    def fetch(self) -> list[tuple[int, Event]]:
        """What was told since the last call."""
        told, self.told = self.told, []
        return told

    def stop(self) -> None:
        """Let every task stop after its epoch."""
        self.stopping = True


class EventClient:
    """A task's line to the post."""

    def __init__(self, post: Any, ticket: int) -> None:
        self.post, self.ticket = post, ticket
        self.stop = False

    def begin(self, job: Job) -> Job:
        """What is left of the job; its weights do not travel."""
        left: Job
        left, self.stop = answered(self.post.begin.remote(self.ticket, replace(job, base=None)))
        return replace(left, base=job.base)

    def tell(self, event: Event) -> None:
        """Tell an event; it is kept before training goes on."""
        self.stop = answered(self.post.tell.remote(self.ticket, event))

    def stopping(self) -> bool:
        """Whether the coordinator has asked to stop."""
        return self.stop


def answered(call: Any) -> Any:
    """What an actor answers. While `ray.get` waits, Ray gives the task's core to another task; this keeps it."""
    return call.future().result()


def train_population(job: Job, ticket: int, dataset: Dataset, post: Any, version: str) -> JobFinished | JobFailed:
    """A task: train the job, or what is left of it where it was begun on a node that was lost."""
    if version != ENGINE_VERSION:
        here = socket.gethostname()
        return JobFailed(job, f"node {here} has another version of dnntrain ({ENGINE_VERSION}, not {version})", 1)
    os.environ.update(WORKER_ENVIRONMENT)  # this node's, which may know other instructions than the coordinator's
    torch.set_num_threads(1)
    # the node's tasks share the arrays, which nothing writes to
    warnings.filterwarnings("ignore", "The given NumPy array is not writable")
    line = EventClient(post, ticket)
    left = line.begin(job)
    return run_job(left, line.tell, line.stopping, dataset) if left.specs else JobFinished(left)


class RayExecutor:
    """Tasks on a Ray cluster; lost nodes are Ray's to replace, and results come to this one coordinator."""

    def __init__(self, workers: int | None, device: str, address: str | None) -> None:
        address = address or os.environ.get("RAY_ADDRESS") or ALONE
        connect(address, workers)
        has = ray.cluster_resources()
        on_gpu = device == "cuda" or (device == "auto" and has.get("GPU", 0) > 0)
        units = int(has.get("GPU" if on_gpu else "CPU", 0))
        if not units and (not workers or address == ALONE):
            what = "GPU" if on_gpu else "core"
            raise InputError(f"--device {device}: Ray has no {what} now; where it grows on demand, give --workers")
        self.workers = workers or units
        """How many tasks are asked for at a time."""
        gpus = share(self.workers, units) if on_gpu else 0
        self._task = ray.remote(train_population).options(
            num_cpus=1,
            num_gpus=gpus,
            max_retries=RETRIES,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": WORKER_ENVIRONMENT},
        )
        self._shared: dict[DataSource, Any] = {}
        self._stopping = False

    def stop(self) -> None:
        self._stopping = True

    def run(self, jobs: Iterable[Job]) -> Iterator[Event]:
        """Train the jobs in their order; the tasks end with the iterator, also when it is abandoned."""
        waiting, again, tickets = iter(jobs), deque[Job](), count()
        working: dict[Any, int] = {}
        left: dict[int, Job] = {}
        post = post_here()
        try:
            while True:
                while len(working) < self.workers and (job := self._next(again, waiting)):
                    ticket = next(tickets)
                    working[self._begin(job, ticket, post)], left[ticket] = ticket, job
                if not working:
                    return
                over, _ = ray.wait(list(working), timeout=POLL)
                for ticket, event in fetched(post):
                    if ticket in left:  # a node that was given up may still talk
                        left[ticket] = left[ticket].after(event)
                        yield event
                for task in over:
                    rest = left.pop(working.pop(task))
                    yield resolve_failure(outcome(task, rest, self._stopping), rest, again)
                if self._stopping:
                    post.stop.remote()
        finally:
            end(working, post)

    def _next(self, again: deque[Job], waiting: Iterator[Job]) -> Job | None:
        return None if self._stopping else again.popleft() if again else next(waiting, None)

    def _begin(self, job: Job, ticket: int, post: Any) -> Any:
        try:
            dataset = self._dataset(job)
        except DnntrainError as error:
            return ray.put(JobFailed(job, str(error), error.exit_code))
        return self._task.remote(job, ticket, dataset, post, ENGINE_VERSION)

    def _dataset(self, job: Job) -> Any:
        """The job's data in the cluster's memory, where each source is put once."""
        source = job.specs[0].source
        if source not in self._shared:
            self._shared[source] = ray.put(plain(source.load(job.home)))
        return self._shared[source]


def plain(dataset: Dataset) -> Dataset:
    """The same data in ordinary arrays: Ray shares these as they are, but copies those that are mapped from disk."""
    arrays: dict[str, Any] = {name: np.asarray(getattr(dataset, name)) for name in ARRAYS}
    return replace(dataset, **arrays)


def share(workers: int, gpus: int) -> float:
    """The part of a GPU that each of so many tasks asks for, in Ray's steps of 1/10,000 and never too much."""
    together = math.ceil(workers / max(gpus, 1))
    return math.floor(10_000 / together) / 10_000


def post_here() -> Any:
    """A post on the coordinator's own node; where memory is short there, Ray may end it and start it again."""
    here = ray.get_runtime_context().get_node_id()
    pinned = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
    made = ray.remote(EventActor).options(
        num_cpus=0, scheduling_strategy=pinned, max_restarts=POST_RESTARTS, max_task_retries=-1
    )
    return made.remote()


def fetched(post: Any) -> list[tuple[int, Event]]:
    """What the tasks have told; DnntrainError where the post is lost, and with it what it kept."""
    try:
        told: list[tuple[int, Event]] = ray.get(post.fetch.remote())
        return told
    except ray.exceptions.RayError as error:
        raise DnntrainError(f"the Ray cluster no longer answers here ({brief(error)}); run it again") from None


def outcome(task: Any, left: Job, stopping: bool) -> JobFinished | JobFailed:
    """How a task ended; Failed where it gave nothing, or where the post lost what it told."""
    try:
        event: JobFinished | JobFailed = ray.get(task)
    except ray.exceptions.RayTaskError as error:
        return JobFailed(left, f"a Ray task failed: {brief(error.cause or error)}", 1)
    except ray.exceptions.RayError as error:
        return JobFailed(left, f"a Ray task was lost ({type(error).__name__}: {brief(error)})", 1, lost=True)
    if isinstance(event, JobFinished) and left.specs and not stopping:
        return JobFailed(left, "what a Ray task told was lost", 1, lost=True)
    return event


def end(tasks: Iterable[Any], post: Any) -> None:
    """End the tasks at once, and their post."""
    for task in tasks:
        with suppress(Exception):  # it may be over, or the cluster gone
            ray.cancel(task, force=True)
    with suppress(Exception):
        ray.kill(post)


def connect(address: str, workers: int | None) -> None:
    """Join the cluster at the address, or start Ray on this machine alone; InputError where there is no cluster."""
    if ray.is_initialized():
        return
    alone: dict[str, Any] = {"include_dashboard": False, "num_cpus": max(workers or 0, default_workers("cpu"))}
    check_reachable(address)
    with own_signals():
        try:
            ray.init(address, log_to_driver=False, logging_level="ERROR", **alone if address == ALONE else {})
        except (OSError, RuntimeError, ValueError) as error:
            none_here = "no Ray cluster is at work on this machine; `ray start --head` starts one"
            raise InputError(f"--address {address}: {none_here if address == 'auto' else brief(error)}") from None


def check_reachable(address: str) -> None:
    """InputError at once where nobody answers at HOST:PORT: Ray would wait for minutes."""
    if address in ("auto", ALONE):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise InputError(f"--address {address}: must be auto or the HOST:PORT of a cluster's head, as 10.0.0.5:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"--address {address}: no Ray cluster answers there ({error})") from None


@contextmanager
def own_signals() -> Iterator[None]:
    """Keep what an interrupt does here: Ray puts its own handler in place."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def brief(error: BaseException) -> str:
    """The first sentence of an error's message."""
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0].rstrip(".") if lines else type(error).__name__
