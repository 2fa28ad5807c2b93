"""What a population costs: seconds per model and epoch at several P, one thread, measured in turn in one run.

    make bench

Each round times every P once, so that a machine whose speed drifts slows all of them alike; the medians count.
"""

from __future__ import annotations

import itertools
import statistics
import time

from tests.bench.as_worker import as_worker

ROUNDS = 3
SIZES = (1, 5, 20, 30)
NETWORKS = {
    "784-50-50-10, batch 16": {"hidden": "50,50", "batch_size": 16},
    "784-300-100-10, batch 32": {"hidden": "300,100", "batch_size": 32},
    "20 x 100, batch 32": {"hidden": "20x100", "batch_size": 32},
}


def main() -> None:
    """Print a table for each network: seconds, ratio to P = 1, and the share of the machine's own matmul rate."""
    import torch

    from dnntrain import data

    torch.set_num_threads(1)
    dataset = data.load_dataset("fashion-mini")
    rate = matmul_rate()
    print(f"one thread; the machine's own float32 matmul rate: {rate / 1e9:.0f} GFLOP/s\n")
    for name, settings in NETWORKS.items():
        measure(name, settings, dataset, rate)


def measure(name: str, settings: dict[str, object], dataset: object, rate: float) -> None:
    """Time one network at every P, in turn."""
    from dnntrain.config.spec import RunSpec
    from dnntrain.engine.loop import train_population

    seconds: dict[int, list[float]] = {members: [] for members in SIZES}
    images = 0
    for _ in range(ROUNDS):
        for members in SIZES:
            specs = [RunSpec.parse({"epochs": 1, "val": 1000, "seed": seed} | settings) for seed in range(members)]
            started = time.perf_counter()
            runs = train_population(specs, dataset)  # type: ignore[arg-type]
            seconds[members].append((time.perf_counter() - started) / members)
            images = 9000
            assert all(run.status == "finished" for run in runs)
    alone = statistics.median(seconds[1])
    widths = [784, *RunSpec.parse(settings).hidden, 10]
    lowest, *others = (a * b for a, b in itertools.pairwise(widths))
    # forward once, backward twice, but for the lowest layer, below which there is nothing; and the forward passes
    # of validation and test
    work = images * (4 * lowest + 6 * sum(others)) + (1000 + 2000) * 2 * (lowest + sum(others))
    print(f"{name}\n   P   s/epoch/model   ratio to P = 1   share of matmul rate")
    for members in SIZES:
        median = statistics.median(seconds[members])
        ratios = [s / a for s, a in zip(seconds[members], seconds[1], strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        share = work / median / rate
        print(f"{members:4d}   {median:13.3f}   {median / alone:5.2f} ({spread})   {share:8.0%}")
    print()


def matmul_rate() -> float:
    """Floating-point operations a second of a 512 x 512 matmul, one thread, the best of ten."""
    import torch

    a = torch.rand(512, 512)
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        for _ in range(10):
            a @ a
        best = min(best, (time.perf_counter() - started) / 10)
    return 2 * 512**3 / best


if __name__ == "__main__":
    as_worker()
    main()
