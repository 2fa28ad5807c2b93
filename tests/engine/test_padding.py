"""Rows of padding never matter, whatever they hold; trainings agree with plain ones in float64 that have none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine import network
from dnntrain.engine.batches import Batch, BatchSource
from dnntrain.engine.loop import train_population
from dnntrain.engine.network import initial_state, layer_specs
from dnntrain.studies.presets import load_preset
from dnntrain.studies.study import Arm
from dnntrain.techniques import CATALOGUE
from dnntrain.techniques.normalization import BatchNorm, Normalization
from tests.engine.test_bit_for_bit import assert_same
from tests.support.catalogue import EVERY_TECHNIQUE, data_for
from tests.support.networks import data_info

BATCH = 6
"""Examples in a batch, of 32 rows at the widths below: most rows are padding."""
SMALL = {"data": "fashion-mini", "hidden": "7,5", "batch_size": BATCH, "val": 9, "epochs": 1, "scale": "standard"}


@pytest.fixture(scope="module")
def tiny(mini: Dataset) -> Dataset:
    """A few examples of four pixels each."""
    inputs, targets = mini.train_inputs[:, 13:15, 13:15], mini.train_targets
    return replace(mini, train_inputs=inputs[:33], train_targets=targets[:33],
                   test_inputs=inputs[33:46], test_targets=targets[33:46])  # fmt: skip


@pytest.fixture(scope="module")
def few(mini: Dataset) -> Dataset:
    """Some hundred examples, as a plain training takes its time."""
    return replace(mini, train_inputs=mini.train_inputs[:600], train_targets=mini.train_targets[:600],
                   test_inputs=mini.test_inputs[:20], test_targets=mini.test_targets[:20])  # fmt: skip


def fill_padding(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Fill every batch's padding with rows of infinity and of NaN; the list collects how many rows it has."""
    rows: list[int] = []

    def filled(batches: Callable[..., Iterator[Batch]]) -> Callable[..., Iterator[Batch]]:
        def fill(*arguments: Any) -> Iterator[Batch]:
            for batch in batches(*arguments):
                batch.x[:, batch.real :: 2] = math.inf
                batch.x[:, batch.real + 1 :: 2] = math.nan
                rows.append(batch.x.shape[1] - batch.real)
                yield batch

        return fill

    for name in ("epoch", "_in_order"):
        monkeypatch.setattr(BatchSource, name, filled(getattr(BatchSource, name)))
    return rows


@pytest.mark.parametrize("technique", EVERY_TECHNIQUE)
def test_what_the_padding_holds_never_matters(technique: str, tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every technique, with and without batch norm, at every remainder of the last batch."""
    settings, data = SMALL | EVERY_TECHNIQUE[technique], data_for(technique, tiny)
    takes_bn = technique == "bn" or not issubclass(CATALOGUE[technique], Normalization)
    # 12 to 17 examples: two full batches, then a last one of 0 or 2 to 5, or a second one of 7
    specs = [
        RunSpec.parse(settings | {"train_size": 2 * BATCH + left, "bn": takes_bn and left % 2 == 0})
        for left in range(BATCH)
    ]
    expected = [train_population([spec, spec.changed(seed=1)], data)[0] for spec in specs]
    rows = fill_padding(monkeypatch)
    runs = [train_population([spec, spec.changed(seed=1)], data)[0] for spec in specs]
    assert min(rows) >= 2
    for run, other in zip(runs, expected, strict=True):
        assert_same(run, other)


# ---- against a plain training in float64 that has no padding


def plainly_trained(spec: RunSpec, dataset: Dataset) -> float:
    """The last val_loss of a training in float64 by autograd, with SGD: the same weights, batches and rules."""
    inputs = BatchSource(dataset, [spec], torch.device("cpu"))
    names = initial_state(layer_specs(spec, data_info(inputs.n_features, inputs.n_outputs)), spec.seed)
    state = {name: torch.from_numpy(value).double() for name, value in names.items()}
    trained = [name for name in state if not name.endswith(("bn_mean", "bn_variance"))]
    validation, labels = plain_rows(inputs.validation())
    rate = float(np.float32(spec.lr))  # the engine keeps a rate for each member in float32
    for epoch in range(spec.epochs):
        for step, batch in enumerate(inputs.epoch([spec.seed], epoch)):
            x, y = plain_rows([batch])
            leaves = {name: state[name].requires_grad_() for name in trained}
            loss = torch.nn.functional.cross_entropy(plain_forward(spec, state, x, training=epoch + step == 0), y)
            gradients = torch.autograd.grad(loss, list(leaves.values()))
            state |= {n: (state[n] - rate * g).detach() for n, g in zip(leaves, gradients, strict=True)}
    with torch.no_grad():
        return float(torch.nn.functional.cross_entropy(plain_forward(spec, state, validation), labels))


def plain_rows(batches: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The real rows of batches of one member, in float64, and their labels."""
    x, y = zip(*((batch.x[0, : batch.real], batch.y[0, : batch.real]) for batch in batches), strict=True)
    return torch.cat(x).double(), torch.cat(y)


def plain_forward(
    spec: RunSpec, state: dict[str, torch.Tensor], x: torch.Tensor, training: bool | None = None
) -> torch.Tensor:
    """Logits; `training` is None for a test, else whether this is the first batch."""
    bn = spec.norm
    assert bn is None or isinstance(bn, BatchNorm)
    for layer, activation in enumerate(spec.activations, 1):
        name = f"hidden{layer}"
        z = x @ state[f"{name}.kernel"] + state.get(f"{name}.bias", torch.zeros(())).double()
        z = plain_norm(bn, state, name, z, training) if bn and bn.place == "before" else z
        h = activation(z)
        x = plain_norm(bn, state, name, h, training) if bn and bn.place == "after" else h
    return x @ state["output.kernel"] + state["output.bias"]


def plain_norm(
    bn: BatchNorm, state: dict[str, torch.Tensor], layer: str, z: torch.Tensor, first: bool | None
) -> torch.Tensor:
    """Equations 15 to 20 of the lecture."""
    averages = {name: state[f"{layer}.bn_{name}"] for name in ("mean", "variance")}
    if first is not None:
        batch = {"mean": z.mean(dim=0, keepdim=True), "variance": z.var(dim=0, keepdim=True, correction=0)}
        for name, value in batch.items():
            moved = value if first else (1 - bn.alpha) * averages[name] + bn.alpha * value
            state[f"{layer}.bn_{name}"] = moved.detach()
        averages = batch
    normal = (z - averages["mean"]) / (averages["variance"] + bn.eps).sqrt()
    return normal * state[f"{layer}.bn_scale"] + state[f"{layer}.bn_shift"]


VANISHING = load_preset("vanishing", {}).arms


@pytest.mark.parametrize("arm", VANISHING, ids=lambda arm: arm.name)
def test_deep_networks_in_float64_are_plain_trainings(arm: Arm, few: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, since some of these arms multiply a difference in rounding by a million in a few steps.

    The last batch has 33 rows: by batches of 32, one example of 97 is left over.
    """
    scaled = BatchSource.scaled
    monkeypatch.setattr(BatchSource, "scaled", lambda *given: scaled(*given).double())
    monkeypatch.setattr(network, "initial_state", initial_state_in_float64)
    spec = arm.run(0).changed(train_size=97, epochs=1)
    [run] = train_population([spec], few)
    assert run.history[-1]["val_loss"] == pytest.approx(plainly_trained(spec, few), rel=1e-6)


def initial_state_in_float64(*given: Any) -> dict[str, np.ndarray]:
    """The network's first weights."""
    return {name: value.astype(np.float64) for name, value in initial_state(*given).items()}


@pytest.mark.parametrize("factors", [{"bn": True}, {"bn": True, "act": "elu", "init": "he"}], ids=str)
def test_normalized_networks_agree_with_plain_trainings(factors: dict[str, Any], few: Dataset) -> None:
    """The arms of the preset that no rounding drives apart."""
    settings = {"hidden": "20x100", "act": "sigmoid", "init": "glorot", "train_size": 161, "epochs": 3} | factors
    spec = RunSpec.parse(settings)
    [run] = train_population([spec], few)
    assert run.history[-1]["val_loss"] == pytest.approx(plainly_trained(spec, few), abs=1e-3)
