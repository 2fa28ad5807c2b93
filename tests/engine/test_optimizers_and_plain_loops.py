"""Whole runs whose optimizer does more than one step for all, against plain torch loops on the same batches."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import schedulefree
import torch
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR
from torch.optim.swa_utils import update_bn

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.loop import train_population
from dnntrain.engine.run import Run
from dnntrain.errors import InputError
from tests.support.own_networks import PlainConvNet
from tests.support.plain_training import CONV_NET, assert_trained_alike, batches, conv_net, small_images, val_loss
from tests.support.reference_optimizers import SinglePrecisionMuon

SETTINGS = {"net": CONV_NET, "train_size": 200, "val": 150, "batch_size": 20, "lr": 0.02, "seed": 3, "epochs": 5}
"""Fifty steps; the network has batch norm."""
PLAIN_NET = "module:tests/support/own_networks.py:PlainConvNet"


@pytest.fixture(scope="module")
def images(mini: Dataset) -> Dataset:
    return small_images(mini)


def trained(images: Dataset, **settings: Any) -> tuple[RunSpec, Run]:
    """A run with a companion, which has another rate."""
    spec = RunSpec.parse(SETTINGS | settings)
    run, _ = train_population([spec, spec.changed(seed=4, lr=0.01)], images)
    return spec, run


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("schedule_free_sgd:decay=0.01", schedulefree.SGDScheduleFree),
        # a bias below a norm has a gradient of rounding errors, which a small ε would blow up
        ("schedule_free_adamw:decay=0.01,eps=0.01", partial(schedulefree.AdamWScheduleFree, eps=0.01)),
    ],
)
def test_schedule_free_is_evaluated_at_its_average(name: str, make: Any, images: Dataset) -> None:
    spec, run = trained(images, optimizer=name, warmup="13")
    module, losses = conv_net(spec, images), []
    optimizer = make(module.parameters(), lr=spec.lr, weight_decay=0.01, warmup_steps=13)
    for epoch in range(spec.epochs):
        optimizer.train()
        for x, y in batches(spec, images, epoch):
            optimizer.zero_grad()
            cross_entropy(module(x), y).backward()
            optimizer.step()
        optimizer.eval()
        update_bn([x for x, _ in batches(spec, images, epoch)], module)
        losses.append(val_loss(module, spec, images))
    # the number of batches that a norm has counted is used by none
    counted = {"features.1.num_batches_tracked": torch.from_numpy(run.weights["net.features.1.num_batches_tracked"])}
    module.load_state_dict(counted, strict=False)
    assert_trained_alike(run, module, losses)


def test_muon_trains_hidden_matrices_and_a_second_optimizer_the_rest(images: Dataset) -> None:
    optimizer = "muon:second=adamw:decay=0.1/decay_exempt=on,second_lr=0.003"
    spec, run = trained(images, net=PLAIN_NET, optimizer=optimizer, schedule="cosine")
    module, losses = conv_net(spec, images, PlainConvNet), []
    named = dict(module.named_parameters())
    hidden = [named.pop(f"{name}weight") for name in ("2.", "6.")]
    matrices = [torch.nn.Parameter(p.detach().flatten(1)) for p in hidden]  # views: torch's Muon takes matrices only
    outer = [named.pop("0.weight"), named.pop("8.weight")]
    optimizers = [
        SinglePrecisionMuon(matrices, lr=spec.lr),
        torch.optim.AdamW(
            [{"params": outer}, {"params": named.values(), "weight_decay": 0}], lr=0.003, weight_decay=0.1
        ),
    ]
    schedulers = [CosineAnnealingLR(each, T_max=50) for each in optimizers]
    for epoch in range(spec.epochs):
        for x, y in batches(spec, images, epoch):
            module.zero_grad()
            cross_entropy(module(x), y).backward()
            for matrix, p in zip(matrices, hidden, strict=True):
                matrix.grad = p.grad.flatten(1)
            for step in (*optimizers, *schedulers):
                step.step()
        losses.append(val_loss(module, spec, images))
    assert_trained_alike(run, module, losses)


def test_weight_decay_uses_each_parameters_own_rate(images: Dataset) -> None:
    _, switch = trained(images, optimizer="muon:decay=0,second=adam", weight_decay=0.1)
    _, inside = trained(images, optimizer="muon:decay=0.1,second=adamw:decay=0.1/decay_exempt=on")
    for name, array in switch.weights.items():
        torch.testing.assert_close(torch.from_numpy(array), torch.from_numpy(inside.weights[name]))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("sgd:momentum=0.5", lambda p: torch.optim.SGD(p, momentum=0.5)),
        ("sgd:momentum=0.5,nesterov=on", lambda p: torch.optim.SGD(p, momentum=0.5, nesterov=True)),
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
    ],
)
def test_1cycle_cycles_the_momentum_as_torch_does(name: str, make: Any, images: Dataset) -> None:
    spec, run = trained(images, net=PLAIN_NET, optimizer=name, schedule="1cycle:momenta=0.85/0.95")
    module, losses = conv_net(spec, images, PlainConvNet), []
    optimizer = make(module.parameters())
    # torch's knots are at pct_start × total_steps - 1 and twice that; ours at 45 % and 90 % of the 50 steps
    scheduler = OneCycleLR(
        optimizer, spec.lr, total_steps=51, pct_start=23.5 / 51, anneal_strategy="linear", div_factor=10,
        final_div_factor=1000, three_phase=True, base_momentum=0.85, max_momentum=0.95,
    )  # fmt: skip
    for epoch in range(spec.epochs):
        for x, y in batches(spec, images, epoch):
            optimizer.zero_grad()
            cross_entropy(module(x), y).backward()
            optimizer.step()
            scheduler.step()
        losses.append(val_loss(module, spec, images))
    assert_trained_alike(run, module, losses)


def test_cycling_is_a_graph_of_its_own(images: Dataset) -> None:
    plain = RunSpec.parse(SETTINGS | {"optimizer": "sgd:momentum=0.9", "schedule": "1cycle"})
    cycling = plain.changed(schedule="1cycle:momenta=0.85/0.95")
    assert plain.graph() == plain.changed(schedule="cosine").graph() != cycling.graph()
    members = [cycling, cycling.changed(schedule="1cycle:momenta=0.6/0.8", warmup="7")]
    assert cycling.graph() == members[1].graph()
    together = train_population(members, images)
    for member, run in zip(members, together, strict=True):
        [alone] = train_population([member], images)
        assert repr(alone.history) == repr(run.history)


def test_gradient_centralization(images: Dataset) -> None:
    spec, run = trained(images, centralize=True, l2=0.01)
    module, losses = conv_net(spec, images), []
    optimizer = torch.optim.SGD(module.parameters(), lr=spec.lr)
    for epoch in range(spec.epochs):
        for x, y in batches(spec, images, epoch):
            optimizer.zero_grad()
            cross_entropy(module(x), y).backward()
            for p in module.parameters():
                if p.dim() > 1:
                    p.grad -= p.grad.mean(dim=tuple(range(1, p.dim())), keepdim=True)  # over all but the outputs
                    p.grad += 0.02 * p.detach()
            optimizer.step()
        losses.append(val_loss(module, spec, images))
    assert_trained_alike(run, module, losses)


@pytest.mark.parametrize("settings", [{"hidden": "9,7"}, {"net": "cnn:channels=4/4", "hidden": "7"}])
def test_centered_gradients_keep_the_sum_of_each_units_weights(settings: dict[str, Any], images: Dataset) -> None:
    spec = RunSpec.parse({"train_size": 60, "val": 80, "epochs": 1, "lr": 0.1, "centralize": True} | settings)
    [run], [start] = train_population([spec], images), train_population([spec.changed(lr=1e-12)], images)
    for name, array in run.weights.items():
        if name.endswith("kernel"):
            inputs = 0 if array.ndim == 2 else (1, 2, 3)
            assert abs(array - start.weights[name]).max() > 1e-3
            assert array.sum(inputs) == pytest.approx(start.weights[name].sum(inputs), abs=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "nadam", "muon", "schedule_free_sgd"])
def test_a_momentum_is_cycled_only_where_there_is_one(optimizer: str) -> None:
    with pytest.raises(InputError, match=r"schedule 1cycle:momenta=0\.85/0\.95"):
        RunSpec.parse({"optimizer": optimizer, "schedule": "1cycle:momenta=0.85/0.95"})
