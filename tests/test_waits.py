"""Nothing in an epoch waits for the device: the host looks at what was computed only between epochs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dnntrain.data import Dataset
from dnntrain.engine import train
from dnntrain.spec import RunSpec
from tests.catalogue import EVERY_TECHNIQUE

AS_NUMBERS = {torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.masked_select}
BY_INDEX = {torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_}


def gives_the_host_something(operation: Any, args: Any) -> bool:
    """Whether it gives the host a number, or a tensor whose size depends on numbers: `.item()`, `if`, a mask."""
    masks = (index.dtype == torch.bool for index in args[1] if index is not None) if operation in BY_INDEX else ()
    return operation in AS_NUMBERS or any(masks)


class Waits(TorchDispatchMode):
    """Counts the operations that would wait for a device; on a CPU they do not wait, but are the same."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += gives_the_host_something(func.overloadpacket, args)
        return func(*args, **(kwargs or {}))


def waits_on_cpu(work: Callable[[torch.device], object]) -> int:
    with Waits() as waits:
        work(torch.device("cpu"))
    return waits.count


def waits_on_cuda(work: Callable[[torch.device], object]) -> int:
    """As CUDA itself tells: it warns whenever the host waits."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            work(torch.device("cuda"))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in told)


COUNTERS = [waits_on_cpu, *([waits_on_cuda] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("waits", COUNTERS)
@pytest.mark.parametrize("technique", EVERY_TECHNIQUE)
def test_more_steps_wait_no_more_often(waits: Callable[..., int], technique: str, mini: Dataset) -> None:
    def epoch(images: int) -> int:
        settings = {"hidden": "9,7", "batch_size": 10, "train_size": images, "val": 50, "epochs": 1}
        specs = [RunSpec.parse(settings | EVERY_TECHNIQUE[technique] | {"seed": seed}) for seed in (0, 1)]
        return waits(lambda device: train(specs, mini, device))

    assert epoch(200) == epoch(400)


def test_waiting_is_noticed() -> None:
    assert waits_on_cpu(lambda device: torch.ones(3, device=device).sum().item()) == 1
    assert waits_on_cpu(lambda device: bool(torch.ones(1, device=device))) == 1
    assert waits_on_cpu(lambda device: torch.arange(3, device=device)[torch.arange(3, device=device) > 1]) == 1
