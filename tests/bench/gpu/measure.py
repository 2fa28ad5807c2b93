"""Runs the sections within the budget, and prints and writes what they measured."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dnntrain.data import Dataset, load_dataset
from tests.bench.gpu.cases import FULL, QUICK, TINY
from tests.bench.gpu.plain import Images
from tests.bench.gpu.report import print_report
from tests.bench.gpu.results import Clock, Results
from tests.bench.gpu.sections import Bench
from tests.bench.gpu.targets import judge, record

SECTIONS = {
    "agreement": 0.12,
    "setup": 0.15,
    "plain_dense": 0.20,
    "dense": 0.52,
    "small_cnn": 0.64,
    "resnet": 0.70,
    "jax": 0.84,
    "compiled": 0.96,
    "profiles": 1.0,
}
"""The sections in order, and the share of the budget by which each is to be over."""


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on."""
    versions = {"torch": str(torch.__version__), "python": platform.python_version()}
    if importlib.util.find_spec("jax"):
        versions["jax"] = importlib.metadata.version("jax")
    if device.type != "cuda":
        return {"device": "cpu (only a test of this program)"} | versions
    properties = torch.cuda.get_device_properties(device)
    return {
        "gpu": properties.name,
        "memory": f"{properties.total_memory / 2**30:.0f} GiB",
        "driver": driver(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    } | versions


def driver() -> str:
    """The version of NVIDIA's driver."""
    if not shutil.which("nvidia-smi"):
        return "unknown"
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return (subprocess.run(command, capture_output=True, text=True).stdout.splitlines() or ["unknown"])[0]


def in_fp32() -> None:
    """Time the peers' products and convolutions in fp32, as dnntrain's are; by default cuDNN may use tf32."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def first_test_images(dataset: Dataset, n: int) -> Dataset:
    """The data set with its first n test images."""
    return replace(dataset, test_inputs=dataset.test_inputs[:n], test_targets=dataset.test_targets[:n])


def measure(
    device: torch.device, quick: bool, budget: float, file: Path | None, only: Sequence[str] | None = None
) -> int:
    """Run the sections, or only some; print the report; return the exit code."""
    extent = (TINY if device.type == "cpu" else QUICK) if quick else FULL
    results = Results(file, machine(device))
    clock = Clock(budget, results)
    dataset = first_test_images(load_dataset("fashion-mini"), extent.test)
    bench = Bench(results, clock, dataset, Images.of(dataset, extent.train_size, device), device, extent)
    for name, until in SECTIONS.items():
        if name != "agreement":
            in_fp32()
        if not only or name in only:
            clock.section(name, until, getattr(bench, name))
    targets = judge(results)
    record(results, targets)
    print_report(results, targets)
    if file:
        print(f"\nwritten to {file}", file=sys.stderr)
    disagree = any(not row["agrees"] for row in results.rows if row["what"] == "agreement")
    return 1 if disagree or results.failed else 0
