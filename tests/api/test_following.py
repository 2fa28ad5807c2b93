"""Following a study from Python: callbacks that fail, progress without a place to go, and notebooks."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dnntrain as dt
from dnntrain.executors import registry
from tests.support.inline import Here

SMALL: dict[str, Any] = {"hidden": "4", "epochs": 2, "train_size": 60, "val": 60}


@pytest.fixture
def trained_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.EXECUTORS, "local", Here)


@pytest.mark.usefixtures("trained_here")
@pytest.mark.parametrize("method", ["start", "progress", "run_finished", "stop"])
def test_a_callback_that_fails_is_named_and_costs_no_finished_run(method: str, tmp_path: Path) -> None:
    def fail(self: Any, *args: Any) -> None:
        raise KeyError("mine")

    follower = type("Follower", (dt.StudyCallback,), {method: fail})()
    with pytest.raises(dt.DnntrainError, match=rf"Follower\.{method}\(\) failed with KeyError: 'mine'") as caught:
        dt.train(seeds=2, out=tmp_path, name="mine", progress=follower, **SMALL)
    assert isinstance(caught.value.__cause__, KeyError)
    if method in ("run_finished", "stop"):
        assert set(pd.read_csv(tmp_path / "mine" / "results.csv")["status"]) == {"finished"}
    assert len(dt.train(seeds=2, out=tmp_path, name="mine", **SMALL).runs) == 2


class BrokenPipe(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.usefixtures("trained_here")
@pytest.mark.parametrize("stderr", [None, closed(), BrokenPipe()], ids=["none", "closed", "broken pipe"])
def test_progress_without_a_place_to_go_is_dropped(
    stderr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", stderr)
    for number, progress in enumerate((True, "auto")):
        made = dt.train(out=tmp_path, progress=progress, name=f"study {number}", **SMALL)  # type: ignore[arg-type]
        assert len(made.runs) == 1


# In a kernel

SLOW = """
import dnntrain as dt
small = {"hidden": "8", "train_size": 200, "val": 100, "seeds": 3, "workers": 2, "name": "s"}
dt.ablate(arms={"slow": {"epochs": 50_000}}, epochs=1, **small)
"""


class Kernel:
    """A notebook's kernel, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manager = pytest.importorskip("jupyter_client").KernelManager(kernel_name="python3")
        path = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
        self.manager.start_kernel(cwd=str(folder), env={**os.environ, "PYTHONPATH": path})
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, cell: str, until: str = "", recorded: int = 0) -> list[dict[str, Any]]:
        """Run a cell to its end, or interrupt it when its output holds a text, and so many runs are recorded."""
        request, found, is_interrupted = self.client.execute(cell), [], not until
        while True:
            message = self.client.get_iopub_msg(timeout=120)
            if message["parent_header"].get("msg_id") != request:
                continue
            found.append({"type": message["msg_type"], **message["content"]})
            if message["content"].get("execution_state") == "idle":
                return found
            if not is_interrupted and until in json.dumps(message["content"]):
                is_interrupted = True
                while len([*self.folder.glob("runs/store/*/run.json")]) < recorded:
                    time.sleep(0.1)
                self.manager.interrupt_kernel()


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    pytest.importorskip("ipykernel")
    started = Kernel(tmp_path)
    yield started
    started.close()


@pytest.mark.extras
def test_a_notebook_shows_progress_and_an_interrupt_keeps_what_is_finished(kernel: Kernel, tmp_path: Path) -> None:
    shown = kernel.run(SLOW, until="3/3", recorded=3)
    assert {"display_data", "update_display_data"} <= {output["type"] for output in shown}
    assert [output["ename"] for output in shown if output["type"] == "error"] == ["KeyboardInterrupt"]
    assert "finished runs are recorded, and the same call continues from there" in json.dumps(shown)
    results = pd.read_csv(tmp_path / "runs" / "s" / "results.csv")
    assert results["arm"].tolist() == ["base"] * 3 and {*results["status"]} == {"finished"}
    left = kernel.run("import psutil\nprint([p.cmdline() for p in psutil.Process().children(recursive=True)])")
    assert "dnntrain.executors.worker" not in json.dumps(left)
    assert "3 of 6 runs are recorded already" in json.dumps(kernel.run(SLOW, until="already"))

    [table] = [output for output in kernel.run("dt.load('runs/s')") if output["type"] == "execute_result"]
    assert "<table>" in table["data"]["text/html"] and "base" in table["data"]["text/plain"]
    [figure] = [output for output in kernel.run("dt.load('runs/s').plot('time')") if output["type"] == "execute_result"]
    assert figure["data"]["image/png"].startswith("iVBOR")
