"""The floating-point operations of modules, as torch counts them, without torch's compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dnntrain.nn.modules.flops import FlopCounter

MODULES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "dense": (nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)), (4, 6)),
    "convolutions": (
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(2)),
        (2, 2, 8, 8),
    ),
    "attention": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
    "no product": (nn.Flatten(), (2, 3, 4)),
}


@pytest.mark.parametrize("name", MODULES)
def test_the_count_is_torchs(name: str) -> None:
    module, shape = MODULES[name]
    example = torch.ones(shape)
    module.eval()(example)
    with FlopCounterMode(display=False) as torchs:
        module(example)
    with FlopCounter() as counter:
        module(example)
    assert counter.total == torchs.get_total_flops()


def test_two_products_by_hand() -> None:
    with FlopCounter() as counter:
        torch.ones(4, 6) @ torch.ones(6, 5) @ torch.ones(5, 3)
    assert counter.total == 2 * 4 * 6 * 5 + 2 * 4 * 5 * 3


def test_counting_does_not_import_torchs_compiler() -> None:
    program = (
        "import sys, torch\nfrom dnntrain.nn.modules.flops import FlopCounter\n"
        "with FlopCounter():\n    torch.ones(2, 2) @ torch.ones(2, 2)\nprint('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert done.stdout == "False\n", done.stderr
