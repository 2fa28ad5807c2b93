"""What all peers share: what they are asked, the arrays, the clock, and what they answer.

A peer is a script that is given a JSON list of tasks and prints one JSON line for each:

    {"workload", "arm", "seconds": an epoch's after the first, "val_acc": [one an epoch], "peak_memory": bytes,
     "test_seconds": those of one pass over the test part, 0 without one, "test_acc"}

The peers run in an environment of their own, so this module needs nothing but numpy.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLASSES = 10
KERNEL = 3
"""Height and width of every convolution's kernel."""


@dataclass(frozen=True)
class Task:
    """One network to train: what a peer is asked."""

    workload: str
    arm: str
    """Its name in the workload; what it changes is in the fields below."""
    folder: str
    """Holds x_train.npy, y_train.npy, and those of val and test: uint8 (N, features) and int64 (N,).

    A transfer finds the trained network in base.npz.
    """
    kind: str
    """dense, cnn, resnet, own module or transfer."""
    shape: list[int]
    """Channels, height and width of an image."""
    channels: list[int]
    """Of the convolutions, each followed by its activation and a max-pooling of 2×2, below the dense layers; or []."""
    hidden: list[int]
    activation: str
    initializer: str
    batch_norm: bool
    dropout: float
    clipvalue: float | None
    optimizer: str
    """sgd or adam."""
    lr: float
    batch_size: int
    scale: str
    epochs: int
    """The first one is the warm-up: what is compiled in it is not held against anybody."""
    classes: int = CLASSES
    blocks: list[int] = field(default_factory=list)
    """Residual blocks of each stage of a resnet."""
    width: int = 0
    """Channels of a resnet's first stage."""
    unfreeze_after: int | None = None
    """In a transfer: epochs, that of the warm-up among them, after which the topmost reused layer trains again."""
    seed: int = 0
    validation_rows: int | None = None
    """Rows of a validation or test batch; None: as the framework has it."""
    steps_per_call: int = 1
    """Keras only: steps that one call of the compiled function makes."""
    settings: dict[str, Any] = field(default_factory=dict)
    """dnntrain only: the run's settings."""
    tests: bool = False
    """Whether the network is tested at the end."""
    members: int = 1
    """dnntrain only: the runs that train together."""


@dataclass(frozen=True)
class Arrays:
    """Images float32 (N, features), scaled, and labels int64 (N,)."""

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    x_val: NDArray[np.float32]
    y_val: NDArray[np.int64]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]


EpochDone = Callable[[float], None]
"""Is told the validation accuracy after each epoch."""

Train = Callable[[Task, EpochDone], float | None]
"""What a peer is made of: trains one network, from the arrays that `load` gives.

Returns its accuracy on the test part, right after that pass; None where the task has none.
"""


def main(train: Train) -> None:
    """Answer the tasks on the command line, in turn."""
    for given in json.loads(sys.argv[1]):
        task = Task(**given)
        forget_peak_memory()
        print(json.dumps(answer(task, train)), flush=True)


def answer(task: Task, train: Train) -> dict[str, Any]:
    """Train one network, with an eye on the clock."""
    ends: list[float] = []
    accuracies: list[float] = []

    def epoch_done(accuracy: float) -> None:
        accuracies.append(float(accuracy))
        ends.append(time.perf_counter())

    test_acc = train(task, epoch_done)
    test_seconds = time.perf_counter() - ends[-1] if test_acc is not None else 0.0
    assert len(ends) == task.epochs, f"{len(ends)} epochs trained, not {task.epochs}"
    seconds = (ends[-1] - ends[0]) / (len(ends) - 1)
    answer = {"workload": task.workload, "arm": task.arm, "seconds": seconds, "val_acc": accuracies}
    return answer | {"test_seconds": test_seconds, "test_acc": test_acc, "peak_memory": peak_memory("self")}


def load(task: Task) -> Arrays:
    """The task's arrays, scaled."""
    return load_scaled(task.folder, task.scale)


@lru_cache(maxsize=1)
def load_scaled(folder: str, scale: str) -> Arrays:
    """The arrays of a folder: unit divides by 255, standard takes each pixel's mean and deviation in training."""
    (x, y), (x_val, y_val), (x_test, y_test) = (
        [np.load(Path(folder) / f"{axis}_{part}.npy") for axis in "xy"] for part in ("train", "val", "test")
    )
    mean, deviation = (x.mean(axis=0), x.std(axis=0)) if scale == "standard" else (0.0, 255.0)
    factor = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=np.greater(deviation, 0))

    def scaled(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return ((pixels - np.float32(mean)) * np.float32(factor)).astype(np.float32, copy=False)

    return Arrays(scaled(x), y, scaled(x_val), y_val, scaled(x_test), y_test)


def peak_memory(process: int | str) -> int | None:
    """The most bytes that a process has had resident so far; None where there is no /proc, or no such process.

    Not `ru_maxrss`, which a child takes over from its parent.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peaks[0]) * 1024 if peaks else None


def forget_peak_memory() -> None:
    """Let the peak begin anew, so that one task's is not the next one's."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return
