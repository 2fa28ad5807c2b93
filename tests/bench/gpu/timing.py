"""Timing on a device: the host waits for it before and after."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

Step = Callable[[], object]

WARM_UP = 3
"""Eager calls before a capture; the first ones set up cuBLAS and cuDNN."""


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """How long some work takes, on the device as well."""
    synchronize(device)
    started = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - started


def median_seconds(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """The median of several times, after one that warms up."""
    work()
    return statistics.median(seconds_of(work, device) for _ in range(repeats))


def step_seconds(step: Callable[[int], object], steps: int, device: torch.device, repeats: int) -> float:
    """Seconds of one of many steps, which are numbered from 0; the median of several blocks."""

    def block() -> None:
        for number in range(steps):
            step(number)

    return median_seconds(block, device, repeats) / steps


@dataclass(frozen=True)
class Captured:
    """A step as a CUDA graph. It reads and writes the same memory each time it is called."""

    graph: torch.cuda.CUDAGraph
    step: Step
    """Holds the tensors that the graph works on: the graph alone does not keep their memory."""

    def __call__(self) -> None:
        """Replay the step."""
        self.graph.replay()


def captured(step: Step) -> Captured:
    """Capture a step, as torch's notes on CUDA graphs show it: warm up on a side stream, then record."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return Captured(graph, step)


def free(device: torch.device) -> None:
    """Give memory back that nothing needs any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
