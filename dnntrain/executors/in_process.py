"""Trains in the command's own process, which saves a short run the start of a worker."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterable, Iterator

from dnntrain.executors.devices import accelerated
from dnntrain.executors.environment import prepare_this_process
from dnntrain.executors.jobs import Event, Job, JobFailed, SendEvent
from dnntrain.executors.local import LocalExecutor


class InProcessExecutor(LocalExecutor):
    """Trains a single run in this process, with the same bits as in a worker; a worker takes over if memory runs out.

    Only for the command line: it changes the environment of the process.
    """

    @staticmethod
    def suits(device: str, n_runs: int) -> bool:
        """Whether there is one run to train, on a CPU, and torch is not loaded yet, so that it can be set up."""
        return n_runs == 1 and not accelerated(device) and "torch" not in sys.modules

    def __init__(self) -> None:
        super().__init__(workers=1, device="cpu")

    def run(self, jobs: Iterable[Job], handle: SendEvent) -> None:
        """Train the jobs here; what cannot be trained for lack of memory goes to a worker."""
        super().run(self._train_here(jobs, handle), handle)

    def _train_here(self, jobs: Iterable[Job], handle: SendEvent) -> Iterator[Job]:
        """Train each job; yields what remains of one that ran out of memory."""
        from dnntrain.executors.worker import cached_dataset, import_training, run_job

        atexit.register(gc.freeze)  # without it the collector searches all of torch's objects for cycles at the exit
        for job in jobs:
            remaining = job

            def send(event: Event) -> None:
                nonlocal remaining
                remaining = remaining.apply(event)
                handle(event)

            prepare_this_process()
            import_training()
            end = run_job(job, send, lambda: self.stopping)
            if isinstance(end, JobFailed) and end.lost:
                cached_dataset.cache_clear()
                yield remaining
            else:
                handle(end)
