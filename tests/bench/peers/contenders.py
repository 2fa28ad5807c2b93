"""Who is timed: dnntrain, and each peer as its users run it and as best it can be run on the same cores."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dnntrain
from dnntrain.executors.environment import ALLOCATOR, WORKER_ENVIRONMENT
from tests.bench.peers.machine import HERE, Ended, cores, median, run
from tests.bench.peers.workload import Exported, Workload

OURS = {"PYTHONPATH": str(Path(dnntrain.__file__).parents[1])}
"""So that the processes take the very dnntrain that this one has imported."""

RUN_BY_RUN, ONE_THREAD, AT_ONCE = "run by run", "one thread", "a process a core"


@dataclass(frozen=True, eq=False)
class Contender:
    """A peer, and how it is run."""

    name: str
    script: str
    how: str = RUN_BY_RUN
    """RUN_BY_RUN: one process with the framework's own threads; ONE_THREAD; AT_ONCE: on each core one of those."""
    environment: Mapping[str, str] = field(default_factory=dict)
    validation_rows: int | None = 512
    """Rows of a validation batch; None: as the framework has it."""
    steps_per_call: int = 1
    quick: bool = True
    """Whether `make bench-quick` has the time for it."""
    brief: bool = True
    """Whether one epoch of one arm has to do, and stands for all: no target names it, and it would take minutes."""
    kinds: tuple[str, ...] = ("dense",)
    """The kinds of workloads that it is timed on."""

    @property
    def label(self) -> str:
        """The name in tables and figures."""
        tuned = f", by {self.steps_per_call} steps" if self.steps_per_call > 1 else ""
        return f"{self.name}, {self.how}{tuned}"

    @property
    def places(self) -> Sequence[int | None]:
        """The core of each process, or None where it may use all."""
        return {RUN_BY_RUN: [None], ONE_THREAD: cores()[:1], AT_ONCE: cores()}[self.how]

    def share(self, workload: Workload) -> Workload:
        """The part of a workload that it is timed on; of a transfer all epochs are, for they differ."""
        if not self.brief or workload.alone or workload.pretrain:
            return workload
        return replace(workload, timed=1, arms=dict([*workload.arms.items()][:1]))


# a convolution's maps are megabytes, which glibc would map anew for each of them
MAPS_KEPT = {name: str(value) for name, (_, value) in ALLOCATOR.items()}
TF = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
JAX = {"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}

LAYERS, ALL = ("dense", "cnn"), ("dense", "cnn", "resnet", "own module", "transfer")

PEERS = (
    # validation in the batches that `fit` makes unless it is told otherwise
    Contender("Keras (TF)", "keras_peer.py", environment=TF, validation_rows=None, quick=False, kinds=LAYERS),
    Contender("Keras (TF)", "keras_peer.py", AT_ONCE, TF, quick=False, kinds=LAYERS),
    Contender("Keras (TF)", "keras_peer.py", AT_ONCE, TF, steps_per_call=32, quick=False, kinds=LAYERS),
    Contender("Keras (JAX)", "keras_peer.py", environment=JAX, validation_rows=None, quick=False, kinds=LAYERS),
    Contender("Keras (JAX)", "keras_peer.py", AT_ONCE, JAX, quick=False, brief=False, kinds=(*LAYERS, "resnet")),
    Contender("Keras (JAX)", "keras_peer.py", AT_ONCE, JAX, steps_per_call=32, quick=False, brief=False, kinds=LAYERS),
    Contender("Lightning", "lightning_peer.py", quick=False),
    Contender("Lightning", "lightning_peer.py", AT_ONCE, quick=False),
    Contender("PyTorch, DataLoader", "dataloader_peer.py", quick=False),
    Contender("PyTorch, DataLoader", "dataloader_peer.py", AT_ONCE, quick=False),
    Contender("PyTorch, tensors", "tensors_peer.py", environment=MAPS_KEPT, quick=False, kinds=ALL),
    Contender("PyTorch, tensors", "tensors_peer.py", AT_ONCE, MAPS_KEPT, brief=False, kinds=ALL),
    Contender("PyTorch, tensors", "tensors_peer.py", ONE_THREAD),
)

DNNTRAIN = Contender("dnntrain", "dnntrain_peer.py", ONE_THREAD, WORKER_ENVIRONMENT | OURS)
"""dnntrain as one run in one process, timed as the peers are."""


def field_of(workload: Workload) -> list[Contender]:
    """Who is timed on a workload: a single run is one process's work, and a table is no work for one thread."""
    how = (RUN_BY_RUN, ONE_THREAD if workload.alone else AT_ONCE)
    return [peer for peer in PEERS if peer.how in how and workload.kind in peer.kinds]


@dataclass(frozen=True)
class Timing:
    """What one contender took for a whole workload, in one round."""

    seconds: float
    val_acc: float
    """After the epochs that the peers train, mean over arms (and seeds)."""
    peak_memory: int | None
    epochs: dict[str, int]
    """By arm: the epochs, over all runs, that the seconds stand for."""
    others: float | None
    """The share of the cores' time that other people's processes took meanwhile."""
    epoch_seconds: dict[str, float] = field(default_factory=dict)
    """By arm: what was timed, where the rest is scaled."""
    brief: bool = False
    """Whether the epoch of one arm stands for those of all."""
    trained: float | None = None
    """dnntrain only: the part of the seconds in which the cores trained, validated and tested; the rest is its start,
    reading the data, planning, records and report."""


def time_peer(
    contender: Contender, python: str, work: Sequence[tuple[Workload, Exported, Mapping[str, int]]]
) -> dict[str, Timing]:
    """Time a peer on workloads, by their names, scaled to the epochs of each arm; raises Failure."""
    rows, calls = contender.validation_rows, contender.steps_per_call
    tasks = [
        task for workload, exported, _ in work for task in contender.share(workload).tasks(exported.folder, rows, calls)
    ]
    command = [python, str(HERE / contender.script), json.dumps(tasks)]
    ended = run(command, contender.environment, contender.places)
    answers = [json.loads(line) for output in ended.outputs for line in output.splitlines() if line.startswith("{")]
    return {
        workload.name: scaled(workload, [a for a in answers if a["workload"] == workload.name], epochs, ended)
        for workload, _, epochs in work
    }


def scaled(workload: Workload, answers: Sequence[Mapping[str, Any]], epochs: Mapping[str, int], ended: Ended) -> Timing:
    """The whole work's seconds, from those of an epoch of each arm, in processes that share the work."""
    processes = len(ended.outputs)
    arms = {answer["arm"]: [other for other in answers if other["arm"] == answer["arm"]] for answer in answers}
    seconds = {
        arm: sum(a["seconds"] + a["test_seconds"] / workload.epochs for a in same) / len(same) / processes
        for arm, same in arms.items()
    }
    peaks = [max(a["peak_memory"] or 0 for a in same) for same in arms.values()]
    first = seconds[answers[0]["arm"]]
    return Timing(
        seconds=sum(count * seconds.get(arm, first) for arm, count in epochs.items()),
        val_acc=sum(a["val_acc"][-1] for a in answers) / len(answers),
        peak_memory=processes * max(peaks) or None,
        epochs=dict(epochs),
        others=ended.others,
        epoch_seconds=seconds,
        brief=len(answers[0]["val_acc"]) <= workload.timed or len(seconds) < len(workload.arms),
    )


def time_dnntrain(workload: Workload, exported: Exported) -> Timing:
    """Time the command line from its start to its end, on a run store that holds at most a transfer's base."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "runs")
        if workload.pretrain:
            shutil.copytree(exported.base_runs, out)
        known = set(out.glob("store/*/run.json"))
        ended = run([sys.executable, "-m", "dnntrain", *workload.command(out)], OURS)
        new = [path for path in out.glob("store/*/run.json") if path not in known]
        records = [json.loads(path.read_text(encoding="utf-8")) for path in new]
    epochs: dict[str, int] = {}
    for record in records:
        arm = workload.cost_arm(record["settings"])
        epochs[arm] = epochs.get(arm, 0) + record["epochs"]
    compared = [record["history"] for record in records if workload.timed_arm(record["settings"])]
    # a transfer's warm-up is one more epoch than dnntrain trains
    val_acc = [history[min(workload.timed, len(history) - 1)]["val_acc"] for history in compared]
    mean_acc, trained = sum(val_acc) / len(val_acc), sum(record["seconds"] for record in records) / len(cores())
    return Timing(ended.seconds, mean_acc, ended.peak_memory, epochs, ended.others, trained=trained)


def medians(timings: Sequence[Timing]) -> Timing:
    """One timing for several rounds."""
    first = timings[0]
    return Timing(
        median([t.seconds for t in timings]),
        median([t.val_acc for t in timings]),
        max(t.peak_memory or 0 for t in timings) or None,
        first.epochs,
        max((t.others for t in timings if t.others is not None), default=None),
        {arm: median([t.epoch_seconds[arm] for t in timings]) for arm in first.epoch_seconds},
        first.brief,
        median([t.trained for t in timings if t.trained]) if first.trained else None,
    )
