"""Nothing in an epoch waits for the device: the host looks at what was computed only between epochs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.loop import train_population
from tests.support.catalogue import EVERY_TECHNIQUE, data_for
from tests.support.waiting import waits


class Waits(TorchDispatchMode):
    """Counts the operations that would wait for a device; on a CPU they do not wait, but are the same."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.count += waits(func.overloadpacket, args, kwargs)
        return func(*args, **kwargs)


def on_cpu(work: Callable[[torch.device], object]) -> int:
    with Waits() as seen:
        work(torch.device("cpu"))
    return seen.count


def on_cuda(work: Callable[[torch.device], object]) -> int:
    """As CUDA itself tells: it warns whenever the host waits."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            work(torch.device("cuda"))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in told)


COUNTERS = [on_cpu, pytest.param(on_cuda, marks=pytest.mark.cuda)]


@pytest.mark.parametrize("count", COUNTERS)
@pytest.mark.parametrize("technique", EVERY_TECHNIQUE)
def test_more_steps_wait_no_more_often(count: Callable[..., int], technique: str, few: Dataset) -> None:
    data = data_for(technique, few)

    def epoch(images: int) -> int:
        settings = {"hidden": "9,7", "batch_size": 10, "train_size": images, "val": 50, "epochs": 1}
        specs = [RunSpec.parse(settings | EVERY_TECHNIQUE[technique] | {"seed": seed}) for seed in (0, 1)]
        return count(lambda device: train_population(specs, data, device))

    assert epoch(40) == epoch(80)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_waiting_is_noticed(mode: Callable[[], Any]) -> None:
    with mode():
        three, mask = torch.ones(3), torch.arange(3) > 1
        assert on_cpu(lambda device: three.sum().item()) == 1
        assert on_cpu(lambda device: bool(three.sum())) == 1
        assert on_cpu(lambda device: three[mask]) == 1
        assert on_cpu(lambda device: three.to("cpu", copy=True)) == 1
        assert on_cpu(lambda device: three.masked_fill_(mask, 0.0)) == 0
