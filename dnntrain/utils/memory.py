"""How much memory is free for training, and how many examples are evaluated at once."""

from __future__ import annotations

import csv
import gc
import subprocess
from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

import psutil

from dnntrain.utils import cgroups
from dnntrain.utils.lazy import torch

EVALUATION_ROWS = 512
"""Examples per evaluation batch: enough to amortize a step's fixed cost, few enough for their activations to fit."""

QUERY = ("nvidia-smi", "--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits")
QUERY_SECONDS = 20.0
"""The longest wait for the answer. Without a process that uses them, GPUs take seconds to wake up."""

SHORTAGES = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""What CUDA, torch's allocator on the CPU, and cuBLAS or cuDNN say."""


class GpuMemory(NamedTuple):
    """The free memory of one GPU."""

    number: str
    uuid: str
    free: int
    """In bytes."""


def available() -> int:
    """Free memory in bytes: that of the machine, or what the container's limit leaves (psutil does not see limits)."""
    machine = int(psutil.virtual_memory().available)
    return min(machine, cgroups.memory() or machine)


def available_on(gpus: Collection[str]) -> int | None:
    """The free memory of the fullest of some GPUs, in bytes; None if it cannot be known.

    Args:
        gpus: Their numbers, or the beginnings of their UUIDs. A part of a GPU (`MIG-…`) cannot be asked about.
    """
    found = [next((m.free for m in gpu_memory() if m.number == gpu or m.uuid.startswith(gpu)), None) for gpu in gpus]
    known = [free for free in found if free is not None]
    return min(known) if known and len(known) == len(found) else None


@lru_cache
def gpu_memory() -> tuple[GpuMemory, ...]:
    """The free memory of each GPU, as `nvidia-smi` tells it without loading torch; asked once. Empty if it cannot."""
    try:
        done = subprocess.run(QUERY, capture_output=True, text=True, timeout=QUERY_SECONDS, check=True)
        rows = csv.reader(done.stdout.splitlines(), skipinitialspace=True)
        return tuple(GpuMemory(number, uuid, int(mebibytes) * 2**20) for number, uuid, mebibytes in rows)
    except (OSError, subprocess.SubprocessError, ValueError):  # not installed, no driver, or an answer as [N/A]
        return ()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, torch or the accelerator ran out of memory."""
    short = isinstance(error, RuntimeError) and any(words in str(error) for words in SHORTAGES)
    return short or isinstance(error, MemoryError)


def release_memory() -> None:
    """Free what nobody refers to, and give the accelerator's part back to its driver, for others that share it."""
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
