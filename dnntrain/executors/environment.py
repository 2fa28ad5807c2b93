"""The environment that training needs for reproducible bits and fast allocation, and its description for records.

Three conditions make a run's numbers the same alone and in any population (found by comparing bits, and held by tests):
one thread per worker; MKL using one code path for every alignment; rows padded to whole SIMD vectors
(`engine.batches`).
"""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from dnntrain.utils.lazy import torch


@lru_cache
def processor() -> dict[str, str]:
    """The fields of /proc/cpuinfo for the first processor; empty on other systems than Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def processor_name() -> str:
    """The processor's model."""
    return processor().get("model name") or platform.processor()


def mkl_code_path() -> str:
    """The widest MKL code path that this processor supports and that gives a member the same bits in any population.

    MKL promises equal bits for operands that start at multiples of 64 bytes. A population's weights may not, if their
    number is odd. On Intel's processors that made no difference (18,000 populations of random shapes on AVX-512, 15,000
    on AVX2), and without STRICT products take 10 to 30 % less time. On others only STRICT is known to hold.
    """
    flags, is_intel = set(processor().get("flags", "").split()), processor().get("vendor_id") == "GenuineIntel"
    if not is_intel:
        return "AVX2,STRICT"
    return "AVX512" if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags else "AVX2"


ALLOCATOR = {
    # gradients are allocated at every step: keep their pages instead of mapping them again
    "MALLOC_MMAP_THRESHOLD_": (-3, 2**30),
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**30),
    "MALLOC_TOP_PAD_": (-2, 2**26),
}
"""glibc's allocator settings: the variable read when a process starts, the number of `mallopt`, and the value."""

WORKER_ENVIRONMENT = {
    # one thread a worker, one worker a core: with two threads some matrix products round differently
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # by default MKL picks its code by processor and alignment, and on some one odd batch size in ten gave other bits
    "MKL_CBWR": mkl_code_path(),
    **{name: str(value) for name, (_, value) in ALLOCATOR.items()},
    # jobs bring the plug-ins' files, as they were when the study began
    "DNNTRAIN_PLUGINS": "",
}
"""Environment variables that a worker needs before it loads torch."""


def prepare_this_process() -> None:
    """Give this process the environment of a worker. Must come before torch is loaded, whose libraries read it once."""
    os.environ.update(WORKER_ENVIRONMENT)
    with suppress(OSError, AttributeError, TypeError):  # not glibc
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ALLOCATOR.values():
            mallopt(option, value)


def describe_environment(device: torch.device) -> dict[str, Any]:
    """What trains a run, for its record: versions, platform, threads, device, and whether its bits are reproducible."""
    import numpy as np

    threads = torch.get_num_threads()
    mkl: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    exact = device.type == "cpu" and threads == 1 and mkl
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # plain text: unpickling torch's own class would load torch
        "numpy": np.__version__,
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cpu": processor_name(),
        "threads": threads,
        "mkl": os.environ.get("MKL_CBWR", "AUTO"),
        "device": str(device) if device.type != "cuda" else f"cuda ({torch.cuda.get_device_name(device)})",
        "bit_for_bit": bool(exact and os.environ.get("MKL_CBWR") == WORKER_ENVIRONMENT["MKL_CBWR"]),
    }
