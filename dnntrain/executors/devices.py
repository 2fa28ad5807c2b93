"""Which devices this machine has, and how many workers it can feed. Only `pick_device` loads torch."""

from __future__ import annotations

import os
from itertools import takewhile
from pathlib import Path

from dnntrain.errors import DnntrainError, InputError
from dnntrain.executors.environment import processor
from dnntrain.nn.precision import Precision
from dnntrain.utils import cgroups
from dnntrain.utils.lazy import torch
from dnntrain.utils.threads import usable_cores

TF32_GPU = "an NVIDIA GPU of compute capability 8.0 or higher"
"""What has tf32, and bf16 too."""


DEVICE_FILES = Path("/dev")
"""Where each NVIDIA GPU has a file, `nvidia0` and so on."""


def accelerated(device: str) -> bool:
    """Whether the device of this name is an accelerator on this machine; does not load torch."""
    return device in ("cuda", "mps") or (device == "auto" and bool(visible_gpus()))


def visible_gpus() -> list[str]:
    """The NVIDIA GPUs that this process may use, each by the name that $CUDA_VISIBLE_DEVICES has for it.

    Without that variable they are numbered. CUDA reads its list up to the first entry that names no GPU, so '' and '-1'
    hide all of them. A container may have only `nvidia3`, which then has the number 0.
    """
    count = sum(1 for _ in DEVICE_FILES.glob("nvidia[0-9]*"))
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not count or listed is None:
        return [str(number) for number in range(count)]
    entries = [entry.strip() for entry in listed.split(",")]
    return list(takewhile(lambda entry: names_gpu(entry, count), entries))


def names_gpu(entry: str, count: int) -> bool:
    """Whether an entry of $CUDA_VISIBLE_DEVICES can be one of so many GPUs: a number, or the start of a UUID."""
    return int(entry) < count if entry.isdecimal() else entry.startswith(("GPU-", "MIG-"))


def gpus_for(device: str) -> list[str]:
    """The visible GPUs that a device of this name means: none for cpu and mps."""
    return visible_gpus() if device in ("auto", "cuda") else []


def default_workers(device: str, root: Path = cgroups.ROOT) -> int:
    """One worker for each visible GPU, or each core that this process may use; a single one for Apple's accelerator."""
    if accelerated(device):
        return max(1, len(gpus_for(device)))
    return usable_cores(root)


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
