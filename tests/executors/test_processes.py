"""Workers are programs of their own: what the caller has loaded, set or written does not matter, and is left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.executors import worker
from dnntrain.executors.in_process import InProcessExecutor
from dnntrain.executors.jobs import EpochEnd, Event, Job, JobFailed, JobFinished, RunsFinished
from dnntrain.executors.local import LocalExecutor
from tests.support.command import QUICK, environment
from tests.support.faults import children

SMALL = RunSpec(hidden=(8,), epochs=1, train_size=200, val=100)

SCRIPT = """
import os, signal, torch
torch.set_num_threads(4)
torch.ones(300, 300) @ torch.ones(300, 300)  # the libraries have read their environment
before = dict(os.environ), [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

from pathlib import Path
from dnntrain.config.spec import RunSpec
from dnntrain.executors.local import LocalExecutor
from dnntrain.store.run_store import RunStore
from dnntrain.studies.runner import StudyRunner
from dnntrain.studies.study import Arm, Study

spec = RunSpec(hidden=(16,), epochs=2, train_size=500, val=500)
study = Study("script", (Arm("a", spec), Arm("b", spec.changed(act="elu"))), (0, 1))
trained = StudyRunner(study, RunStore(Path("script")), device="cpu").run(LocalExecutor(2))

print(len(trained.records), torch.get_num_threads())
assert before == (dict(os.environ), [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)])
"""

COMMAND = """
import sys
from dnntrain.cli.main import run
sys.argv = ["dnntrain", *sys.argv[1:]]
code = run()
print("torch" in sys.modules, file=sys.stderr)
sys.exit(code)
"""


def python(program: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program as a script, without a guard for its main module."""
    (cwd / "script.py").write_text(program)
    command = [sys.executable, "script.py", *words]
    path = str(Path(__file__).parents[2])
    done = subprocess.run(
        command, cwd=cwd, env=environment(PYTHONPATH=path), capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done


def runs(store: Path) -> dict[str, tuple[bytes, bytes, list[dict[str, Any]]]]:
    """The weights, the predictions and the history of each recorded run."""
    return {
        path.name: (
            (path / "weights.safetensors").read_bytes(),
            (path / "predictions.npz").read_bytes(),
            json.loads((path / "run.json").read_text())["history"],
        )
        for path in (store / "store").glob("[!.]*")
    }


@pytest.mark.extras  # long
def test_a_script_beside_a_loaded_torch_and_a_command_without_workers_give_the_same(tmp_path: Path) -> None:
    assert python(SCRIPT, cwd=tmp_path).stdout == "4 4\n"
    script = runs(tmp_path / "script")
    assert len(script) == 4
    done = python(COMMAND, "train", *QUICK, "--out", "command", cwd=tmp_path)
    assert done.stderr.splitlines()[-1] == "True"  # trained in its own process
    [(run, result)] = runs(tmp_path / "command").items()
    assert script[run] == result


def run(executor: LocalExecutor, *jobs: Job, then: Callable[[Event], None] = lambda event: None) -> list[Event]:
    """The events of the jobs."""
    events: list[Event] = []

    def handle(event: Event) -> None:
        events.append(event)
        then(event)

    executor.run(jobs, handle)
    return events


def job(**settings: Any) -> Job:
    return Job((SMALL.changed(**settings),), DataLocation())


def test_many_runs_share_two_workers() -> None:
    most = 0

    def count(event: Event) -> None:
        nonlocal most
        if isinstance(event, RunsFinished):
            most = max(most, len(children(os.getpid())))

    events = run(LocalExecutor(2), *(job(seed=seed) for seed in range(12)), then=count)
    finished = [run.spec.seed for event in events if isinstance(event, RunsFinished) for run in event.runs]
    assert sorted(finished) == list(range(12))
    assert len([event for event in events if isinstance(event, JobFinished)]) == 12
    assert most == 2 and not children(os.getpid())


def test_an_interrupt_of_the_caller_ends_the_workers() -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, EpochEnd):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(LocalExecutor(1), job(epochs=500), then=interrupt)
    assert not children(os.getpid())


def test_a_worker_that_cannot_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torch.py").write_text("print('loading'); raise ImportError('torch is broken here')")
    monkeypatch.syspath_prepend(tmp_path)
    [failed] = run(LocalExecutor(1), job())
    assert isinstance(failed, JobFailed) and not failed.lost and "ImportError: torch is broken here" in failed.message
    out, err = capfd.readouterr()
    assert out == "" and "loading" in err
    (tmp_path / "pydantic.py").write_text("raise ImportError('no pydantic here')")
    [failed] = run(LocalExecutor(1), job())
    assert isinstance(failed, JobFailed) and "exit code 1" in failed.message
    assert "no pydantic here" in capfd.readouterr().err


def test_a_run_that_is_too_large_for_the_command_goes_to_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = JobFailed(job(), "out of memory", lost=True)
    monkeypatch.setattr(worker, "run_job", lambda *_: failed)
    events = run(InProcessExecutor(), job())
    assert [type(event) for event in events] == [EpochEnd, RunsFinished, JobFinished]


EXECUTOR = """
from dnntrain.__main__ import main
from dnntrain.executors.base import Executor, ExecutorOptions
from dnntrain.executors.registry import register
from dnntrain.executors.worker import run_job

class HereOptions(ExecutorOptions):
    queue: str | None = None

@register
class Here(Executor):
    name, summary, Options = "here", "this very process", HereOptions

    def __init__(self, workers, device, options):
        super().__init__(1, device)
        self.events = []
        assert options.queue == "fast"

    def submit(self, job):
        self.events.append(run_job(job, self.events.append))

    def poll(self, timeout):
        events, self.events = self.events, []
        return events

    def cancel(self):
        pass

    def close(self):
        pass

main()
"""


def test_a_new_executor_is_one_class(tmp_path: Path) -> None:
    words = ("train", *QUICK, "--seeds", "2", "--executor", "here", "--queue", "fast")
    assert len(json.loads(python(EXECUTOR, *words, "--json", cwd=tmp_path).stdout)) == 2
    shown = " ".join(python(EXECUTOR, "train", "--help-all", cwd=tmp_path).stdout.split())
    assert "here (this very process)" in shown and "--queue" in shown
