"""Trains on this machine: worker processes that take one job after the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import cast

from dnntrain.executors.base import Executor, ExecutorOptions
from dnntrain.executors.devices import gpus_for
from dnntrain.executors.environment import WORKER_ENVIRONMENT
from dnntrain.executors.jobs import Event, Job, JobFailed, JobFinished


class LocalExecutor(Executor):
    """Worker processes on this machine.

    On GPUs each worker has one of its own, or shares it with as few others as can be.

    Each is a program of its own (`executors.worker`), started with the environment that it needs. So the caller's main
    module is not imported again, its environment stays as it is, and it may have loaded torch already.
    """

    name, summary = "local", "this machine"

    def __init__(
        self, workers: int | None = None, device: str = "auto", options: ExecutorOptions | None = None
    ) -> None:
        super().__init__(workers, device, options)
        self._processes: dict[Connection, subprocess.Popen[bytes]] = {}
        self._running: dict[Connection, Job] = {}
        self._gpus = gpus_for(device)
        self._gpu_of: dict[Connection, str] = {}

    def submit(self, job: Job) -> None:
        """Send the job to an idle worker, or to a new one."""
        idle = next((connection for connection in self._processes if connection not in self._running), None)
        connection = idle or self._start_worker()
        self._running[connection] = job
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died, which `poll` will notice
            connection.send(job)

    def poll(self, timeout: float) -> Iterator[Event]:
        """One event from each worker that has sent any."""
        for connection in cast("list[Connection]", wait(list(self._running), timeout)):
            try:
                event: Event = connection.recv()
            except (EOFError, OSError):
                event = self._lost(connection)
            if isinstance(event, JobFinished | JobFailed):
                del self._running[connection]
            yield event

    def cancel(self) -> None:
        """Ask the busy workers to stop."""
        for connection in self._running:
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.send(None)

    def close(self) -> None:
        """Terminate all workers."""
        for process in self._processes.values():
            process.terminate()
        for connection, process in self._processes.items():
            process.wait()
            connection.close()
        self._processes.clear()
        self._gpu_of.clear()
        self._running.clear()

    def _start_worker(self) -> Connection:
        ours, theirs = Pipe()
        command = [sys.executable, "-P", "-m", "dnntrain.executors.worker"]
        path = os.pathsep.join(folder or os.getcwd() for folder in sys.path if isinstance(folder, str))
        environment = {**os.environ, **WORKER_ENVIRONMENT, "PYTHONPATH": path}
        if self._gpus:
            self._gpu_of[ours] = environment["CUDA_VISIBLE_DEVICES"] = self._freest_gpu()
        with theirs, interrupts_blocked():
            process = subprocess.Popen(command, stdin=theirs.fileno(), env=environment)
        self._processes[ours] = process
        return ours

    def _freest_gpu(self) -> str:
        """The GPU that the fewest workers have: that of a worker that has died, or the next one."""
        taken = [*self._gpu_of.values()]
        return min(self._gpus, key=taken.count)

    def _lost(self, connection: Connection) -> JobFailed:
        """How a dead worker's job failed. A worker that was killed may have been short of memory."""
        code = self._processes.pop(connection).wait()
        connection.close()
        self._gpu_of.pop(connection, None)
        job = self._running[connection]
        if code > 0:
            return JobFailed(job, f"a worker process failed with exit code {code}; its error is above")
        return JobFailed(job, "a worker process died (killed, or out of memory)", lost=True)


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in this thread, which a new process inherits: Ctrl-C in a terminal reaches all processes at once,
    but only the coordinator decides what it means."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
