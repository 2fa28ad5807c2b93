"""Work that many members of a population need, spread over threads."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from dnntrain.utils import cgroups

T = TypeVar("T")
R = TypeVar("R")


def usable_cores(root: Path = cgroups.ROOT) -> int:
    """The cores that this process may use, by its affinity and the limit of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, cgroups.cores(root) or cores)))


def host_threads(device: str) -> int:
    """How many threads prepare numbers for a device of this type.

    All cores where it is an accelerator, which waits for them. One on a CPU, where each core has a worker of its own.
    """
    return 1 if device == "cpu" else usable_cores()


def in_threads(function: Callable[[T], R], items: Iterable[T], threads: int) -> list[R]:
    """The function's results for the items, in their order; with one thread, in this one.

    It pays where the function lets go of Python's global lock, as NumPy does while it draws or copies numbers. The
    first error is raised when all items are done or dropped.
    """
    if threads == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))
