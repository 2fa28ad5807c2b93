"""Where the time of an epoch goes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch.profiler import ProfilerActivity

from dnntrain.data import Dataset
from dnntrain.engine import loop
from tests.bench.gpu.cases import Extent
from tests.bench.gpu.engine import specs_of, ways
from tests.bench.gpu.timing import free, synchronize

STEPS = 40
"""Of the epoch that is profiled; each has some hundred events."""
ROWS = 10


def profile(
    settings: dict[str, Any], members: int, how: str, dataset: Dataset, device: torch.device, extent: Extent
) -> str:
    """Profile a short epoch after the first, with validation; returns what took longest on the host and the device."""
    size = min(extent.train_size, STEPS * settings["batch_size"])
    specs = specs_of(settings, members, replace(extent, epochs=3, train_size=size))
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    profiler, epochs = torch.profiler.profile(activities=activities), 0

    def on_epoch(*_: object) -> None:
        nonlocal epochs
        epochs += 1
        synchronize(device)
        if epochs == 1:
            profiler.start()
        elif epochs == 2:
            profiler.stop()

    loop.train_population(specs, dataset, device, on_epoch, keep_predictions=False, runner=ways(device)[how])
    averages, orders = profiler.key_averages(), ["self_cpu_time_total"]
    orders += ["self_cuda_time_total"] * (device.type == "cuda")
    text = "\n".join(averages.table(sort_by=by, row_limit=ROWS, max_name_column_width=50) for by in orders)
    free(device)
    return text
