"""Sharpness-aware minimization against hand-written loops of plain PyTorch, over 50 steps."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.data.split import split
from dnntrain.engine.loop import train_population
from dnntrain.nn.random import generator
from tests.support.networks import first_weights
from tests.support.plain_training import CONV_NET, assert_trained_alike, batches, conv_net, small_images, val_loss

SETTINGS = {"train_size": 200, "val": 150, "batch_size": 20, "lr": 0.1, "seed": 3, "epochs": 5}
"""Fifty steps."""


@pytest.fixture(scope="module")
def images(mini: Dataset) -> Dataset:
    return small_images(mini)


@pytest.mark.parametrize("optimizer", ["sgd:momentum=0.9", "adam:eps=1e-3"])
def test_a_network_with_batch_norm(optimizer: str, images: Dataset) -> None:
    lr = 0.05 if "sgd" in optimizer else 0.01
    spec = RunSpec.parse(SETTINGS | {"net": CONV_NET, "optimizer": optimizer, "lr": lr, "sam": 0.1})
    run, _ = train_population([spec, spec.changed(seed=4, sam=0.01)], images)

    module, losses = conv_net(spec, images), []
    parameters = list(module.parameters())
    updates = (
        torch.optim.SGD(parameters, lr=lr, momentum=0.9)
        if "sgd" in optimizer
        else torch.optim.Adam(parameters, lr=lr, eps=1e-3)
    )
    for epoch in range(spec.epochs):
        for x, y in batches(spec, images, epoch):
            grads = torch.autograd.grad(cross_entropy(module(x), y), parameters)
            statistics = [buffer.clone() for buffer in module.buffers()]
            norm = torch.cat([grad.flatten() for grad in grads]).norm()
            before = [parameter.detach().clone() for parameter in parameters]
            with torch.no_grad():
                for parameter, grad in zip(parameters, grads, strict=True):
                    parameter += 0.1 * grad / norm
            updates.zero_grad()
            cross_entropy(module(x), y).backward()
            with torch.no_grad():
                for parameter, own in zip(parameters, before, strict=True):
                    parameter.copy_(own)
                for buffer, own in zip(module.buffers(), statistics, strict=True):
                    buffer.copy_(own)
            updates.step()
        losses.append(val_loss(module, spec, images))
    assert_trained_alike(run, module, losses)


def test_penalties_and_clipping_act_on_the_second_gradient(mini: Dataset) -> None:
    settings = {"hidden": "12,5", "act": "tanh", "sam": 0.2, "l2": 0.01, "global_clipnorm": 1.6}
    spec = RunSpec.parse(SETTINGS | settings)
    run, _ = train_population([spec, spec.changed(seed=4)], mini)
    assert any(0 < share < 1 for share in run.values("clipped")), run.values("clipped")

    weights = {name: torch.from_numpy(value).requires_grad_() for name, value in first_weights(spec).items()}
    names = ("hidden1", "hidden2", "output")

    def grads(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
        for name in names:
            x = x @ weights[f"{name}.kernel"] + weights[f"{name}.bias"]
            x = x if name == "output" else x.tanh()
        return list(torch.autograd.grad(cross_entropy(x, y), list(weights.values())))

    train, _ = split(mini, spec.val, spec.train_size, generator(spec.seed, "split"))
    for epoch in range(spec.epochs):
        for chunk in torch.from_numpy(generator(spec.seed, "shuffle", epoch).permutation(train)).split(20):
            x = torch.from_numpy(mini.train_inputs[chunk]).flatten(1).float() / 255
            y = torch.from_numpy(mini.train_targets[chunk]).long()
            ascent = grads(x, y)
            norm = torch.cat([grad.flatten() for grad in ascent]).norm()
            with torch.no_grad():
                before = [weight.clone() for weight in weights.values()]
                for weight, grad in zip(weights.values(), ascent, strict=True):
                    weight += 0.2 * grad / norm
            descent = grads(x, y)
            with torch.no_grad():
                for weight, own in zip(weights.values(), before, strict=True):
                    weight.copy_(own)
                for (name, weight), grad in zip(weights.items(), descent, strict=True):
                    grad += 0.02 * weight if "kernel" in name else 0
                norm = torch.cat([grad.flatten() for grad in descent]).norm()
                for weight, grad in zip(weights.values(), descent, strict=True):
                    weight -= 0.1 * grad * 1.6 / norm.clamp(min=1.6)
    for name, weight in weights.items():
        ours = torch.from_numpy(run.weights[name])
        torch.testing.assert_close(ours, weight.detach(), rtol=1e-4, atol=2e-5)


def test_the_second_pass_has_the_same_dropout(mini: Dataset) -> None:
    """A ρ that is next to nothing leaves the gradient as it is, if nothing else differs between the passes."""
    settings = {"hidden": "12,5", "dropout": 0.3, "bn": True}
    plain, near = (RunSpec.parse(SETTINGS | settings | more) for more in ({}, {"sam": 1e-9}))
    [expected], [run] = (train_population([spec], mini) for spec in (plain, near))
    assert run.values("train_loss") == pytest.approx(expected.values("train_loss"), rel=1e-5)
    assert run.values("val_loss") == pytest.approx(expected.values("val_loss"), rel=1e-4)
