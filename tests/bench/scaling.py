"""How the cost grows with members, layers, width and images (one thread), and with seeds and arms (a whole command).

    python -m tests.bench.scaling [--figure FILE] [--keep FOLDER]

Of each size the fastest of three rounds counts, which take all sizes in turn. `slope` is that of log seconds against
log size between neighbours: 0 where more costs nothing, 1 where the cost grows with the size.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from tests.bench.as_worker import as_worker, check_target
from tests.bench.peers.results import keep, kept_file

ROUNDS = 3
MEMBERS = 8
LECTURE = {"hidden": "50,50", "batch_size": 16, "train_size": 1000, "val": 500, "epochs": 1}


@dataclass(frozen=True)
class Axis:
    """One thing that grows."""

    name: str
    sizes: tuple[int, ...]
    seconds: Callable[[int], float]
    """What one size takes."""


@cache
def mini() -> Any:
    """The embedded data."""
    from dnntrain import data

    return data.load_dataset("fashion-mini")


def population(members: int, settings: Mapping[str, object]) -> float:
    """Seconds of the processor for an epoch of a population."""
    from dnntrain.config.spec import RunSpec
    from dnntrain.engine.loop import train_population

    specs = [RunSpec.parse({**LECTURE, **settings, "seed": seed}) for seed in range(members)]
    dataset = mini()
    started = time.process_time()
    train_population(specs, dataset)
    return time.process_time() - started


def study(arms: int, seeds: int) -> float:
    """Seconds of `dnntrain ablate` on a study of so many arms and seeds, from its start to its report."""
    factors = "".join(f"  rate {n}: {{lr: {0.01 + 0.001 * n:.3f}}}\n" for n in range(1, arms))
    base = "{hidden: '50,50', batch_size: 16, epochs: 2}"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "study.yaml").write_text(f"base: {base}\nfactors:\n{factors}seeds: {seeds}\n")
        started = time.perf_counter()
        command = [sys.executable, "-m", "dnntrain", "ablate", "study.yaml"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return time.perf_counter() - started


AXES = (
    Axis("members", (1, 2, 4, 8, 16, 32, 64), lambda n: population(n, {})),
    Axis("layers of 50", (1, 3, 10, 30, 100), lambda n: population(MEMBERS, {"hidden": f"{n}x50"})),
    Axis("width of 2 layers", (25, 50, 100, 200, 400, 800), lambda n: population(MEMBERS, {"hidden": f"{n},{n}"})),
    Axis("images", (500, 1000, 2000, 4000, 8000), lambda n: population(MEMBERS, {"train_size": n})),
    Axis("seeds of 4 arms", (2, 4, 8, 16), lambda n: study(4, n)),
    Axis("arms of 4 seeds", (2, 4, 8, 16), partial(study, seeds=4)),
)


def measure(axis: Axis) -> dict[int, float]:
    """The least seconds of each size."""
    axis.seconds(axis.sizes[0])  # warm up
    rounds = [{size: axis.seconds(size) for size in axis.sizes} for _ in range(ROUNDS)]
    return {size: min(found[size] for found in rounds) for size in axis.sizes}


def table(axis: Axis, seconds: Mapping[int, float]) -> str:
    """The sizes with their seconds, and how they grow."""
    lines = [f"{axis.name:<18}{'seconds':>10}{'for each':>12}{'slope':>8}"]
    before: int | None = None
    for size, spent in seconds.items():
        slope = math.log(spent / seconds[before]) / math.log(size / before) if before else math.nan
        lines.append(f"{size:<18}{spent:>10.3f}{spent / size:>12.5f}{'' if before is None else f'{slope:8.2f}'}")
        before = size
    return "\n".join(lines)


def save_figure(measured: Mapping[str, Mapping[int, float]], target: Path) -> None:
    """A panel for each axis, both scales logarithmic, with the line of linear growth."""
    import matplotlib.pyplot as plt

    from dnntrain.reporting.figures.style import BLUE, SOFT, styled

    @styled
    def draw() -> None:
        figure, panels = plt.subplots(2, 3, figsize=(9, 5), layout="constrained")
        for axes, (name, seconds) in zip(panels.flat, measured.items(), strict=True):
            sizes, spent = list(seconds), list(seconds.values())
            axes.loglog(sizes, [spent[-1] * size / sizes[-1] for size in sizes], color=SOFT, linestyle=":")
            axes.loglog(sizes, spent, color=BLUE, marker="o")
            axes.set(title=name, ylabel="seconds", xticks=sizes)
            for scale in (axes.xaxis, axes.yaxis):
                scale.set_major_formatter("{x:g}")
                scale.set_minor_formatter("")
        figure.savefig(target, dpi=100)

    draw()


def main() -> None:
    """Print the tables, and draw them where asked."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, metavar="FILE")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep this machine's results and figure there")
    arguments = parser.parse_args()
    if arguments.figure:
        check_target(parser, arguments.figure)
    if arguments.keep and not arguments.keep.is_dir():
        parser.error(f"--keep {arguments.keep}: no such folder")
    torch.set_num_threads(1)
    measured = {}
    for axis in AXES:
        measured[axis.name] = measure(axis)
        print(table(axis, measured[axis.name]), end="\n\n", flush=True)
    if arguments.figure:
        save_figure(measured, arguments.figure)
    if arguments.keep:
        rounded = {axis: {n: round(seconds, 3) for n, seconds in found.items()} for axis, found in measured.items()}
        keep(arguments.keep, {"scaling": rounded})
        save_figure(measured, kept_file(arguments.keep, "-scaling.png"))


if __name__ == "__main__":
    as_worker()
    main()
