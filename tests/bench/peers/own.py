"""What dnntrain takes by itself: its bookkeeping, and its share of the cores."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from dnntrain.executors.environment import WORKER_ENVIRONMENT
from tests.bench.peers.contenders import DNNTRAIN, OURS
from tests.bench.peers.machine import HERE, cores, median, run
from tests.bench.peers.workload import Exported, Workload

MEMBERS = 30
"""Members of the population whose share of the cores is measured."""


def measure(
    lecture: Workload, exported: Exported, rate: float, rounds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """All of it, on the network of the lecture's table; `rate` is the cores' in matmuls."""
    say("dnntrain: bookkeeping")
    result = overhead(lecture, rounds)
    say(f"dnntrain: a population of {MEMBERS} on each core")
    seconds = median([population(lecture, exported) for _ in range(rounds)])
    share = (lecture.operations(exported) or 0.0) / seconds / rate
    return result | {"members": MEMBERS, "epoch_seconds": seconds, "matmul_share": share}


def overhead(lecture: Workload, rounds: int) -> dict[str, Any]:
    """By how much health alone, and health, history, progress and records, lengthen the training of five seeds."""
    request = {
        "settings": lecture.settings | {"epochs": 2, "early_stop": "off"},
        "members": 5,
        "rounds": max(3, rounds),
    }
    command = [sys.executable, str(HERE / "overhead.py"), json.dumps(request)]
    seconds = json.loads(run(command, WORKER_ENVIRONMENT | OURS, cores()[:1]).outputs[0].splitlines()[-1])

    def added(name: str) -> float:
        return median([more / bare - 1 for more, bare in zip(seconds[name], seconds["bare"], strict=True)])

    return {"health_overhead": added("with health"), "overhead": added("whole"), "overhead_seconds": seconds}


def population(lecture: Workload, exported: Exported) -> float:
    """Seconds of an epoch of one member, where every core trains a population; with validation, after a warm-up."""
    task = replace(lecture.task("constant", exported.folder, None, 1), members=MEMBERS)
    command = [sys.executable, str(HERE / DNNTRAIN.script), json.dumps([asdict(task)])]
    ended = run(command, DNNTRAIN.environment, cores())
    seconds = [json.loads(output)["seconds"] for output in ended.outputs]
    return sum(seconds) / len(seconds) / len(seconds) / MEMBERS
