"""What is measured: networks, numbers of members, and how much of each. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

MODULES = f"module:{Path(__file__).with_name('modules.py')}"
"""Where the networks are that a user would bring."""


@dataclass(frozen=True)
class DenseCase:
    """A dense network and how it is trained, by plain SGD."""

    name: str
    widths: tuple[int, ...]
    batch_size: int
    batch_norm: bool = False
    dropout: float = 0.0
    clipnorm: float | None = None
    """The largest norm of each tensor's gradient."""

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings in dnntrain."""
        options: dict[str, Any] = {"bn": self.batch_norm, "dropout": self.dropout, "clipnorm": self.clipnorm}
        hidden = ",".join(map(str, self.widths))
        return {"hidden": hidden, "batch_size": self.batch_size} | {k: v for k, v in options.items() if v}


SMALL = DenseCase("50-50, batch 16", (50, 50), 16)
DENSE = (
    SMALL,
    DenseCase("50-50 with bn, batch 16", (50, 50), 16, batch_norm=True),
    DenseCase("300-100, batch 32", (300, 100), 32),
    DenseCase("20x100 with bn, dropout and clipnorm, batch 32", (100,) * 20, 32, True, 0.1, 1.0),
)
DEEP = DENSE[-1]

CNN = "small CNN, batch 64"
CNN_BATCH = 64
CNN_SETTINGS: dict[str, Any] = {"net": "cnn:channels=32/64", "hidden": "128", "batch_size": CNN_BATCH}

RESNET = "ResNet-9, batch 128"
RESNET_BATCH = 128
RESNETS: dict[str, dict[str, Any]] = {
    "engine, net resnet": {"net": "resnet:blocks=2/2,width=32", "bn": True, "batch_size": RESNET_BATCH},
    "engine, own module": {"net": f"{MODULES}:ResNet9", "hidden": "none", "batch_size": RESNET_BATCH},
}


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    members: tuple[int, ...]
    """Of the dense networks."""
    cnn_members: tuple[int, ...]
    resnet_members: tuple[int, ...]
    jax_members: tuple[int, ...]
    jax_cnn_members: tuple[int, ...]
    train_size: int
    """Training images of a member."""
    val: int
    test: int
    epochs: int
    """The first one warms up."""
    steps: int
    """In each timed block of steps; fewer where an epoch is shorter."""
    repeats: int
    agreement_size: int
    """Training images of the runs that are compared with the CPU's."""


FULL = Extent(
    members=(1, 8, 64, 256, 1024),
    cnn_members=(1, 8, 32, 128),
    resnet_members=(1, 4),
    jax_members=(1, 64, 1024),
    jax_cnn_members=(32, 128),
    train_size=9000,
    val=1000,
    test=2000,
    epochs=3,
    steps=100,
    repeats=3,
    agreement_size=1000,
)
QUICK = replace(
    FULL, members=(1, 64, 1024), cnn_members=(1, 32), jax_members=(1, 64), jax_cnn_members=(32,), epochs=2, repeats=2
)
TINY = Extent((1, 2), (1, 2), (1,), (1, 2), (2,), 66, 32, 32, epochs=2, steps=2, repeats=1, agreement_size=32)
"""On a CPU, where only the program itself is tested."""
