"""Trains on this machine: worker processes that take one job after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import cast

from dnntrain.executors.base import Executor, ExecutorOptions
from dnntrain.executors.devices import gpus_for
from dnntrain.executors.jobs import Event, Job, JobFailed, JobFinished
from dnntrain.executors.worker_process import SPARE_WORKERS, WorkerProcess


class LocalExecutor(Executor):
    """Worker processes on this machine. On GPUs each has one of its own, or shares it with as few others as can be."""

    name, summary = "local", "this machine"

    def __init__(
        self, workers: int | None = None, device: str = "auto", options: ExecutorOptions | None = None
    ) -> None:
        super().__init__(workers, device, options)
        self._workers: dict[Connection, WorkerProcess] = {}
        self._running: dict[Connection, Job] = {}
        self._gpus = gpus_for(device)

    def submit(self, job: Job) -> None:
        """Send the job to an idle worker, or to a new one."""
        idle = next((connection for connection in self._workers if connection not in self._running), None)
        connection = idle or self._new_worker()
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
        """Terminate all workers; idle ones may serve the next study of the command line."""
        for connection, worker in self._workers.items():
            if connection in self._running:
                worker.end()
            else:
                SPARE_WORKERS.keep(worker)
        self._workers.clear()
        self._running.clear()

    def _new_worker(self) -> Connection:
        gpu = self._freest_gpu() if self._gpus else None
        worker = SPARE_WORKERS.take(gpu) or WorkerProcess.start(gpu)
        self._workers[worker.connection] = worker
        return worker.connection

    def _freest_gpu(self) -> str:
        """The GPU that the fewest workers have: that of a worker that has died, or the next one."""
        taken = [worker.gpu for worker in self._workers.values()]
        return min(self._gpus, key=taken.count)

    def _lost(self, connection: Connection) -> JobFailed:
        """How a dead worker's job failed. A worker that was killed may have been short of memory."""
        code = self._workers.pop(connection).wait()  # it may still be on its way to its own exit code
        job = self._running[connection]
        if code > 0:
            return JobFailed(job, f"a worker process failed with exit code {code}; its error is above")
        return JobFailed(job, "a worker process died (killed, or out of memory)", lost=True)
