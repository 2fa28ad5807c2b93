"""Workers that are started ahead of their first job, and serve one executor after the other."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path

import pytest

from dnntrain import __main__ as program
from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.executors import worker_process
from dnntrain.executors.jobs import Event, Job, JobFailed, JobFinished
from dnntrain.executors.local import LocalExecutor
from dnntrain.executors.worker_process import SPARE_WORKERS, WorkerProcess
from dnntrain.studies.feasibility import useful_workers
from dnntrain.studies.study import Arm, Study
from tests.support.faults import children

SMALL = RunSpec(hidden=(8,), epochs=1, train_size=200, val=100)


def trained(executor: LocalExecutor, *seeds: int) -> list[Event]:
    """The events of a job for each seed."""
    events: list[Event] = []
    executor.run((Job((SMALL.changed(seed=seed),), DataLocation()) for seed in seeds), events.append)
    return events


def test_a_worker_that_was_started_ahead_serves_one_executor_after_the_other() -> None:
    with SPARE_WORKERS.started(1):
        ahead = children(os.getpid())
        assert len(ahead) == 1
        assert any(isinstance(event, JobFinished) for event in trained(LocalExecutor(1), 0))
        assert children(os.getpid()) == ahead
        assert sum(isinstance(event, JobFinished) for event in trained(LocalExecutor(2), 1, 2)) == 2
        assert {*ahead} < {*children(os.getpid())}  # the second one is kept as well
    assert not children(os.getpid())


def test_a_spare_worker_that_has_died_is_replaced() -> None:
    with SPARE_WORKERS.started(1):
        [process] = children(os.getpid())
        os.kill(process, 9)
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        assert any(isinstance(event, JobFinished) for event in trained(LocalExecutor(1), 0))
    assert not children(os.getpid())


def ended_by(code: str) -> JobFailed:
    """What the executor makes of a worker that runs this code instead of its own, with its end of the pipe as stdin."""
    ours, theirs = Pipe()
    with theirs:
        process = subprocess.Popen([sys.executable, "-c", code], stdin=theirs.fileno())
    executor, job = LocalExecutor(1), Job((SMALL,), DataLocation())
    executor._workers[ours] = WorkerProcess(process, ours)
    executor._running[ours] = job
    [event] = executor.poll(timeout=30)
    assert isinstance(event, JobFailed)
    return event


def test_a_worker_that_fails_is_not_taken_for_one_that_was_killed() -> None:
    """The pipe breaks before the process has its exit code."""
    failed = ended_by("import os, sys, time; os.close(0); time.sleep(0.5); sys.exit(3)")
    assert not failed.lost
    assert "exit code 3" in failed.message
    assert ended_by("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").lost


def test_a_worker_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "LONGEST_END", 0.2)
    assert ended_by("import os, time; os.close(0); time.sleep(60)").lost


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ablate", "vanishing"], 1),
        (["ablate", "vanishing", "--plan"], 0),
        (["ablate", "vanishing", "--executor", "ray"], 0),
        (["train"], 0),  # in this process
        (["train", "--bn", "-n", "5"], 1),
        (["report", "ablate"], 0),
        ([], 0),
    ],
)
def test_which_commands_start_a_worker_ahead(words: list[str], expected: int) -> None:
    with program.worker_ahead(words):
        assert len(children(os.getpid())) == expected
    assert not children(os.getpid())


def test_a_study_that_is_shorter_than_a_start_needs_one_worker() -> None:
    def needed(spec: RunSpec) -> int | None:
        study = Study("some", (Arm("base", spec), Arm("elu", spec.changed(act="elu"))), (0, 1))
        return useful_workers(study, DataLocation(), [run for _, run in study.runs()])

    assert needed(SMALL) == 1
    assert needed(SMALL.changed(train_size=5000, epochs=200)) is None


SHAPES = """
import sys
from dnntrain.utils.torch_start import complete_torch, defer_meta_registrations
defer_meta_registrations()
import torch
def is_left_out():
    return "DeferredModule" in str(type(sys.modules["torch._meta_registrations"]))
assert is_left_out() and len(torch.ones(2, 3) @ torch.ones(3, 4)) == 2
if sys.argv[1] == "complete":
    complete_torch()
else:
    from torch._meta_registrations import meta_addbmm  # torch's own code may ask for a part of it
assert torch._meta_registrations.register_meta and not is_left_out()
assert torch.export.export(torch.nn.Linear(3, 2), (torch.ones(1, 3),)).module()(torch.ones(1, 3)).shape == (1, 2)
"""


@pytest.mark.parametrize("how", ["complete", "ask"])
def test_torch_without_what_tracing_needs_is_completed_when_it_is_needed(how: str) -> None:
    path = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", SHAPES, how], env=path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
