"""Workers on several GPUs, and populations that are too large for one: told with files that stand for GPUs, on CPUs."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.executors import devices, worker
from dnntrain.executors.jobs import Event, Job, JobFailed, RunsFinished
from dnntrain.executors.local import LocalExecutor

SMALL = {"train_size": 100, "val": 50, "epochs": 1}


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the device files of two GPUs stands for /dev."""
    for number in (0, 1):
        (tmp_path / f"nvidia{number}").touch()
    monkeypatch.setattr(devices, "DEVICE_FILES", tmp_path)


def begin(executor: LocalExecutor, seed: int, device: str = "auto") -> int:
    """Submit a job to a new worker; its process's number."""
    executor.submit(Job((RunSpec.parse(SMALL | {"seed": seed, "epochs": 500}),), DataLocation(), device))
    return [*executor._workers.values()][-1].process.pid


def gpu_of(process: int) -> str | None:
    """The GPU that a process was started with, from its environment."""
    entries: list[str] = []
    while len(entries) < 2:  # it is empty until the program is loaded
        entries = Path(f"/proc/{process}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry).get("CUDA_VISIBLE_DEVICES")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the environment of a process is read in /proc")
@pytest.mark.parametrize(
    ("listed", "workers", "device", "expected"),
    [
        (None, None, "auto", ["0", "1"]),
        ("1,GPU-8f1b", None, "cuda", ["1", "GPU-8f1b"]),
        ("1", 2, "auto", ["1", "1"]),
        (None, 3, "auto", ["0", "1", "0"]),
        ("1,0", 1, "cpu", ["1,0"]),
    ],
)
def test_each_worker_has_a_gpu_and_who_replaces_it_has_the_same(
    listed: str | None,
    workers: int | None,
    device: str,
    expected: list[str],
    two_gpus: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if listed:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    executor = LocalExecutor(workers, device)
    assert executor.workers == len(expected)
    try:
        processes = [begin(executor, seed, device) for seed in range(executor.workers)]
        assert [gpu_of(process) for process in processes] == expected
        os.kill(processes[0], signal.SIGKILL)
        [lost] = executor.poll(20)
        assert isinstance(lost, JobFailed) and lost.lost
        assert gpu_of(begin(executor, 9, device)) == expected[0]
    finally:
        executor.close()
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == listed


MODULE = """
import pathlib, sys, weakref
import torch
from torch import nn

HELD = []

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.all = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

    def forward(self, x):
        left = len([each for each in HELD if each() is not None])
        (pathlib.Path(__file__).parent / "left").write_text(str(left))
        if members() > MOST:
            held = Cycle()
            HELD.append(weakref.ref(held))
            raise FAULT
        return self.all(x)

class Cycle:
    def __init__(self):
        self.tensor, self.itself = torch.zeros(10), self

def members():
    frame = sys._getframe()
    while frame:
        found = frame.f_locals.get("population")
        if hasattr(found, "runs"):
            return len(found.runs)
        frame = frame.f_back
    return 0
"""
ERRORS = [
    'torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")',
    'RuntimeError("[enforce fail] DefaultCPUAllocator: can\'t allocate memory: you tried to allocate 9 bytes")',
    'RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")',
]


def short_of_memory(folder: Path, most: int, fault: str = ERRORS[0]) -> dict[str, object]:
    """Settings of a module that runs out of memory where a population has more members than `most`."""
    (folder / "own.py").write_text(MODULE.replace("FAULT", fault).replace("MOST", str(most)))
    return SMALL | {"net": f"module:{folder}/own.py:Net"}


class Here(LocalExecutor):
    """Trains in this process."""

    def __init__(self) -> None:
        super().__init__(1, "cpu")
        self.events: list[Event] = []

    def submit(self, job: Job) -> None:
        self.events.append(worker.run_job(job, self.events.append))

    def poll(self, timeout: float) -> list[Event]:  # type: ignore[override]
        events, self.events = self.events, []
        return events


def train_here(specs: list[RunSpec]) -> list[Event]:
    events: list[Event] = []
    Here().run([Job(tuple(specs), DataLocation())], events.append)
    return events


@pytest.mark.parametrize(("fault", "members"), [(fault, 2) for fault in ERRORS] + [(ERRORS[0], 8)])
def test_a_population_is_halved_until_it_fits_and_leaves_nothing_behind(
    fault: str, members: int, tmp_path: Path
) -> None:
    module = short_of_memory(tmp_path, 1, fault)
    events = train_here([RunSpec.parse(module | {"seed": seed}) for seed in range(members)])
    assert not [event.message for event in events if isinstance(event, JobFailed)]
    assert len([run for event in events if isinstance(event, RunsFinished) for run in event.runs]) == members
    assert (tmp_path / "left").read_text() == "0"


def test_a_run_that_never_fits_is_given_up(tmp_path: Path) -> None:
    [*_, failed] = train_here([RunSpec.parse(short_of_memory(tmp_path, 0))])
    assert isinstance(failed, JobFailed) and failed.message == "out of memory with 1 run in one population"


def test_memory_is_released_when_the_exception_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its traceback holds the population's tensors."""
    seen: list[object] = []
    monkeypatch.setattr(worker, "release_memory", lambda: seen.append(sys.exc_info()[1]))
    end = worker.run_job(Job((RunSpec.parse(short_of_memory(tmp_path, 0)),), DataLocation()), lambda event: None)
    assert isinstance(end, JobFailed) and end.lost and seen == [None]
