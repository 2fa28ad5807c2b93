"""What health, history and progress cost: one population with and without them, in turn. Prints JSON.

Called with JSON, the settings of a run and how often: {"settings": {…}, "members": 5, "rounds": 3}. Runs in the
environment of a worker; what is switched off is switched off from here, the engine has no such switch.
"""

from __future__ import annotations

import json
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from rich.console import Console

from dnntrain import data
from dnntrain.config.spec import RunSpec
from dnntrain.engine import loop as engine
from dnntrain.engine import probe
from dnntrain.executors.jobs import Job, SendEvent
from dnntrain.executors.local import LocalExecutor
from dnntrain.executors.worker import run_job
from dnntrain.store.run_store import RunStore
from dnntrain.studies.progress import ProgressDisplay
from dnntrain.studies.runner import StudyRunner
from dnntrain.studies.study import Arm, Study

Seconds = dict[str, list[float]]


def main() -> None:
    """Time the three in turn, in seconds of the processor, which others cannot lengthen; the first round warms up."""
    request = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    spec, seeds = RunSpec.parse(request["settings"]), range(request["members"])
    dataset = data.load_dataset(spec.data)
    specs = [spec.changed(seed=seed) for seed in seeds]
    variants: dict[str, Callable[[], object]] = {
        "bare": lambda: without_health(specs, dataset),
        "with health": lambda: engine.train_population(specs, dataset),
        "whole": lambda: as_a_study(spec, seeds),
    }
    for variant in variants.values():
        variant()
    seconds: Seconds = {name: [] for name in variants}
    for _ in range(request["rounds"]):
        for name, variant in variants.items():
            started = time.process_time()
            variant()
            seconds[name].append(time.process_time() - started)
    print(json.dumps(seconds))


def without_health(specs: Sequence[RunSpec], dataset: Any) -> None:
    """Train with no probe of gradients, updates and activations, and tell nobody."""
    no_steps, nothing = (lambda steps: set()), (lambda probe, name, h, asymptotes: None)
    with (
        patch.object(probe, "probed_steps", no_steps),
        patch.object(probe, "early_steps", no_steps),
        patch.object(probe.Probe, "activation", nothing),
    ):
        engine.train_population(specs, dataset)


def as_a_study(spec: RunSpec, seeds: Sequence[int]) -> None:
    """The same as a user's study: progress on a terminal, a record of each run, the study's tables."""
    study = Study("overhead", (Arm("overhead", spec),), tuple(seeds))
    with tempfile.TemporaryDirectory() as folder, Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        display = ProgressDisplay(Console(file=nowhere, force_terminal=True))
        StudyRunner(study, RunStore(Path(folder)), device="cpu").run(Here(1), display)


class Here(LocalExecutor):
    """Trains without worker processes, which would blur what is measured; events are pickled as for them."""

    def run(self, jobs: Iterable[Job], handle: SendEvent) -> None:
        for job in jobs:
            sent: list[bytes] = []
            ended = run_job(job, lambda event, sent=sent: sent.append(pickle.dumps(event)))  # type: ignore[misc]
            for event in [*sent, pickle.dumps(ended)]:
                handle(pickle.loads(event))


if __name__ == "__main__":
    main()
