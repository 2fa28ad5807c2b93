"""Which devices this machine has, and how many workers it can feed. Only `pick_device` loads torch."""

from __future__ import annotations

import math
import os
from pathlib import Path

from dnntrain.errors import DnntrainError, InputError
from dnntrain.executors.environment import processor
from dnntrain.nn.precision import Precision
from dnntrain.utils import cgroups
from dnntrain.utils.lazy import torch

TF32_GPU = "an NVIDIA GPU of compute capability 8.0 or higher"
"""What has tf32, and bf16 too."""


def accelerated(device: str) -> bool:
    """Whether the device of this name is an accelerator on this machine; does not load torch."""
    return device in ("cuda", "mps") or (device == "auto" and has_visible_gpu())


def has_visible_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether there is an NVIDIA GPU that $CUDA_VISIBLE_DEVICES does not hide.

    CUDA reads that list up to the first entry that names no GPU, so '' and '-1' hide all of them.
    """
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    visible = first.isdecimal() or first.startswith(("GPU-", "MIG-"))
    return visible and any(devices.glob("nvidia[0-9]*"))


def default_workers(device: str, root: Path = cgroups.ROOT) -> int:
    """One worker for each core that this process may use; a single one for an accelerator."""
    if accelerated(device):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, cgroups.cores(root) or cores)))


def cpu_precision_fault(precision: Precision) -> str | None:
    """Why this machine's CPU cannot train in a precision, starting with the key; None if it can. Needs no torch."""
    if precision == "tf32":
        return f"precision tf32: needs {TF32_GPU}, and this is a CPU"
    fields = processor()
    features = {*fields.get("flags", "").split(), *fields.get("Features", "").split()}  # as Intel's and Arm's name them
    if precision == "bf16" and not features & {"avx512_bf16", "amx_bf16", "bf16"}:
        return "precision bf16: this CPU has no bfloat16 instructions, and would take many times as long as in fp32"
    return None


def check_precision(precision: Precision, device: torch.device) -> None:
    """Raise InputError if a device cannot train in a precision."""
    if precision == "fp32":
        return
    fault = None
    if device.type == "cpu":
        fault = cpu_precision_fault(precision)
    elif device.type != "cuda":
        fault = f"precision {precision}: for CPUs and NVIDIA GPUs, not for device {device.type}"
    elif torch.cuda.get_device_capability(device) < (8, 0):
        fault = f"precision {precision}: needs {TF32_GPU}; this is a {torch.cuda.get_device_name(device)}"
    if fault:
        raise InputError(fault)


def pick_device(name: str) -> torch.device:
    """The torch device for auto, cpu, cuda or mps.

    Raises:
        DnntrainError: The device is not available on this machine.
    """
    mps: bool = torch.backends.mps.is_available()
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": mps}
    if name == "auto":
        name = "cuda" if available["cuda"] else "cpu"
    if not available[name]:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = f" (CUDA_VISIBLE_DEVICES is '{visible}')" if name == "cuda" and visible is not None else ""
        raise DnntrainError(f"device {name} is not available here{why}; use --device cpu or auto")
    return torch.device(name)
