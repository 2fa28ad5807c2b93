"""What techniques add to an epoch of the small CNN, as a ratio to the plain one.

    python -m tests.bench.technique_costs [--turns 7] [--train-size N] [NAME ...]

Takes every switch of weight averaging and of augmentation in the catalogue, and sam; or the techniques that are named.
For each, one process trains the plain network and the one with the technique in turn, an epoch each, on one thread and
in a worker's environment. Each turn gives one ratio of processor times; the table shows the median ratio with its
95 % interval. An interval above the limit is a failure, except for techniques whose price is known.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.bench.epoch_ratio import median_interval

if TYPE_CHECKING:
    from dnntrain.data import Dataset

FAMILIES = ("Weight averaging", "Augmentation", "Sharpness-aware minimization")
LIMIT = 1.15
EXCEPTIONS = {"sam": "two passes a step", "tta": "evaluates each example twice"}
"""Techniques whose price is above the limit, and why."""
AT_ONCE: dict[str, dict[str, Any]] = {"swa": {"swa": 0, "swa_every": "step"}}
"""Settings of techniques that would otherwise not act in the few epochs that are timed."""
CNN = {"net": "cnn", "batch_size": 32, "epochs": 10_000}


def names_of_the_families() -> list[str]:
    """The switches of the families, in catalogue order."""
    from dnntrain.techniques.base import Switch, techniques_in

    return [switch.name for switch in techniques_in(Switch) if switch.family in FAMILIES]


def epochs_of(settings: dict[str, Any], dataset: Dataset) -> Callable[[], float]:
    """A run of the small CNN: each call trains and validates one more epoch, and returns its processor time."""
    import torch

    from dnntrain.config.spec import RunSpec
    from dnntrain.engine.averaging import complete_average
    from dnntrain.engine.loop import train_epoch, validate
    from dnntrain.engine.population import Population, StartState
    from dnntrain.engine.run import Run

    with torch.inference_mode():
        spec = RunSpec.parse(CNN | settings)
        population = Population.start([Run(spec, 0)], dataset, torch.device("cpu"), StartState())

    def seconds() -> float:
        epoch, started = len(population.runs[0].history), time.process_time()
        with torch.inference_mode():
            figures, probe = train_epoch(population, epoch)
            complete_average(population, epoch)
            validate(population, epoch, figures, probe)
        return time.process_time() - started

    return seconds


def cost(name: str, base: dict[str, Any], turns: int, dataset: Dataset) -> bool:
    """Print a technique's ratio; return whether it is above the limit without being an exception."""
    from tests.support.catalogue import EVERY_TECHNIQUE

    runs = [epochs_of(base | more, dataset) for more in ({}, AT_ONCE.get(name, EVERY_TECHNIQUE[name]))]
    for seconds in runs:
        seconds()  # the first epoch warms up
    ratios = []
    for turn in range(turns):
        order = [0, 1] if turn % 2 else [1, 0]
        times = {place: runs[place]() for place in order}
        ratios.append(times[1] / times[0])
    median, low, high = median_interval(ratios)
    print(f"{name:20}  {median:.3f} [{low:.3f}, {high:.3f}]   {EXCEPTIONS.get(name, '')}", flush=True)
    return low > LIMIT and name not in EXCEPTIONS


def main() -> None:
    """Print a line for each technique; exit code 1 where an interval lies above the limit."""
    from dnntrain.executors.environment import WORKER_ENVIRONMENT

    if any(os.environ.get(key) != value for key, value in WORKER_ENVIRONMENT.items()):
        os.environ.update(WORKER_ENVIRONMENT)
        os.execv(sys.executable, sys.orig_argv)  # the allocator reads it when the process starts

    import torch

    from dnntrain import data

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="techniques; by default those of the families")
    parser.add_argument("--turns", type=int, default=7, help="epochs of each run (7; at least 6)")
    parser.add_argument("--train-size", type=int, help="training examples (all 8,000)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    dataset, base = data.load_dataset("fashion-mini"), {"train_size": options.train_size}
    print(f"time of an epoch of net cnn, batch 32, relative to the plain one; {options.turns} turns")
    names = options.names or names_of_the_families()
    above = [name for name in names if cost(name, base, options.turns, dataset)]
    sys.exit(f"above {LIMIT}: {', '.join(above)}" if above else 0)


if __name__ == "__main__":
    main()
