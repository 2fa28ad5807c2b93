"""dnntrain's engine: whole epochs with their parts, single steps, and set-up."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle
from typing import Any
from unittest.mock import patch

import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.data.split import batch_count
from dnntrain.engine import loop
from dnntrain.engine.graphs import MakeRunner, StepRunner
from dnntrain.engine.population import Population, StartState
from dnntrain.engine.run import Run
from dnntrain.engine.step_inputs import epoch_steps
from tests.bench.gpu.cases import Extent
from tests.bench.gpu.timing import free, seconds_of, step_seconds, synchronize

GRAPH, EAGER, COMPILED = "graph", "eager", "compiled"

RUNNERS: dict[str, MakeRunner] = {
    GRAPH: StepRunner.of,
    EAGER: StepRunner,
    COMPILED: partial(StepRunner.of, compiles=True),
}
"""What runs the steps, by how they run."""


def ways(device: torch.device) -> dict[str, MakeRunner]:
    """How the engine can train on a device, without compiling, which takes long; on a CPU there are no CUDA graphs."""
    return {how: RUNNERS[how] for how in ((GRAPH, EAGER) if device.type == "cuda" else (EAGER,))}


def specs_of(settings: dict[str, Any], members: int, extent: Extent) -> list[RunSpec]:
    """Runs that differ in their seeds."""
    extents = {"train_size": extent.train_size, "val": extent.val, "epochs": extent.epochs, "lr": 0.01}
    return [RunSpec.parse({"data": "fashion-mini", "seed": seed} | extents | settings) for seed in range(members)]


@dataclass
class Parts:
    """The seconds of each call of the loop's parts."""

    device: torch.device
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def timed(self, name: str, part: Callable[..., Any]) -> Callable[..., Any]:
        """The part, timed."""

        def call(*args: Any, **kwargs: Any) -> Any:
            synchronize(self.device)
            started = time.perf_counter()
            result = part(*args, **kwargs)
            synchronize(self.device)
            self.seconds.setdefault(name, []).append(time.perf_counter() - started)
            return result

        return call


@contextmanager
def timed_parts(device: torch.device) -> Iterator[Parts]:
    """Time the parts of the training loop for a while. They are those of `train_population`, whatever they take."""
    parts = Parts(device)
    names = {"train_epoch": "train", "validate": "validate", "finish_runs": "test"}
    with ExitStack() as stack:
        for name, part in names.items():
            stack.enter_context(patch.object(loop, name, parts.timed(part, getattr(loop, name))))
        stack.enter_context(patch.object(Population, "start", parts.timed("setup", Population.start)))
        yield parts


def time_epochs(
    settings: dict[str, Any], members: int, how: str, dataset: Dataset, device: torch.device, extent: Extent
) -> dict[str, Any]:
    """Train some epochs; returns the seconds of each part.

    `epoch` is an epoch after the first, with validation and test; set-up comes on top of it.
    """
    specs = specs_of(settings, members, extent)
    runs: list[Run] = []
    with timed_parts(device) as parts:
        total = seconds_of(
            lambda: runs.extend(
                loop.train_population(specs, dataset, device, keep_predictions=False, runner=RUNNERS[how])
            ),
            device,
        )
    if any(run.status != "finished" for run in runs):
        raise RuntimeError(f"runs diverged: {sum(run.status != 'finished' for run in runs)} of {members}")
    train, validate = (statistics.median(parts.seconds[name][1:]) for name in ("train", "validate"))
    test = parts.seconds["test"][-1]
    steps = batch_count(extent.train_size, specs[0].batch_size)
    free(device)
    return {
        "epoch": train + validate + test,
        "setup": parts.seconds["setup"][0],
        "train": train,
        "validate": validate,
        "test": test,
        "first_train": parts.seconds["train"][0],
        "step": train / steps,
        "total": total,
        "steps_as": runs[0].steps_as or EAGER,
    }


@torch.inference_mode()
def start(settings: dict[str, Any], members: int, dataset: Dataset, device: torch.device, extent: Extent) -> Population:
    """A population before its first step."""
    runs = [Run(spec, index) for index, spec in enumerate(specs_of(settings, members, extent))]
    return Population.start(runs, dataset, device, StartState())


@torch.inference_mode()
def time_steps(
    settings: dict[str, Any], members: int, how: str, dataset: Dataset, device: torch.device, extent: Extent
) -> float:
    """Seconds of a training step without metrics and probes.

    The steps are those of one epoch, whose order is drawn before.
    """
    runner = RUNNERS[how](start(settings, members, dataset, device, extent))
    group = epoch_steps(runner.p, 0)[0]
    # one block warms up and captures; all fit into the epoch, or its first step, which is never captured, comes again
    block, numbers = max(1, min(extent.steps, len(group) // (extent.repeats + 1))), cycle(range(len(group)))
    seconds = step_seconds(lambda _: runner.run(group, next(numbers), False), block, device, extent.repeats)
    if runner.faults:
        raise RuntimeError(runner.mode)
    free(device)
    return seconds


def time_setup(settings: dict[str, Any], members: int, dataset: Dataset, device: torch.device, extent: Extent) -> float:
    """Seconds until a population stands on the device, its specs given."""
    # set-up of more epochs is the same
    extent = replace(extent, epochs=1)
    specs = specs_of(settings, members, extent)

    @torch.inference_mode()
    def setup() -> None:
        Population.start([Run(spec, index) for index, spec in enumerate(specs)], dataset, device, StartState())

    setup()
    return statistics.median(seconds_of(setup, device) for _ in range(extent.repeats))
