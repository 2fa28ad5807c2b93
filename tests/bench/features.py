"""Transfer from a frozen image network: dnntrain's cached features beside the naive loop, which computes them anew.

    python -m tests.bench.features

The naive loop pushes every image through the frozen network in every epoch of every seed. Two of its epochs are timed,
and scaled to all; dnntrain runs whole, from the command line to the report, at first without and then with its cache.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dnntrain.data import DataLocation, Dataset, load_dataset

IMAGES, VAL, EPOCHS, SEEDS, BATCH, SIZE = 400, 200, 20, 5, 32, 128
BASE = "efficientnet-lite0"


def ours(folder: Path, first_seed: int) -> float:
    """Seconds of the whole command."""
    seeds = ",".join(str(first_seed + number) for number in range(SEEDS))
    data = f"--train-size {IMAGES} --subset shared --val {VAL} --resize {SIZE} --seeds {seeds}"
    training = f"--hidden none --epochs {EPOCHS} --batch-size {BATCH} --no-scratch"
    started = time.perf_counter()
    words = f"transfer --from {BASE} {data} {training}".split()
    command = [sys.executable, "-m", "dnntrain", *words, "--data-dir", str(folder)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def naive(folder: Path, dataset: Dataset) -> float:
    """Seconds of the plain loop: an epoch's training and validation, and at the end the test images."""
    import torch

    from dnntrain.transfer_learning.weights import fetch
    from dnntrain.transfer_learning.weights import load_model as load_base

    home = DataLocation.at(folder)
    net = load_base(fetch(BASE, home), home)
    images = torch.from_numpy(dataset.train_inputs[: IMAGES + VAL].copy())
    labels = torch.from_numpy(dataset.train_targets[:IMAGES].astype("int64"))
    head: torch.nn.Module | None = None
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        for rows in torch.randperm(IMAGES).split(BATCH):
            features = net.outputs(images[rows], SIZE, len(net.layers)).flatten(1)
            head = head or torch.nn.Linear(features.shape[1], dataset.outline.n_outputs)
            optimizer = torch.optim.SGD(head.parameters(), lr=0.01)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(head(features), labels[rows]).backward()
            optimizer.step()
        for some in images[IMAGES:].split(256):
            net.outputs(some, SIZE, len(net.layers))
        seconds.append(time.perf_counter() - started)
    epoch = min(seconds)
    test = epoch * len(dataset.test_inputs) / (IMAGES + VAL)
    return SEEDS * (EPOCHS * epoch + test)


def main() -> None:
    """Print the seconds and the ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loop = naive(folder, load_dataset("fashion-mini"))
        first, again = ours(folder, 0), ours(folder, SEEDS)
    print(
        f"{BASE}, frozen: {IMAGES} + {VAL} images of {SIZE} pixels, {EPOCHS} epochs, {SEEDS} seeds, 2,000 test images"
    )
    print(f"naive loop (2 epochs of {EPOCHS * SEEDS}, scaled)   {loop:7.1f} s")
    print(f"dnntrain, whole command                   {first:7.1f} s   {loop / first:6.1f} x")
    print(f"dnntrain, other seeds, features cached    {again:7.1f} s   {loop / again:6.1f} x")


if __name__ == "__main__":
    main()
