"""The benchmark's workloads find their own runs by the settings that records hold, and ask peers for the same work."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnntrain.config.spec import RunSpec
from tests.bench.peers.workload import Workload
from tests.bench.peers.workloads import LECTURE, WORKLOADS, part

EVERY = pytest.mark.parametrize("workload", [*WORKLOADS, *map(part, WORKLOADS)], ids=lambda workload: workload.name)


def recorded(workload: Workload, changed: dict[str, object]) -> dict[str, object]:
    """The settings that a record of such a run holds, where everything is filled in."""
    return RunSpec.parse(workload.settings | changed).changed(seed=3).settings()


@EVERY
def test_every_arm_finds_itself(workload: Workload) -> None:
    for arm, changed in workload.arms.items():
        settings = recorded(workload, dict(changed))
        assert (workload.cost_arm(settings), workload.timed_arm(settings)) == (arm, arm)
        assert workload.timed_arm(settings | {"lr": 0.5}) is None  # the peers train no such run


@EVERY
def test_peers_are_asked_for_what_dnntrain_trains(workload: Workload) -> None:
    for task in workload.tasks(Path("arrays"), 512, 1):
        spec = workload.arm_specs[task["arm"]]
        assert (task["batch_size"], task["lr"], tuple(task["hidden"])) == (spec.batch_size, spec.lr, spec.hidden)
        if spec.freeze_epochs is not None:
            assert task["unfreeze_after"] - 1 == spec.freeze_epochs < workload.timed == spec.epochs


def test_arms_that_are_not_timed_cost_what_one_of_the_timed_costs() -> None:
    lecture = WORKLOADS[0]
    arms = {arm: recorded(lecture, changed) for arm, changed in LECTURE["factors"].items()}
    costs = {arm: lecture.cost_arm(settings) for arm, settings in arms.items()}
    assert costs["case-study"] == "batch-norm" and costs["clipvalue"] == costs["power"] == "constant"
    timed = {arm: lecture.timed_arm(settings) for arm, settings in arms.items()}
    assert timed["early-stopping"] == "constant" and timed["case-study"] is timed["clipvalue"] is None
