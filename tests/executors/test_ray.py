"""Ray trains the same runs, bit for bit: on a cluster of several nodes, also where one is lost in the midst."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, Dataset
from dnntrain.data.cache import ARRAYS, load_mapped, save_arrays
from dnntrain.engine.loop import train_population
from dnntrain.executors import base
from dnntrain.executors.jobs import CheckpointSaved, EpochEnd, Event, Job, JobFailed, JobFinished, RunsFinished
from dnntrain.store.checkpoint import Checkpoint
from dnntrain.transfer_learning.backbone import Backbone
from tests.support import faults
from tests.support.command import QUICK, environment, error_of, succeeds
from tests.support.faults import recorded

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

PRESET = """
base: {hidden: 32, epochs: 9, train_size: 1500, batch_size: 8}
factors: {elu: {act: elu}, bn: {bn: true, early_stop: 3}}
seeds: 2
"""
SMALL = RunSpec(hidden=(16,), epochs=2, train_size=500, val=500)

# a dead process refuses at once; one that is only busy has the full time to answer
SOON_MISSED = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000,
               "health_check_failure_threshold": 3}  # fmt: skip


@pytest.fixture(scope="module")
def ray() -> Any:
    return pytest.importorskip("ray", reason="Ray is not installed: pip install 'dnntrain[ray]'")


@pytest.fixture(scope="module")
def cluster(ray: Any) -> Iterator[Cluster]:
    """A head that trains nothing, and two nodes of one core each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": SOON_MISSED})
    for _ in range(2):
        made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


def begun(folder: Path, *words: str) -> subprocess.Popen[str]:
    folder.mkdir()
    (folder / "study.yaml").write_text(PRESET)
    command = [sys.executable, "-m", "dnntrain", "ablate", "study.yaml", *words]
    return subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)  # fmt: skip


def kill_busy_node(cluster: Cluster) -> None:
    """Kill a node that trains, with all its processes, as a machine that loses its power."""
    for node in cluster.worker_nodes:
        listed = subprocess.run(["ps", "--ppid", str(node.all_processes["raylet"][0].process.pid), "-o", "pid=,args="],
                                capture_output=True, text=True).stdout  # fmt: skip
        if "train_remotely" in listed:
            cluster.remove_node(node, allow_graceful=False)
            for line in listed.splitlines():
                with suppress(ProcessLookupError):
                    os.kill(int(line.split()[0]), signal.SIGKILL)
            return
    raise AssertionError("no node trains")


def test_a_cluster_gives_the_same_also_where_a_node_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    here, there, killed = (tmp_path / name for name in ("here", "there", "killed"))
    on_ray = ("--executor", "ray", "--address", cluster.address)
    local, process = begun(here), begun(there, *on_ray)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert "verdict" in out and "study: elu 100%" in err
    assert all(line.startswith("study: ") for line in err.splitlines()), err
    local.communicate(timeout=240)
    expected = recorded(here, "study")
    assert len(expected) == 1 + 6 + 6 + 2
    assert recorded(there, "study") == expected

    process = begun(killed, *on_ray, "--checkpoint-every", "2")
    assert process.stderr
    while (shown := process.stderr.readline()) and "%" not in shown:
        pass
    kill_busy_node(cluster)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert recorded(killed, "study") == expected


@pytest.mark.extras  # takes most of a minute
def test_users_modules_give_the_same_on_a_cluster(cluster: Cluster, tmp_path: Path) -> None:
    process = faults.begun(tmp_path, "--executor", "ray", "--address", cluster.address, preset=faults.OWN_NETWORKS)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    expected = faults.all_undisturbed(faults.OWN_NETWORKS)
    assert len(expected) == 1 + 2 * faults.OWN_RUNS + 2
    assert recorded(tmp_path) == expected


class Killer:
    """Kills whoever unpickles it: a worker."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (1,)


def jobs(*changes: dict[str, Any], specs: int = 2) -> list[Job]:
    seeds = iter(range(100))
    return [
        replace(Job(tuple(SMALL.changed(seed=next(seeds)) for _ in range(specs)), DataLocation()), **change)
        for change in changes
    ]


def seeds_of(events: Iterable[Event]) -> list[list[int]]:
    return [sorted(spec.seed for spec in event.job.specs) for event in events]


def test_lost_tasks_are_tried_in_halves_and_a_stop_is_heeded(
    ray: Any, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dnntrain.executors import ray as ray_executor

    monkeypatch.setattr(ray_executor, "TASK_RETRIES", 0)
    monkeypatch.setattr(base, "MAX_RETRIES", 1)
    executor = ray_executor.RayExecutor(2, "cpu", ray_executor.RayOptions(address=cluster.address))
    events: list[Event] = []
    executor.run(jobs({"backbone": cast("Backbone", Killer())}, {}), events.append)
    assert seeds_of(event for event in events if isinstance(event, JobFailed)) == [[0], [1]]
    assert all(event.lost for event in events if isinstance(event, JobFailed))
    assert sorted(run.spec.seed for event in events if isinstance(event, RunsFinished) for run in event.runs) == [2, 3]
    assert len(executor._datasets) == 1

    long = SMALL.changed(epochs=200)
    stopped: list[Event] = []

    def handle(event: Event) -> None:
        stopped.append(event)
        if isinstance(event, EpochEnd):
            executor.stop()

    executor.run(jobs({"specs": (long,)}, {"specs": (long.changed(seed=1),)}, {}), handle)
    assert seeds_of(event for event in stopped if isinstance(event, JobFinished)) in ([[0], [1]], [[1], [0]])
    assert any(isinstance(event, CheckpointSaved) for event in stopped)
    assert not any(isinstance(event, RunsFinished | JobFailed) for event in stopped)


def test_a_job_that_ends_without_its_results_is_retried() -> None:
    [job] = jobs({})
    event, again = base.resolve_end(JobFinished(job), job, stopping=False)
    assert isinstance(event, JobFinished) and [retry.retries for retry in again] == [1, 1]
    assert seeds_of(JobFinished(retry) for retry in again) == [[0], [1]]
    assert base.resolve_end(JobFinished(job), job, stopping=True) == (JobFinished(job), [])


@pytest.mark.extras  # long
def test_without_an_address_ray_is_started_here_and_is_quiet(ray: Any, tmp_path: Path) -> None:
    records = json.loads(
        succeeds("train", *QUICK, "--executor", "ray", "--json", cwd=tmp_path, process=True, RAY_ADDRESS="")
    )
    assert records[0]["status"] == "finished" and records[0]["environment"]["bit_for_bit"]


def test_a_task_that_is_begun_again_goes_on_from_the_checkpoint() -> None:
    from dnntrain.executors.ray import EventActor

    [job] = jobs({"number": 7})
    first, second = job.specs
    made = Checkpoint([{"epoch": 1}], 1, 0.5, {})
    actor = EventActor()
    assert actor.begin(job) == (job, False)
    actor.send(RunsFinished(job, [], {}, {}))
    actor.send(CheckpointSaved(job, {first: made, second: made}))
    assert len(actor.fetch()) == 2 and actor.fetch() == []
    remaining, _ = actor.begin(job)
    assert remaining.checkpoints == {first: made, second: made}
    actor.stop()
    assert actor.begin(replace(job, number=8)) == (replace(job, number=8), True)
    restarted = EventActor()
    restarted.send(JobFinished(job))
    assert restarted.fetch() == [JobFinished(job)]


def test_data_that_are_mapped_from_disk_are_shared_not_copied(mini: Dataset, tmp_path: Path) -> None:
    from dnntrain.executors.ray import in_memory

    save_arrays(mini, tmp_path / "kept")
    shared: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(in_memory(load_mapped(tmp_path / "kept")), protocol=5, buffer_callback=shared.append)
    assert len(pickled) < 2000 and len(shared) == len(ARRAYS)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_shared_arrays_are_never_written_to(mini: Dataset) -> None:
    frozen = {name: np.array(getattr(mini, name)) for name in ARRAYS}
    for array in frozen.values():
        array.flags.writeable = False
    for scale in ("unit", "standard"):
        spec = SMALL.changed(scale=scale)
        [mine], [shared] = (
            train_population([spec], mini),
            train_population([spec], replace(mini, **cast("Any", frozen))),
        )
        assert shared.history == mine.history


@pytest.mark.parametrize(("workers", "gpus", "expected"), [(1, 1, 1.0), (2, 2, 1.0), (3, 2, 0.5), (6, 1, 0.1666)])
def test_a_gpu_is_shared_by_as_many_as_asked_for(workers: int, gpus: int, expected: float) -> None:
    from dnntrain.executors.ray import gpu_share

    assert gpu_share(workers, gpus) == expected


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def test_errors_of_executor_and_address(ray: Any, tmp_path: Path) -> None:
    train = ("train", *QUICK)
    assert "did you mean 'ray'" in error_of(*train, "--executor", "rya", cwd=tmp_path)
    assert "address auto: needs the executor ray" in error_of(*train, "--address", "auto", cwd=tmp_path)
    nobody = f"127.0.0.1:{free_port()}"
    assert f"{nobody}: no Ray cluster answers" in error_of(
        *train, "--executor", "ray", "--address", nobody, cwd=tmp_path, process=True
    )
    assert "HOST:PORT" in error_of(*train, "--executor", "ray", "--address", "ray://head:10001", cwd=tmp_path)


def test_ray_is_imported_only_where_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # its import fails
    succeeds("train", *QUICK, cwd=tmp_path)
    shown = error_of("train", *QUICK, "--seeds", "2", "--executor", "ray", cwd=tmp_path)
    assert "pip install 'dnntrain[ray]'" in shown
