"""Sensitivities, slopes and norms of weights against backpropagation by hand, and what is kept of single steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import BatchSource
from dnntrain.engine.health import EXPLODING, diagnose
from dnntrain.engine.loop import train_population
from dnntrain.engine.network import initialize, layer_specs
from dnntrain.engine.population import StartState
from dnntrain.engine.probe import PROBES, early_steps
from dnntrain.engine.run import Run
from dnntrain.nn.layer import ForwardContext
from dnntrain.techniques.activations.base import Activation
from dnntrain.techniques.base import techniques_in
from dnntrain.techniques.clipping import Clipping
from tests.support.networks import first_weights

CPU = torch.device("cpu")
SMALL = {"hidden": "12,9,7", "batch_size": 20, "train_size": 20, "val": 150, "epochs": 1, "lr": 0.05}
KINDS = [kind.name for kind in techniques_in(Clipping)]


def trained(data: Dataset, **settings: Any) -> Run:
    [run] = train_population([RunSpec.parse(SMALL | settings)], data)
    return run


def by_hand(spec: RunSpec, data: Dataset) -> dict[str, list[float]]:
    """The figures of the first mini-batch in float64: forward, then s^K = p - y and s^k = f'(z^k) W^(k+1) s^(k+1)."""
    w = {name: value.astype(np.float64) for name, value in first_weights(spec).items()}
    batch = next(iter(BatchSource(data, [spec], CPU).epoch([spec.seed], 0)))
    h, labels = batch.x[0, : batch.real].numpy().astype(np.float64), batch.y[0, : batch.real].numpy()
    layers = [f"hidden{k}" for k in range(1, len(spec.hidden) + 1)]
    slopes = []
    for layer, act in zip(layers, spec.activations, strict=True):
        z = h @ w[f"{layer}.kernel"] + w[f"{layer}.bias"]
        own = [w[f"{layer}.{act.trained}"]] if act.trained else []
        h, slope = value_and_slope(act, z, own)
        slopes.append(slope)
    outputs = h @ w["output.kernel"] + w["output.bias"]
    p = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    s = p / p.sum(axis=1, keepdims=True) - np.eye(p.shape[1])[labels]
    sensitivities = [s]
    for upper, slope in zip([*layers[1:], "output"][::-1], slopes[::-1], strict=True):
        below = s @ w[f"{upper}.kernel"].T
        s = slope * np.tile(below, slope.shape[1] // below.shape[1])
        sensitivities.insert(0, s)
    kernels = [w[f"{layer}.kernel"] for layer in (*layers, "output")]
    pieces = [act.inputs_per_unit for act in spec.activations]
    return {
        "sensitivity": [float(np.linalg.norm(s, axis=1).mean()) for s in sensitivities],
        "weight_norm": [float(np.linalg.norm(kernel) / np.sqrt(kernel.shape[1])) for kernel in kernels],
        "slope": [float(np.sqrt((slope**2).mean() * n)) for slope, n in zip(slopes, pieces, strict=True)],
    }


def value_and_slope(act: Activation, z: np.ndarray, trained: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """An activation in float64, and its derivative for each net input by central differences."""

    def value(z: np.ndarray) -> np.ndarray:
        on_cpu: np.ndarray = act(torch.from_numpy(z)[None], *map(torch.from_numpy, trained))[0].numpy()
        return on_cpu

    pieces, step, parts = act.inputs_per_unit, 1e-6, []
    for piece in np.split(np.eye(pieces), pieces):  # those of one unit one after the other
        shift = step * np.repeat(piece[0], z.shape[1] // pieces)
        parts.append((value(z + shift) - value(z - shift)) / (2 * step))
    return value(z), np.concatenate(parts, axis=1)


@pytest.mark.parametrize("act", [act.example or act.name for act in techniques_in(Activation)])
def test_backpropagation_by_hand(act: str, mini: Dataset) -> None:
    run = trained(mini, act=act, seed=3)
    expected = by_hand(run.spec, mini)
    for name, values in expected.items():
        assert run.probes.start[name] == pytest.approx(values, rel=1e-6), name
        assert run.history[0][name] == pytest.approx(run.probes.start[name], rel=1e-6)  # the epoch has one step


@pytest.mark.parametrize("settings", [{"batch_size": 10, "accumulate": 2}, {"sam": 0.05}, {"global_clipnorm": 0.1}])
def test_sensitivities_are_of_whole_steps_at_the_present_weights(settings: dict[str, Any], mini: Dataset) -> None:
    plain, run = trained(mini, seed=3), trained(mini, seed=3, **settings)
    for name in ("sensitivity", "slope", "weight_norm"):
        assert run.probes.start[name] == pytest.approx(plain.probes.start[name], rel=1e-5), name


def test_a_gradient_whose_squares_are_too_small_is_measured(mini: Dataset) -> None:
    sensitivity = np.array(trained(mini, act="sigmoid", hidden="50x20").probes.start["sensitivity"])
    assert 0 < sensitivity[0] < 1e-23
    assert (sensitivity[0] / sensitivity[-2]) ** (1 / 49) == pytest.approx(0.24, abs=0.01)


def test_a_convolutions_sensitivity_is_of_all_pixels(mini: Dataset) -> None:
    spec = RunSpec.parse(SMALL | {"net": "cnn:channels=3/4", "hidden": "5"})
    layers = layer_specs(spec, mini.outline)
    network = initialize([spec], [layers], CPU)
    batch = next(iter(BatchSource(mini, [spec], CPU, layers=layers).epoch([0], 0)))
    seen: dict[str, torch.Tensor] = {}

    class Recorder:
        def slope(self, name: str, slope: torch.Tensor, inputs_per_unit: int) -> None:
            seen[name] = slope

        def net_input_gradient(self, weight: str, grad: torch.Tensor) -> None:
            seen[weight] = grad.clone()

    with torch.inference_mode():
        outputs = network.forward(batch.x, ForwardContext(batch.real, training=True, observe_backward=Recorder()))
        grads = network.backward(torch.ones_like(outputs))
    assert [*seen] == [
        "conv1",
        "conv2",
        "hidden1",
        *(f"{name}.kernel" for name in ("output", "hidden1", "conv2", "conv1")),
    ]
    for name in ("conv1", "conv2", "hidden1", "output"):
        of_bias = seen[f"{name}.kernel"].transpose(1, 2).flatten(2).sum(dim=2)  # a bias is added to each net input
        torch.testing.assert_close(of_bias.flatten(), grads[f"{name}.bias"].flatten(), rtol=1e-4, atol=1e-5)
        assert seen[f"{name}.kernel"].shape[1] == batch.real


# ---- single steps


def test_magnitudes_are_those_of_the_probed_steps_before_clipping(mini: Dataset) -> None:
    run = trained(mini, train_size=203, epochs=2, clipvalue=1e-4)
    assert [*run.probes.magnitudes] == KINDS
    assert {len(values) for values in run.probes.magnitudes.values()} == {2 * PROBES}
    of_value, of_norm, of_all = (np.array(run.probes.magnitudes[name]) for name in KINDS)
    assert (of_value < of_norm).all() and (of_norm < of_all).all()
    largest_weight = np.array(run.history[0]["grad_norm"]).max()
    assert of_norm[:PROBES].mean() >= largest_weight - 1e-6  # biases count too
    assert run.probes.last[-1]["grad_norm"] != run.history[-1]["grad_norm"]


@pytest.mark.parametrize(
    ("settings", "low", "high"),
    [({"clipvalue": 1e-5}, 0.01, 0.9), ({"global_clipnorm": 1e-3}, 0.999, 1.001), ({"clipvalue": 1e3}, 0.999, 1.001)],
)
def test_clipping_by_value_turns_the_gradient(settings: dict[str, Any], low: float, high: float, mini: Dataset) -> None:
    for row in trained(mini, train_size=203, epochs=2, **settings).history:
        assert low < row["clip_cosine"] < high
    assert "clip_cosine" not in trained(mini).history[0]


def test_a_run_that_diverges_keeps_its_last_finite_steps(mini: Dataset) -> None:
    run = trained(mini, train_size=400, epochs=3, lr=1e6)
    assert run.status == "diverged"
    steps = [figures["step"] for figures in run.probes.last]
    assert steps == sorted(steps) and 0 < len(steps) <= PROBES and steps[-1] <= run.probes.finite_steps + 1
    assert all(np.isfinite(figures["grad_norm"]).all() for figures in run.probes.last)
    record = run.to_record("f" * 12, mini.description(), {})
    assert [figures["step"] for figures in record.probes.last] == steps and record.health.startswith("exploding")


def test_a_run_that_finishes_keeps_the_first_step_only(mini: Dataset) -> None:
    record = trained(mini, epochs=2).to_record("f" * 12, mini.description(), {})
    assert record.probes.start and not record.probes.last and record.probes.finite_steps == 2


def test_a_run_that_an_old_checkpoint_resumes_has_no_first_step(mini: Dataset) -> None:
    """Old checkpoints hold no probes; what is measured at a later step is not taken for the first."""
    spec, taken = RunSpec.parse(SMALL | {"train_size": 100, "epochs": 2}), []
    train_population([spec], mini, on_epoch=lambda runs, take: taken.append(take()))
    old = replace(taken[0][0], probes={})
    [run] = train_population([spec], mini, start=StartState(checkpoints=[old]))
    assert not run.probes.start and run.probes.finite_steps == 2 * 5


def test_large_first_weights_explode_and_a_large_rate_diverges(mini: Dataset) -> None:
    weights = trained(mini, hidden="12x20", init="normal:std=2", lr=0.1, train_size=200)
    assert weights.status == "diverged" and max(weights.probes.start["grad_norm"]) > EXPLODING
    assert "exploding (layer" in str(diagnose(weights.history, weights.status, weights.layers, weights.probes))


def test_the_first_epoch_is_probed_at_powers_of_two_as_well() -> None:
    assert early_steps(20) == {1, 2, 4, 8, 16} and early_steps(1) == set() and early_steps(0) == set()
