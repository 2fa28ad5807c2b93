"""On a GPU, training gives the CPU's figures; without one, the benchmark of GPUs runs on the CPU."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dnntrain.data import Dataset
from tests.bench.gpu import __main__ as program
from tests.bench.gpu import agreement, jax_runner, measure, sections
from tests.bench.gpu.cases import CNN, DEEP, FULL, SMALL, TINY
from tests.bench.gpu.engine import EAGER, GRAPH, time_steps
from tests.bench.gpu.jax_runner import JAX
from tests.bench.gpu.profiling import profile
from tests.bench.gpu.results import Clock, Results
from tests.bench.gpu.targets import RUN_BY_RUN, Target, judge, missed


@pytest.mark.cuda
@pytest.mark.parametrize("case", agreement.CASES)
def test_a_gpu_agrees_with_the_cpu_and_a_graph_with_eager_steps(case: str, mini: Dataset) -> None:
    extent = replace(FULL, agreement_size=500)
    rows = agreement.compare(agreement.CASES[case], mini, torch.device("cuda"), extent)
    assert [row for row in rows if not row["agrees"]] == []


def test_the_benchmark_runs_on_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "TINY", replace(TINY, members=(2,), cnn_members=(2,)))
    monkeypatch.setattr(sections, "DENSE", (DEEP,))
    chosen = [name for name in measure.SECTIONS if name not in ("resnet", "jax")]  # these take long on a CPU
    file = tmp_path / "gpu.json"
    assert measure.measure(torch.device("cpu"), True, 200, file, chosen) == 0
    out = capsys.readouterr().out
    results = json.loads(file.read_text())
    assert not results["failed"] and not results["left_out"]
    measured = {(row["what"], row["case"]) for row in results["rows"]}
    assert {("epoch", DEEP.name), ("step", DEEP.name), ("epoch", CNN), ("setup", SMALL.name)} <= measured
    assert [row["agrees"] for row in results["rows"] if row["what"] == "agreement"] == [True] * len(agreement.CASES)
    assert f"{SMALL.name}: microseconds a step\n" in out and "torch.func.vmap, eager" in out


def test_steps_of_a_runner_are_timed(mini: Dataset) -> None:
    assert all(time_steps(SMALL.settings, 2, how, mini, torch.device("cpu"), TINY) > 0 for how in (GRAPH, EAGER))


def test_a_profile_names_operations(mini: Dataset) -> None:
    assert "aten::" in profile(SMALL.settings, 1, EAGER, mini, torch.device("cpu"), TINY)


def test_a_machine_without_a_gpu_is_told_so_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["bench-gpu", "--json", str(tmp_path / "gpu.json")])
    monkeypatch.setattr(program, "prepare", lambda folder: None)  # this process has its environment
    assert program.main() == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_measurement_is_left_out_for_lack_of_time_or_fails_alone(capsys: pytest.CaptureFixture[str]) -> None:
    results = Results()
    clock = Clock(100, results)
    clock.measure("small", lambda: results.add("step", "a", "eager", 1, step=1.0), "series")
    clock.last["series"] = 30.0
    clock.measure("large", lambda: pytest.fail("begun"), "series")
    clock.measure("broken", lambda: {}["key"])
    assert results.get("step", "a", "eager", 1, "step") == 1.0
    assert results.left_out == ["large"]
    assert results.failed == ["broken: KeyError: 'key'"]
    assert "Traceback" in capsys.readouterr().err


def test_targets_are_judged_by_ratios() -> None:
    results = Results()
    for members, seconds in ((1, 1.0), (64, 1.7)):
        results.add("epoch", SMALL.name, "graph", members, epoch=seconds, step=0.001)
    results.add("step", SMALL.name, JAX, 1, step=0.0004)
    results.add("step", SMALL.name, RUN_BY_RUN, 1, step=0.002)
    targets = {target.name.removeprefix(f"{SMALL.name}: "): target for target in judge(results)}

    def said(name: str) -> tuple[float | None, str]:
        target: Target = targets[name]
        return target.measured, target.verdict

    assert said("whole epochs (graph), P = 64 / P = 1") == (1.7, "MISSED")
    assert said("step (graph), P = 1, engine / JAX") == (pytest.approx(2.5), "met")
    assert said("step (graph), P = 64, engine / JAX") == (None, "not measured (no JAX)")
    assert said("step, P = 64, PyTorch run by run / engine (graph)") == (pytest.approx(128), "met")
    assert missed(results) == [(SMALL.name, 64)]


def test_without_jax_its_figures_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results()
    monkeypatch.setitem(sys.modules, "jax", None)
    jax_runner.time_jax(results, TINY, [(SMALL, 1)], "cpu", 10)
    assert results.left_out == ["JAX is not installed: left out"]
