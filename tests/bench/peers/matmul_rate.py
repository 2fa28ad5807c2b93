"""The rate of float32 matmuls on one thread: prints operations a second, the median over two seconds."""

from __future__ import annotations

import statistics
import time

import torch

SIZE, AT_A_TIME, SECONDS = 512, 10, 2.0


def main() -> None:
    """Multiply, and print the rate."""
    torch.set_num_threads(1)
    a, rates, end = torch.rand(SIZE, SIZE), [], time.perf_counter() + SECONDS
    while (started := time.perf_counter()) < end:
        for _ in range(AT_A_TIME):
            a @ a
        rates.append(2 * SIZE**3 * AT_A_TIME / (time.perf_counter() - started))
    print(statistics.median(rates))


if __name__ == "__main__":
    main()
