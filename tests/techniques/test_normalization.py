"""Norms in dense networks against torch's functions; ghost batches; what a norm needs, and what it replaces."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset, DatasetInfo
from dnntrain.engine.loop import train_population
from dnntrain.engine.network import layer_specs
from dnntrain.errors import InputError
from dnntrain.nn.layer import EVAL, ForwardContext, Layer, Tensors
from dnntrain.studies.confounds import implied_changes
from dnntrain.studies.feasibility import check_run
from dnntrain.techniques.normalization import BatchNorm, ExampleNorm, Normalization
from dnntrain.techniques.normalization.per_example import GroupNorm, LayerNorm, RMSNorm
from tests.engine.test_bit_for_bit import assert_same
from tests.support.networks import new_network

CPU = torch.device("cpu")
UNITS = 12
WITHIN_EXAMPLES = [LayerNorm(eps=1e-3), GroupNorm(groups=3), GroupNorm(groups=1), RMSNorm()]


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer_of(norm: Normalization, members: int = 3, units: int = UNITS) -> Layer:
    """The layer with random scales and shifts."""
    spec = norm.layer("norm", (units,))
    first = [
        {key: randn(members, *shape, seed=i + 1).abs() + 0.5 for i, (key, shape) in enumerate(shapes.items())}
        for shapes in (spec.parameters, spec.buffers)
    ]
    return spec.build(*first, [spec] * members, CPU)


def by_torch(norm: ExampleNorm, x: torch.Tensor, scale: torch.Tensor, *shift: torch.Tensor) -> torch.Tensor:
    """The norm of one member's x (rows, units)."""
    if isinstance(norm, GroupNorm):
        return F.group_norm(x, norm.groups, scale, *shift, eps=norm.eps)
    function = F.layer_norm if isinstance(norm, LayerNorm) else F.rms_norm
    return function(x, x.shape[1:], scale, *shift, eps=norm.eps)


@pytest.mark.parametrize("norm", WITHIN_EXAMPLES, ids=str)
def test_norms_within_examples_are_torchs_forward_and_backward(norm: ExampleNorm) -> None:
    x, upstream, grads = 3 * randn(3, 24, UNITS) + 1, randn(3, 24, UNITS, seed=3), Tensors()
    layer = layer_of(norm)
    z = layer.forward(x.clone(), ForwardContext(real=20, training=True))
    torch.testing.assert_close(layer.forward(x, EVAL), z)  # a test is as training
    grad_in = layer.backward(upstream.clone(), grads)
    assert grad_in is not None
    for member in range(3):
        leaves = [x[member, :20].clone(), *(tensor[member, 0].clone() for tensor in layer.parameters().values())]
        for leaf in leaves:
            leaf.requires_grad_()
        expected = by_torch(norm, *leaves)
        torch.testing.assert_close(z[member, :20], expected)
        found = [grad_in[member, :20], *(gradient[member, 0] for gradient in grads.values())]
        for ours, theirs in zip(found, torch.autograd.grad(expected, leaves, upstream[member, :20]), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("name", ["layer_norm", "rms_norm", "group_norm"])
def test_norms_stand_where_they_are_asked_to(name: str, place: str) -> None:
    settings = {name: 3 if name == "group_norm" else True, f"{name}_place": place}
    net, x = new_network([RunSpec.parse({"hidden": "6", "act": "tanh"} | settings)], UNITS, 4), randn(1, 16, UNITS)
    p, norm = net.parameters, net.spec.norm
    assert isinstance(norm, ExampleNorm)
    weights = [p[key][0, 0] for key in p if f"hidden1.{name}_" in key]
    z = (x @ p["hidden1.kernel"] + p["hidden1.bias"])[0]
    h = torch.tanh(by_torch(norm, z, *weights)) if place == "before" else by_torch(norm, torch.tanh(z), *weights)
    torch.testing.assert_close(net.forward(x)[0], h @ p["output.kernel"][0] + p["output.bias"][0])


# ---- ghost batches


def test_ghost_batches_are_normalized_one_by_one() -> None:
    """22 real rows in parts of 5: three of them, and a last one with what is left over."""
    x, upstream, grads = 3 * randn(2, 32, UNITS) + 1, randn(2, 32, UNITS, seed=3), Tensors()
    x[:, 22:], upstream[:, 22:] = math.nan, math.inf
    layer = layer_of(BatchNorm(ghost=5), members=2)
    before = {key: buffer.clone() for key, buffer in layer.buffers().items()}
    z = layer.forward(x.clone(), ForwardContext(real=22, training=True))
    grad_in = layer.backward(upstream.clone(), grads)
    assert grad_in is not None
    bounds = [(0, 5), (5, 10), (10, 15), (15, 22)]
    for member in range(2):
        scale, shift = (tensor[member, 0].clone().requires_grad_() for tensor in layer.parameters().values())
        leaf = x[member].clone().requires_grad_()
        parts = [F.batch_norm(leaf[a:b], None, None, scale, shift, training=True) for a, b in bounds]
        expected = torch.cat(parts)
        torch.testing.assert_close(z[member, :22], expected, rtol=1e-4, atol=1e-5)
        found = [grad_in[member, :22], *(gradient[member, 0] for gradient in grads.values())]
        theirs = torch.autograd.grad(expected, [leaf, scale, shift], upstream[member, :22])
        for ours, gradient in zip(found, (theirs[0][:22], *theirs[1:]), strict=True):
            torch.testing.assert_close(ours, gradient, rtol=1e-4, atol=1e-5)
        statistics = [(x[member, a:b].mean(0), x[member, a:b].var(0, correction=0)) for a, b in bounds]
        for key, values in zip(before, zip(*statistics, strict=True), strict=True):
            moved = 0.9 * before[key][member, 0] + 0.1 * torch.stack(values).mean(0)
            torch.testing.assert_close(layer.buffers()[key][member, 0], moved)


@pytest.mark.parametrize("settings", [{}, {"net": "cnn:channels=4", "hidden": "5"}], ids=str)
def test_ghost_batches_have_the_same_bits_alone_and_in_company(settings: dict[str, Any], mini: Dataset) -> None:
    small = {"hidden": "7,5", "batch_size": 20, "val": 70, "epochs": 2, "train_size": 53, "bn": True, "bn_ghost": 6}
    member = RunSpec.parse(small | settings | {"seed": 3})
    [alone] = train_population([member], mini)
    *_, last = train_population([member.changed(seed=4), member.changed(seed=5), member], mini)
    assert_same(alone, last)


def test_one_ghost_batch_is_the_mini_batch() -> None:
    with pytest.raises(InputError, match=r"^bn_ghost 17: a batch of 32 has no two such parts"):
        RunSpec.parse({"bn": True, "bn_ghost": 17})
    assert RunSpec.parse({"bn": True, "bn_ghost": 16}).settings()["bn_ghost"] == 16


# ---- what norms need, and what they replace


def test_only_batch_norm_before_the_activation_replaces_biases() -> None:
    """The others subtract a mean over all units, which leaves differences between the units' biases."""
    plain = RunSpec.parse({"hidden": "6,6"})
    without = [
        settings
        for settings in ({"bn": True}, {"bn": True, "bn_place": "after"}, {"layer_norm": True}, {"rms_norm": True})
        if "no bias in hidden layers" in implied_changes(plain.changed(**settings), plain)
    ]
    assert without == [{"bn": True}]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group_norm": 4, "hidden": "8,6"}, "group_norm 4: the 6 units of hidden2 do not divide into 4 equal groups"),
        ({"group_norm": 6, "hidden": "6"}, "group_norm 6: each group of hidden1 has only one number to normalize over"),
        ({"layer_norm": True, "hidden": "1"}, "layer_norm: hidden1 has only one unit to normalize over"),
        ({"rms_norm": True, "net": "cnn:channels=1"}, "rms_norm: conv1 has only one channel to normalize over"),
        ({"layer_norm": True, "hidden": "none"}, "layer_norm: there are no hidden layers to normalize"),
    ],
)
def test_what_a_norm_cannot_normalize(settings: dict[str, Any], message: str) -> None:
    spec, data = RunSpec.parse(settings), DatasetInfo((28, 28), ("a", "b"), 500, 100, kind="images")
    with pytest.raises(InputError, match=f"^{message}"):
        check_run(spec, data)


MODULE = {"net": "module:tests/support/small_network.py:SmallNetwork"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer_norm": True, "layer_norm_place": "after"}, "layer_norm_place: the norms of your own module stay"),
        ({"bn": True, "bn_ghost": 4}, "bn_ghost: the norms of your own module take whole mini-batches"),
    ],
)
def test_what_is_not_for_modules(settings: dict[str, Any], message: str) -> None:
    data = DatasetInfo((28, 28), tuple("abcdefghij"), 500, 100, kind="images")
    with pytest.raises(InputError, match=f"^{message}"):
        check_run(RunSpec.parse(MODULE | settings), data)


def test_norms_exclude_each_other() -> None:
    with pytest.raises(InputError, match="bn and rms_norm exclude each other: give one"):
        RunSpec.parse({"bn": True, "rms_norm": True})


@pytest.mark.parametrize("norm", [{"layer_norm": True}, {"rms_norm": True}, {"group_norm": 2}], ids=str)
def test_a_zeroed_block_has_the_norms_scale_at_zero(norm: dict[str, Any]) -> None:
    spec = RunSpec.parse({"net": "resnet:blocks=1,width=4,zero_init=true"} | norm)
    net = new_network_of_images(spec)
    name = next(iter(norm))
    assert not net[f"stage1.block1.conv2.{name}_scale"].any() and net[f"stage1.block1.conv1.{name}_scale"].all()


def new_network_of_images(spec: RunSpec) -> Tensors:
    from dnntrain.engine.network import initialize

    data = DatasetInfo((8, 8), ("a", "b"), 0, kind="images")
    return initialize([spec], [layer_specs(spec, data)], CPU).parameters
