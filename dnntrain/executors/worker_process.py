"""Starts worker processes, also ahead of their first job, and keeps idle ones for the next study of the same command.

The command line imports this module before anything else, so it imports little itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from dnntrain.executors.environment import WORKER_ENVIRONMENT

LONGEST_END = 30.0
"""Seconds that a worker may take to end, which a GPU's driver can make long."""


@dataclass(eq=False)
class WorkerProcess:
    """A worker, a program of its own (`executors.worker`) with the environment that it needs.

    So the caller's main module is not imported again, its environment stays as it is, and it may have loaded torch.
    """

    process: subprocess.Popen[bytes]
    connection: Connection
    """Takes jobs, and gives events."""
    gpu: str | None = None
    """The one GPU that it sees; None for a CPU."""

    @classmethod
    def start(cls, gpu: str | None = None) -> WorkerProcess:
        """Start a worker; it loads what training needs, and then waits for a job."""
        ours, theirs = Pipe()
        command = [sys.executable, "-P", "-m", "dnntrain.executors.worker"]
        path = os.pathsep.join(folder or os.getcwd() for folder in sys.path if isinstance(folder, str))
        environment = {**os.environ, **WORKER_ENVIRONMENT, "PYTHONPATH": path}
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpu
        with theirs, interrupts_blocked():
            return cls(subprocess.Popen(command, stdin=theirs.fileno(), env=environment), ours, gpu)

    def end(self) -> None:
        """Terminate it."""
        self.process.terminate()
        self.wait()

    def wait(self) -> int:
        """Wait for its end, and return its exit code; one that does not come to its end is killed."""
        try:
            code = self.process.wait(LONGEST_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.connection.close()
        return code


class SpareWorkers:
    """Workers without a job that outlive an executor, for the next one in this process.

    There are some only while the command line runs: from Python no worker outlives the call that started it.
    """

    def __init__(self) -> None:
        self._idle: list[WorkerProcess] = []
        self._keeps = False

    @contextmanager
    def started(self, count: int) -> Iterator[None]:
        """Start workers ahead of their first job, and keep idle ones until the block ends."""
        self._keeps = True
        try:
            self._idle += [WorkerProcess.start() for _ in range(count)]
            yield
        finally:
            self._keeps = False
            while self._idle:
                self._idle.pop().end()

    def take(self, gpu: str | None) -> WorkerProcess | None:
        """A worker for this GPU, or for a CPU, that is still running; None if there is none."""
        for worker in [worker for worker in self._idle if worker.gpu == gpu]:
            self._idle.remove(worker)
            if worker.process.poll() is None:
                return worker
            worker.end()
        return None

    def keep(self, worker: WorkerProcess) -> None:
        """Keep an idle worker, or end it."""
        if self._keeps:
            self._idle.append(worker)
        else:
            worker.end()


SPARE_WORKERS = SpareWorkers()
"""Those of this process."""


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in this thread, which a new process inherits: Ctrl-C in a terminal reaches all processes at once,
    but only the coordinator decides what it means."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
