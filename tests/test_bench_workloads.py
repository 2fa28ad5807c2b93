"""The benchmark without its peers: workloads find their own runs by what records hold; targets, and what is kept."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
from pathlib import Path

import pytest

from dnntrain.config.spec import RunSpec
from tests.bench.peers.contenders import field_of
from tests.bench.peers.results import keep, machine_name
from tests.bench.peers.targets import JAX, LOOPS, SLOW, TARGETS, Measured, Ratio, judge_all
from tests.bench.peers.workload import Workload
from tests.bench.peers.workloads import LECTURE, WORKLOADS, part
from tests.support.command import succeeds

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


def test_dnntrain_takes_the_commands(tmp_path: Path) -> None:
    for quick in map(part, WORKLOADS):
        if quick.preset:  # where the parts' settings have to suit the preset's arms
            succeeds(*quick.command(tmp_path), "--plan")


def test_arms_that_are_not_timed_cost_what_one_of_the_timed_costs() -> None:
    lecture = WORKLOADS[0]
    arms = {arm: recorded(lecture, changed) for arm, changed in LECTURE["factors"].items()}
    costs = {arm: lecture.cost_arm(settings) for arm, settings in arms.items()}
    assert costs["case-study"] == "batch-norm" and costs["clipvalue"] == costs["power"] == "constant"
    timed = {arm: lecture.timed_arm(settings) for arm, settings in arms.items()}
    assert timed["early-stopping"] == "constant" and timed["case-study"] is timed["clipvalue"] is None


def test_targets_are_judged_by_the_fastest_peer_and_by_the_kind_of_processor() -> None:
    ratios = {"small CNN": {JAX[0]: 1.5, JAX[1]: 1.2}, "own module": {LOOPS[0]: 1.0}}
    seconds = {"train": 4.0, "help": 0.5}

    def verdicts(**changes: object) -> dict[str, bool | None]:
        given = {"ratios": ratios, "seconds": seconds, "rate": SLOW / 2} | changes
        return {judgment.title: judgment.holds for judgment in judge_all(Measured(**given))}

    slow, fast, in_parts = verdicts(), verdicts(rate=SLOW * 2), verdicts(in_parts=True)
    starts = ("train", "small CNN: K", "own", "lecture")
    train, cnn, own, lecture = (next(title for title in slow if title.startswith(start)) for start in starts)
    assert (slow[train], fast[train], slow["dnntrain --help"]) == (True, False, False)
    assert (slow[cnn], slow[own], in_parts[own]) == (False, True, None)
    assert slow[lecture] is None  # not measured


def test_every_target_names_what_is_measured() -> None:
    fields = {workload.name: {peer.label for peer in field_of(workload) if not peer.brief} for workload in WORKLOADS}
    for target in TARGETS:
        if isinstance(target, Ratio):
            assert fields[target.workload].issuperset(target.peers)


def test_results_of_a_machine_are_kept_beside_what_is_there(tmp_path: Path) -> None:
    for found in ({"targets": [{"holds": True}], "scaling": {"members": {"1": 0.5}}}, {"targets": []}):
        file = keep(tmp_path, found)
    assert json.loads(file.read_text()) == {"targets": [], "scaling": {"members": {"1": 0.5}}}
    processors = ("Intel Xeon", "Intel(R) Xeon(R) Processor @ 2.50GHz", "Apple M1")
    assert [machine_name(name) for name in processors] == ["xeon", "xeon-2.5ghz", "apple-m1"]


@pytest.mark.parametrize("file", sorted(Path(__file__).parent.glob("bench/**/*.py")), ids=lambda file: file.name)
def test_benchmarks_import_names_that_exist(file: Path) -> None:
    """A benchmark runs rarely, so nothing else would notice that a name has moved."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    attempts = {each for node in ast.walk(tree) if isinstance(node, ast.Try) for each in ast.walk(node)}
    for node in {*ast.walk(tree)} - attempts:  # an attempt is for other versions
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dnntrain"):
            module = importlib.import_module(node.module or "")
            for name in (alias.name for alias in node.names):
                is_module = hasattr(module, "__path__") and importlib.util.find_spec(f"{node.module}.{name}")
                assert hasattr(module, name) or is_module, f"{node.module} has no {name}"
