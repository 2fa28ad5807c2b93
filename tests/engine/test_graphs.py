"""Steps that are captured as a graph and replayed give what they give one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.graphs import CudaCapture, StepRunner
from dnntrain.engine.loop import train_population
from dnntrain.engine.population import Population
from dnntrain.engine.run import Run
from dnntrain.engine.steps import StepResult
from dnntrain.nn.modules.layer import ModuleLayer
from tests.engine.test_networks import small_images  # noqa: F401
from tests.support.catalogue import EVERY_TECHNIQUE, SMALL_NETWORKS, data_for
from tests.support.recorded_graph import record

# an epoch of twelve steps, eight of them probed; five of these and two of the others are replayed
SMALL = {"batch_size": 5, "train_size": 60, "val": 50, "epochs": 1, "lr": 0.05}


def recording(p: Population) -> StepRunner:
    return StepRunner(p, record)


def trained(
    data: Dataset, runner: Callable[[Population], StepRunner], settings: dict[str, Any], device: str = "cpu"
) -> list[Run]:
    specs = [RunSpec.parse(SMALL | settings | {"seed": seed}) for seed in (1, 2)]
    return train_population(specs, data, torch.device(device), runner=runner)


def assert_close(a: Run, b: Run) -> None:
    assert a.status == b.status and len(a.history) == len(b.history)
    for ours, theirs in zip(a.history, b.history, strict=True):
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    for name, weights in b.weights.items():
        np.testing.assert_allclose(a.weights[name], weights, rtol=1e-4, atol=1e-5, err_msg=name)


def check(
    data: Dataset,
    settings: dict[str, Any],
    runner: Callable[[Population], StepRunner] = recording,
    device: str = "cpu",
) -> None:
    eager, graphs = (trained(data, each, settings, device) for each in (StepRunner, runner))
    for a, b in zip(eager, graphs, strict=True):
        assert (a.steps_as, b.steps_as) == ("", "CUDA graphs")
        assert_close(a, b)


@pytest.mark.parametrize("technique", EVERY_TECHNIQUE)
def test_every_technique_in_a_graph(technique: str, few: Dataset) -> None:
    check(data_for(technique, few), {"hidden": "9,7,5"} | EVERY_TECHNIQUE[technique])


@pytest.mark.cuda
@pytest.mark.parametrize("technique", EVERY_TECHNIQUE)
def test_every_technique_in_a_graph_on_a_gpu(technique: str, few: Dataset) -> None:
    check(data_for(technique, few), {"hidden": "9,7,5"} | EVERY_TECHNIQUE[technique], StepRunner.of, "cuda")


@pytest.mark.cuda
@pytest.mark.parametrize("network", SMALL_NETWORKS)
def test_every_network_in_a_graph_on_a_gpu(network: str, small_images: Dataset) -> None:  # noqa: F811
    check(small_images, SMALL_NETWORKS[network] | {"optimizer": "sgd:momentum=0.9"}, StepRunner.of, "cuda")


@pytest.mark.parametrize("technique", [{"optimizer": "nadam"}, {"lookahead": 5}, {"swa": 0.5}])
def test_a_population_that_shrinks_and_a_smaller_last_step(technique: dict[str, Any], few: Dataset) -> None:
    settings = {"hidden": "9,7", "train_size": 62, "dropout": 0.2, "batch_size": 5, "val": 50} | technique
    specs = [RunSpec.parse(settings | {"seed": seed, "epochs": epochs}) for seed, epochs in ((1, 4), (2, 3))]
    eager, graphs = (train_population(specs, few, runner=runner) for runner in (StepRunner, recording))
    for a, b in zip(eager, graphs, strict=True):
        assert_close(a, b)


@pytest.mark.parametrize("network", SMALL_NETWORKS)
def test_every_network_in_a_graph(
    network: str,
    small_images: Dataset,  # noqa: F811
) -> None:
    own = {} if network == "module" else {"bn": True, "dropout": 0.2}
    check(small_images, SMALL_NETWORKS[network] | own | {"optimizer": "adam", "global_clipnorm": 0.5})


def all_at_once(p: Population) -> StepRunner:
    """Copies of a module go at once, as on an accelerator."""
    [layer] = (layer for layer in p.network.layers if isinstance(layer, ModuleLayer))
    layer.at_once = True
    return recording(p)


def test_a_module_under_vmap_in_a_graph(small_images: Dataset) -> None:  # noqa: F811
    # not adam, which makes large steps of the rounding of gradients that are 0, as that of a bias of the keys
    settings = SMALL_NETWORKS["module"] | {"optimizer": "sgd:momentum=0.9", "clipnorm": 0.5}
    eager, graphs = (trained(small_images, runner, settings) for runner in (StepRunner, all_at_once))
    for a, b in zip(eager, graphs, strict=True):
        assert b.steps_as == "CUDA graphs"
        assert_close(a, b)


def test_accumulation_leaves_a_last_step_of_its_own(few: Dataset) -> None:
    check(few, {"hidden": "9,7", "accumulate": 3, "dropout": 0.2, "train_size": 75, "mixup": 0.2, "noise": 0.1})


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("Counts", "the module changes its passes from step to step"),
        ("Draws", "the module draws from torch's global generator"),
        ("Looks", "operation not permitted when stream is capturing"),
    ],
)
def test_what_a_graph_cannot_hold_runs_eagerly(
    module: str,
    why: str,
    few: Dataset,
) -> None:
    settings = {"net": f"module:tests/support/eager_modules.py:{module}"}
    eager, tried = (trained(few, runner, settings) for runner in (StepRunner, recording))
    for a, b in zip(eager, tried, strict=True):
        assert b.steps_as == f"eager, not CUDA graphs: {why}"
        assert repr(a.history) == repr(b.history)


@pytest.mark.cuda
@pytest.mark.parametrize("module", ["Counts", "Draws", "Looks"])
def test_a_gpu_goes_on_where_no_graph_can_be_captured(module: str, few: Dataset) -> None:
    settings = {"net": f"module:tests/support/eager_modules.py:{module}"}
    eager, tried = (trained(few, runner, settings, "cuda") for runner in (StepRunner, StepRunner.of))
    for a, b in zip(eager, tried, strict=True):
        assert b.steps_as.startswith("eager, not CUDA graphs: ")
        assert_close(a, b)
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert torch.rand(3, device="cuda").isfinite().all()
    check(few, {"hidden": "9,7"}, StepRunner.of, "cuda")


def test_a_capture_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int | str] = [0]
    streams = ["default"]

    @contextmanager
    def stream(_: str) -> Iterator[None]:
        before = streams[-1]
        try:
            yield
        finally:
            streams.append(before)

    @contextmanager
    def graph(*_: object, **settings: object) -> Iterator[None]:
        streams.append("capture")  # for good, as in torch where the end of a capture fails
        yield

    def looks() -> StepResult:
        assert (modes[-1], streams[-1]) == ("error", "capture")
        raise RuntimeError("called a synchronizing CUDA operation")

    fakes = {"stream": stream, "graph": graph, "CUDAGraph": SimpleNamespace, "graph_pool_handle": lambda: (0, 1)}
    fakes |= {"current_stream": lambda: streams[-1], "get_sync_debug_mode": lambda: modes[-1]}
    for name, fake in (fakes | {"set_sync_debug_mode": modes.append}).items():
        monkeypatch.setattr(torch.cuda, name, fake)
    with pytest.raises(RuntimeError, match="synchronizing"):
        CudaCapture()(looks)
    assert (modes[-1], streams[-1]) == (0, "default")


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden": "9,7", "bn": True, "dropout": 0.1, "clipnorm": 1, "optimizer": "adam", "schedule": "power"},
        {"hidden": "9,7", "act": "mish", "l2": 0.01, "ema": 0.9, "noise": 0.1, "global_clipnorm": 1},
        {"net": "cnn:channels=4", "hidden": "5", "bn": True, "crop": 2},
        {"net": "resnet:blocks=1/1,width=4", "drop_path": 0.1, "mixup": 0.2},
    ],
)
def test_a_step_compiles_without_a_break(
    settings: dict[str, Any], few: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # tracing only: generating code takes a compiler, and half a minute
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    compiling = partial(StepRunner, compiles=True)
    eager, compiled = (trained(few, runner, settings) for runner in (StepRunner, compiling))
    for a, b in zip(eager, compiled, strict=True):
        assert b.steps_as == "compiled"
        assert_close(a, b)


def test_a_smaller_population_is_not_compiled_again(few: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    settings = {"hidden": "9", "batch_size": 5, "train_size": 60, "val": 50}
    specs = [RunSpec.parse(settings | {"seed": seed, "epochs": epochs}) for seed, epochs in ((1, 2), (2, 1))]
    last, first = train_population(specs, few, runner=partial(StepRunner, compiles=True))
    assert first.steps_as == "compiled"
    assert last.steps_as == "compiled until some runs ended"


def test_too_few_steps_are_neither_captured_nor_compiled(few: Dataset) -> None:
    settings = {"hidden": "9", "batch_size": 30, "train_size": 60, "epochs": 1}
    [run, _] = trained(few, partial(StepRunner, capture=record, compiles=True), settings)
    assert run.steps_as == "eager, too few steps"


def test_what_cannot_be_compiled_runs_all_the_same(few: Dataset) -> None:
    settings = {"hidden": "9,7,5", "optimizer": "muon"}
    eager, tried = (trained(few, runner, settings) for runner in (StepRunner, partial(StepRunner, compiles=True)))
    for a, b in zip(eager, tried, strict=True):
        assert b.steps_as.startswith("eager, not compiled: ")
        assert repr(a.history) == repr(b.history)
