"""Training as a tutorial writes it, on a run's examples in the run's order: what the engine is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.data.split import split
from dnntrain.engine.network import layer_specs
from dnntrain.engine.run import Run
from dnntrain.nn.random import generator
from tests.support.own_networks import ConvNet

CONV_NET = "module:tests/support/own_networks.py:ConvNet"
Examples = tuple[torch.Tensor, torch.Tensor]


def small_images(mini: Dataset) -> Dataset:
    """Images of 8 × 8 pixels."""
    train, test = (np.ascontiguousarray(part[:, 2:26:3, 2:26:3]) for part in (mini.train_inputs, mini.test_inputs))
    return replace(mini, train_inputs=train, test_inputs=test[:300], test_targets=mini.test_targets[:300])


def conv_net(spec: RunSpec, data: Dataset, make: Callable[[int, int], torch.nn.Module] = ConvNet) -> torch.nn.Module:
    """The run's module, of this class, before its first step."""
    *_, layer = layer_specs(spec, data.outline)
    first = layer.initial_state(generator(spec.seed, "init", 0))
    module = make(10, 1)
    module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in first.items()})
    return module.train()


def examples(data: Dataset, indices: np.ndarray) -> Examples:
    """Images (rows, 1, H, W) from 0 to 1, and labels."""
    x = torch.from_numpy(data.train_inputs[indices]).float().div(255).unsqueeze(1)
    return x, torch.from_numpy(data.train_targets[indices]).long()


def batches(spec: RunSpec, data: Dataset, epoch: int) -> Iterator[Examples]:
    """The mini-batches of an epoch, from 0."""
    train, _ = split(data, spec.val, spec.train_size, generator(spec.seed, "split"))
    order = generator(spec.seed, "shuffle", epoch).permutation(train)
    for start in range(0, len(order), spec.batch_size):
        yield examples(data, order[start : start + spec.batch_size])


def val_loss(module: torch.nn.Module, spec: RunSpec, data: Dataset) -> float:
    """The loss on the validation part."""
    _, validation = split(data, spec.val, spec.train_size, generator(spec.seed, "split"))
    x, y = examples(data, validation)
    module.eval()
    with torch.no_grad():
        loss = cross_entropy(module(x), y).item()
    module.train()
    return loss


def assert_trained_alike(run: Run, module: torch.nn.Module, losses: list[float]) -> None:
    """The run's weights are the module's, and its validation losses are these, to float rounding."""
    assert run.values("val_loss") == pytest.approx(losses, rel=1e-5)
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    assert run.weights.keys() == {f"net.{name}" for name in tensors}
    for name, tensor in tensors.items():
        ours = torch.from_numpy(run.weights[f"net.{name}"])
        torch.testing.assert_close(ours, tensor.detach(), rtol=1e-4, atol=4e-6, msg=lambda m, name=name: f"{name}: {m}")
