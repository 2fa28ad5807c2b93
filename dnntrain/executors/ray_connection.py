"""Connects to a Ray cluster, or starts Ray on this machine."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dnntrain.errors import InputError
from dnntrain.executors.devices import default_workers
from dnntrain.utils.lazy import LazyModule
from dnntrain.utils.signals import handlers_restored

ray: Any = LazyModule("ray")

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no reports to anyone
    # memory that was short once will be short again: halves of the population are tried instead
    "RAY_task_oom_retries": "0",
    # one try takes 40 s if something else listens at the cluster's port; Ray would try 20 times
    "RAY_NUM_REDIS_GET_RETRIES": "1",
}
"""What Ray reads from the environment when it is imported and started."""

OWN_INSTANCE = "local"
"""Ray's word for an instance that is started on this machine, for this process alone."""
CONNECT_SECONDS = 5.0


def connect(address: str, workers: int | None) -> None:
    """Join a cluster, or start Ray on this machine; leaves the environment and the signal handlers as they were.

    Raises:
        InputError: Ray is not installed, or there is no cluster at the address.
    """
    with environment_restored(), handlers_restored():
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        try:
            importlib.import_module("ray")
        except ImportError as error:
            message = f"--executor ray: Ray cannot be imported ({error}); pip install 'dnntrain[ray]'"
            raise InputError(message) from None
        check_reachable(address)
        if ray.is_initialized():
            return
        own: dict[str, Any] = {"include_dashboard": False, "num_cpus": max(workers or 0, default_workers("cpu"))}
        try:
            ray.init(address, log_to_driver=False, logging_level="ERROR", **own if address == OWN_INSTANCE else {})
        except (OSError, RuntimeError, ValueError) as error:
            none_here = "no Ray cluster is running on this machine; `ray start --head` starts one"
            reason = none_here if address == "auto" else first_sentence(error)
            raise InputError(f"--address {address}: {reason}") from None


@contextmanager
def environment_restored() -> Iterator[None]:
    """Restore `os.environ` afterwards."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def check_reachable(address: str) -> None:
    """Raise InputError at once if nobody listens at HOST:PORT: Ray would wait for minutes."""
    if address in ("auto", OWN_INSTANCE):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise InputError(f"--address {address}: must be auto or the HOST:PORT of a cluster's head, as 10.0.0.5:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"--address {address}: no Ray cluster answers there ({error})") from None


def first_sentence(error: BaseException) -> str:
    """The first sentence of an error's message, or its type."""
    lines = str(error).strip().splitlines()
    return lines[0].split(". ")[0].rstrip(".") if lines else type(error).__name__
