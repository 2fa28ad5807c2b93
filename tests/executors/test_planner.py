"""Populations: every run in one, none larger than memory allows, and workers that end together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from dnntrain.config.spec import RunSpec
from dnntrain.executors.planner import (
    MEMORY_SHARE,
    StepCost,
    assign,
    balance,
    cost,
    member_bytes,
    memory_of_worker,
    populations,
    split_group,
    total,
)
from dnntrain.utils import memory

LECTURE = yaml.safe_load((Path(__file__).parents[2] / "presets" / "lecture.yaml").read_text(encoding="utf-8"))


def lecture(seeds: int = 5) -> list[RunSpec]:
    arms = [LECTURE["base"] | factor for factor in ({}, *LECTURE["factors"].values())]
    return [RunSpec.parse(arm | {"seed": seed}) for arm in arms for seed in range(seeds)]


def ends(specs: list[RunSpec], workers: int) -> list[float]:
    """When each worker ends, by the predicted costs."""
    pieces = [piece for group in groups(specs) for piece in split_group(group)]
    return [total(load) for load in assign(balance(pieces, workers), workers)]


def groups(specs: list[RunSpec]) -> list[list[RunSpec]]:
    return [[spec for spec in specs if spec.graph() == graph] for graph in dict.fromkeys(s.graph() for s in specs)]


@pytest.mark.parametrize("workers", [1, 2, 3, 16, 100])
def test_every_run_is_in_one_population_of_its_own_graph(workers: int) -> None:
    specs = lecture()
    plan = populations(specs, workers)
    assert Counter(spec for piece in plan for spec in piece) == Counter(specs)
    assert all(len({spec.graph() for spec in piece}) == 1 for piece in plan)
    costs = [cost(piece) for piece in plan]
    assert costs == sorted(costs, reverse=True)


def test_one_worker_has_nothing_to_balance() -> None:
    assert len(populations(lecture(), 1)) == len(groups(lecture()))


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_workers_end_at_about_the_same_time(workers: int) -> None:
    found = ends(lecture(), workers)
    assert min(found) > 0.75 * max(found)
    whole = sum(cost(group) for group in groups(lecture()))
    assert max(found) < 1.2 * whole / workers  # cutting costs little


def test_equal_runs_are_halved_between_two_workers() -> None:
    specs = [RunSpec.parse({"seed": seed}) for seed in range(10)]
    assert [len(piece) for piece in populations(specs, 2)] == [5, 5]


def test_idle_workers_are_given_single_runs() -> None:
    specs = [RunSpec.parse({"seed": seed}) for seed in range(5)]
    assert [len(piece) for piece in populations(specs, 64)] == [1] * 5


def test_no_piece_needs_more_memory_than_there_is() -> None:
    specs = [RunSpec.parse({"seed": seed}) for seed in range(10)]
    pieces = split_group(specs, room=3.5 * member_bytes(specs[0]))
    assert sorted(len(piece.specs) for piece in pieces) == [2, 2, 3, 3]


def test_where_members_bring_no_more_a_population_ends() -> None:
    wide, narrow = ({"hidden": hidden} for hidden in ("1000,1000", "10"))
    prices = [StepCost.of(RunSpec.parse(settings)) for settings in (wide, narrow)]
    assert prices[0].most_members < prices[1].most_members
    specs = [RunSpec.parse(wide | {"seed": seed}) for seed in range(20)]
    assert max(len(piece) for piece in populations(specs, 1)) <= prices[0].most_members


def test_an_accelerator_takes_all_that_there_is_memory_for() -> None:
    specs = [RunSpec.parse({"hidden": "1000,1000", "seed": seed}) for seed in range(40)]
    assert len(populations(specs, 1)) > 1
    assert len(populations(specs, 1, gpus=[])) == 1
    assert len(split_group(specs, 20.5 * member_bytes(specs[0]), accelerated=True)) == 2


FAKE_QUERY = """#!/bin/sh
echo "$@" >>"$0.calls"
echo "0, GPU-8f1b2c, 40000"
echo "1, GPU-77aa01, {free}"
"""


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Writes a program that answers as nvidia-smi does, with this free memory of the second GPU, in MiB."""

    def write(free: str) -> Path:
        program = tmp_path / "nvidia-smi"
        program.write_text(FAKE_QUERY.replace("{free}", free))
        program.chmod(0o755)
        memory.gpu_memory.cache_clear()
        return program

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    yield write
    memory.gpu_memory.cache_clear()


def test_populations_fit_into_the_gpus_memory(nvidia_smi: Callable[[str], Path]) -> None:
    specs = [RunSpec.parse({"hidden": "500,500", "seed": seed}) for seed in range(40)]
    mebibytes = 10.5 * member_bytes(specs[0]) / MEMORY_SHARE / 2**20
    program = nvidia_smi(str(round(mebibytes)))
    assert memory.available_on(["0"]) == 40000 * 2**20
    assert memory.available_on(["GPU-77", "0"]) == memory.available_on(["1"]) == round(mebibytes) * 2**20
    assert memory.available_on(["0", "MIG-40f3"]) is None and memory.available_on([]) is None
    assert [len(piece) for piece in populations(specs, 1, gpus=["0"])] == [40]
    assert [len(piece) for piece in populations(specs, 1, gpus=["1"])] == [10] * 4
    assert [len(piece) for piece in populations(specs, 2, gpus=["1"])] == [5] * 8  # two workers share it
    assert [len(piece) for piece in populations(specs, 2, gpus=["0", "1"])] == [10] * 4
    assert len(program.with_suffix(".calls").read_text().splitlines()) == 1


@pytest.mark.parametrize("answer", ["[N/A]", "12, 13", ""])
def test_memory_of_gpus_that_is_not_known(answer: str, nvidia_smi: Callable[[str], Path]) -> None:
    nvidia_smi(answer)
    assert memory.available_on(["0"]) is None
    assert memory_of_worker(2, ["0", "1"]) == pytest.approx(memory_of_worker(2), rel=0.2)
    nvidia_smi("5").write_text("#!/bin/sh\necho no devices were found\nexit 6")
    assert memory.available_on(["0"]) is None
    nvidia_smi("5").unlink()
    assert memory.available_on(["0"]) is None


def test_short_and_long_runs_part_where_a_group_is_cut() -> None:
    specs = [RunSpec.parse({"hidden": "1000,1000", "seed": s, "epochs": 1 + s % 2}) for s in range(16)]
    assert [{spec.epochs for spec in piece} for piece in populations(specs, 1)] == [{2}, {1}]
