"""The executors by name. What an executor needs is imported only when it is used."""

from __future__ import annotations

from collections.abc import Callable

from dnntrain.executors.local import Executor, LocalExecutor, default_workers

MakeExecutor = Callable[[int | None, str, str | None], Executor]
"""Makes an executor from the number of workers, the device and the cluster's address."""


def local_executor(workers: int | None, device: str, address: str | None) -> Executor:
    """Worker processes on this machine."""
    return LocalExecutor(workers or default_workers(device))


def ray_executor(workers: int | None, device: str, address: str | None) -> Executor:
    """A Ray cluster."""
    from dnntrain.executors.ray import RayExecutor

    return RayExecutor(workers, device, address)


EXECUTORS: dict[str, MakeExecutor] = {"local": local_executor, "ray": ray_executor}
"""Every executor by the name that `--executor` takes."""
