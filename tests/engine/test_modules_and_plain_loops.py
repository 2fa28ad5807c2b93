"""A user's module trains as in a plain PyTorch loop with the same draws: equal to float rounding after an epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.data.split import split
from dnntrain.engine.loop import train_population
from dnntrain.engine.network import layer_specs
from dnntrain.engine.run import Run
from dnntrain.nn.random import generator
from tests.engine.test_bit_for_bit import assert_same
from tests.support import own_networks

CODE = "module:tests/support/own_networks.py:"
LR = 0.01
SETTINGS = {"epochs": 1, "train_size": 203, "val": 150, "batch_size": 20, "lr": LR, "seed": 3}
"""Eleven steps; the last mini-batch has 3 examples."""
N_TOKENS, LENGTH = 30, 6

Optimizer = Callable[..., torch.optim.Optimizer]
OPTIMIZERS: dict[str, Optimizer] = {
    "sgd:momentum=0.9": partial(torch.optim.SGD, lr=LR, momentum=0.9),
    "adam:eps=1e-2": partial(torch.optim.Adam, lr=LR, eps=1e-2),
}
"""Adam's ε is large because some gradients are 0 but for rounding, such as that of a bias before batch norm: with
torch's 1e-8 the steps would be the sign of what rounding leaves."""
NETWORKS: dict[str, Callable[[], torch.nn.Module]] = {
    "ConvNet": partial(own_networks.ConvNet, 10, 1),
    "RowReader": partial(own_networks.RowReader, 10, (1, 8, 8)),
    "RowReader:kind=GRU,layers=1": partial(own_networks.RowReader, 10, (1, 8, 8), kind="GRU", layers=1),
    "BagOfWords:tokens={tokens}": partial(own_networks.BagOfWords, 10, N_TOKENS),
}


@pytest.fixture(scope="module")
def images(mini: Dataset) -> Dataset:
    """Images of 8 × 8 pixels."""
    train, test = (np.ascontiguousarray(part[:, 2:26:3, 2:26:3]) for part in (mini.train_inputs, mini.test_inputs))
    return replace(mini, train_inputs=train, test_inputs=test[:300], test_targets=mini.test_targets[:300])


@pytest.fixture(scope="module")
def texts() -> Dataset:
    """Lists of tokens of ten classes, each of which has three tokens of its own."""
    rng = np.random.default_rng(0)
    targets = np.arange(500) % 10
    tokens = rng.integers(0, N_TOKENS, (500, LENGTH)).astype(np.int32)
    tokens[:, :3] = 3 * targets[:, None] + rng.integers(0, 3, (500, 3))
    tokens[0, -1] = N_TOKENS - 1
    classes = tuple("abcdefghij")
    return Dataset("texts", tokens[:400], targets[:400], tokens[400:], targets[400:], classes, "0" * 16, "none")


def prepared(inputs: np.ndarray) -> torch.Tensor:
    """What a plain loop gives a module: images (rows, 1, H, W) from 0 to 1, or tokens (rows, length)."""
    if inputs.dtype == np.uint8:
        return torch.from_numpy(inputs).float().div(255).unsqueeze(1)
    return torch.from_numpy(inputs).long()


def train_plainly(module: torch.nn.Module, optimizer: Optimizer, spec: RunSpec, data: Dataset) -> dict[str, float]:
    """Train one epoch as a tutorial does, on the run's examples in the run's order; the losses after it."""
    x, y = prepared(data.train_inputs), torch.from_numpy(data.train_targets).long()
    test_x, test_y = prepared(data.test_inputs), torch.from_numpy(data.test_targets).long()
    train, val = split(data, spec.val, spec.train_size, generator(spec.seed, "split"))
    order = torch.from_numpy(generator(spec.seed, "shuffle", 0).permutation(train.astype(np.int32)))
    updates = optimizer(module.parameters())
    module.train()
    for batch in order.split(spec.batch_size):
        updates.zero_grad()
        cross_entropy(module(x[batch]), y[batch]).backward()
        updates.step()
    module.eval()
    with torch.no_grad():
        return {
            "val_loss": cross_entropy(module(x[val]), y[val]).item(),
            "test_loss": cross_entropy(module(test_x), test_y).item(),
        }


def assert_equal_to_rounding(run: Run, module: torch.nn.Module, losses: dict[str, float]) -> None:
    assert run.values("val_loss") == pytest.approx([losses["val_loss"]], rel=1e-5)
    assert run.test["test_loss"] == pytest.approx(losses["test_loss"], rel=1e-5)
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    assert run.weights.keys() == {f"net.{name}" for name in tensors}
    for name, tensor in tensors.items():
        ours = torch.from_numpy(run.weights[f"net.{name}"])
        torch.testing.assert_close(ours, tensor.detach(), rtol=1e-4, atol=2e-6, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_an_epoch_is_that_of_a_plain_loop(network: str, optimizer: str, images: Dataset, texts: Dataset) -> None:
    data = texts if network.startswith("BagOfWords") else images
    spec = RunSpec.parse(SETTINGS | {"net": CODE + network, "optimizer": optimizer})
    module = NETWORKS[network]()
    # the first tensors are the only ones that are not the user's to draw
    *_, layer = layer_specs(spec, data.outline)
    first = layer.initial_state(generator(spec.seed, "init", 0))
    module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in first.items()})
    losses = train_plainly(module, OPTIMIZERS[optimizer], spec, data)

    others = [spec.changed(seed=4), spec.changed(seed=5, lr=0.1)]
    [alone] = train_population([spec], data)
    _, together, _ = train_population([others[0], spec, others[1]], data)
    assert_equal_to_rounding(alone, module, losses)
    assert_same(alone, together)
