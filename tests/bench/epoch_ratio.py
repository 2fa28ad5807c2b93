"""Time per epoch of one checkout of dnntrain, as a ratio to another's.

    python -m tests.bench.epoch_ratio BEFORE AFTER --aa

One process for each checkout trains as a worker does: one thread, and a worker's environment. The two take turns epoch
by epoch, so that a machine whose speed drifts slows both alike. Each turn gives one ratio of processor times, which
other processes disturb less than the clock's; the table shows the median ratio with its 95 % interval. With --aa, two
more processes compare BEFORE with itself: this is the noise.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CASES: dict[str, dict[str, Any]] = {
    "50-50": {"hidden": "50,50"},
    "20x100": {"hidden": "20x100"},
    "20x100, bn, dropout": {"hidden": "20x100", "bn": True, "dropout": 0.2},
}
MEMBERS = (1, 5, 20)
LIMIT = 1.02
"""An interval that lies above this ratio is a failure."""


class EnoughEpochs(Exception):
    """The case is over."""


def train_in_turns() -> None:
    """Train the cases that arrive on stdin, each until it is stopped; an epoch's seconds on stdout, then wait."""
    try:
        from dnntrain.executors.environment import WORKER_ENVIRONMENT
    except ImportError:
        from dnntrain.workers import WORKER_ENVIRONMENT
    if any(os.environ.get(key) != value for key, value in WORKER_ENVIRONMENT.items()):
        os.environ.update(WORKER_ENVIRONMENT)
        os.execv(sys.executable, sys.orig_argv)  # the allocator reads it when the process starts

    import torch

    from dnntrain import data

    try:
        from dnntrain.config.spec import RunSpec
        from dnntrain.engine.loop import train_population
    except ImportError:
        from dnntrain.spec import RunSpec

        from dnntrain.engine import train as train_population
    torch.set_num_threads(1)
    load_dataset = getattr(data, "load_dataset", None) or data.load  # type: ignore[attr-defined]
    dataset = load_dataset("fashion-mini")
    started = 0.0

    def end_turn(*_: object) -> None:
        nonlocal started
        print(time.process_time() - started, flush=True)
        if sys.stdin.readline().strip() != "go":
            raise EnoughEpochs
        started = time.process_time()

    for line in sys.stdin:
        settings, members = json.loads(line)
        specs = [RunSpec.parse({"epochs": 10_000, "seed": seed} | settings) for seed in range(members)]
        started = time.process_time()
        try:
            train_population(specs, dataset, torch.device("cpu"), end_turn)
        except EnoughEpochs:
            continue
        sys.exit(f"{settings}: all runs diverged")


class Trainer:
    """A checkout that trains one epoch when it is asked to."""

    def __init__(self, tree: Path) -> None:
        # -P: the modules that lie beside this script are not to be found
        command = [str(tree / ".venv/bin/python"), "-P", str(Path(__file__).absolute()), "--train"]
        env = os.environ | {"PYTHONPATH": str(tree.absolute())}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        assert process.stdin and process.stdout
        self.input, self.output = process.stdin, process.stdout

    def send(self, line: str) -> None:
        """Say what is next: a case, `go`, or `stop`."""
        print(line, file=self.input, flush=True)

    def seconds(self, line: str) -> float:
        """Say what is next, and wait for the seconds of the epoch that follows."""
        self.send(line)
        return float(self.output.readline())


def median_interval(values: list[float]) -> tuple[float, float, float]:
    """The median, and its interval of at least 95 % from the order statistics (a binomial count lies below it)."""
    ordered, n, below, k = sorted(values), len(values), 0.0, 0
    while (below := below + math.comb(n, k) / 2**n) <= 0.025:
        k += 1
    if k == 0:
        raise ValueError("at least 6 turns are needed")
    return statistics.median(ordered), ordered[k - 1], ordered[n - k]


def ratios(trainers: list[Trainer], settings: dict[str, Any], members: int, turns: int) -> list[list[float]]:
    """Of every pair of trainers, the ratio of the second's seconds to the first's in each turn."""
    times: list[list[float]] = [[] for _ in trainers]
    for trainer in trainers:
        trainer.seconds(json.dumps([settings, members]))  # the first epoch warms up
    for turn in range(turns):
        order = list(enumerate(trainers))
        for place, trainer in order if turn % 2 else reversed(order):
            times[place].append(trainer.seconds("go"))
    for trainer in trainers:
        trainer.send("stop")
    pairs = zip(times[::2], times[1::2], strict=True)
    return [[b / a for a, b in zip(first, second, strict=True)] for first, second in pairs]


def main() -> None:
    """Print a line for each case and number of runs; exit code 1 where an interval lies above the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="a checkout, with its .venv")
    parser.add_argument("after", type=Path, help="another")
    parser.add_argument("--turns", type=int, default=21, help="epochs of each process in each case (21)")
    parser.add_argument("--aa", action="store_true", help="also compare BEFORE with itself")
    options = parser.parse_args()
    trees = [options.before, options.after] + [options.before] * 2 * options.aa
    trainers, slower = [Trainer(tree) for tree in trees], False
    print(f"after / before, {options.turns} turns" + ("; then before / before" if options.aa else ""))
    for name, case in CASES.items():
        for members in MEMBERS:
            settings = case | {"train_size": 1000, "val": 500}
            line = f"{name:20}  P = {members:2d} "
            for number, values in enumerate(ratios(trainers, settings, members, options.turns)):
                median, low, high = median_interval(values)
                slower |= number == 0 and low > LIMIT
                line += f"   {median:.3f} [{low:.3f}, {high:.3f}]"
            print(line, flush=True)
    sys.exit(1 if slower else 0)


if __name__ == "__main__":
    train_in_turns() if sys.argv[1:] == ["--train"] else main()
