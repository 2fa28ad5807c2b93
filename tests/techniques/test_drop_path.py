"""Stochastic depth against timm's for the same draws, and where it goes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import DatasetInfo
from dnntrain.engine.network import Network, dropout_keys, initialize, layer_specs
from dnntrain.errors import InputError
from dnntrain.nn.layer import ForwardContext, Tensors
from dnntrain.nn.layer_spec import walk
from dnntrain.nn.random import step_keys
from dnntrain.studies.feasibility import check_run
from dnntrain.techniques.drop_path import DropPath, DropPathSpec
from dnntrain.utils.torchvision_compat import import_torchvision

CPU = torch.device("cpu")
KEYS = torch.from_numpy(step_keys(range(3), "dropout", 0, 1, 1)[0])
RATES = [0.1, 0.5, 0.0]
IMAGES = DatasetInfo((8, 8), tuple("abcd"), 500, 100, kind="images")


@pytest.mark.parametrize("shape", [(5,), (4, 3, 3)], ids=["dense", "maps"])
def test_examples_are_dropped_as_by_timm(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    import_torchvision()  # for timm
    from timm.layers import drop_path

    specs = [DropPath(rate=rate).layer("block", shape, 1.0) for rate in RATES]
    layer, x, grads = specs[0].build({}, {}, specs, CPU), torch.randn(3, 64, *shape), Tensors()
    out = layer.forward(x.clone(), ForwardContext(training=True, dropout_keys=KEYS))
    upstream = torch.randn(x.shape)
    grad_in = layer.backward(upstream.clone(), grads)
    assert grad_in is not None
    kept = (out != 0).flatten(2).any(2)
    for member, rate in enumerate(RATES):
        drawn = kept[member].float()
        monkeypatch.setattr(torch.Tensor, "bernoulli_", lambda mask, p, drawn=drawn: mask.copy_(drawn.view_as(mask)))
        leaf = x[member].clone().requires_grad_()
        expected = drop_path(leaf, rate, training=True)
        torch.testing.assert_close(out[member], expected.detach())
        torch.testing.assert_close(grad_in[member], *torch.autograd.grad(expected, leaf, upstream[member]))


def test_the_share_of_dropped_examples_is_the_rate() -> None:
    specs = [DropPath(rate=rate).layer("block", (2,), 0.5) for rate in (0.4, 0.8, 0.0)]
    layer = specs[0].build({}, {}, specs, CPU)
    out = layer.forward(torch.ones(3, 20_000, 2), ForwardContext(training=True, dropout_keys=KEYS))
    for member, rate in enumerate((0.2, 0.4, 0.0)):
        assert out[member].eq(0).float().mean().item() == pytest.approx(rate, abs=4 * math.sqrt(rate / 20_000))
        assert out[member].mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(layer.forward(out, ForwardContext(dropout_keys=KEYS)), out)  # not with dropout at test time


@pytest.mark.parametrize(
    ("settings", "shares"),
    [
        ({"net": "resnet:blocks=2/2,width=4"}, [0.25, 0.5, 0.75, 1.0]),
        ({"net": "resnet:blocks=1/1,width=4,preact=true,zero_init=true"}, [0.5, 1.0]),
        ({"hidden": "6x5", "residual": True}, [0.5, 1.0]),
    ],
    ids=str,
)
def test_rates_grow_with_depth(settings: dict[str, Any], shares: list[float]) -> None:
    spec = RunSpec.parse(settings | {"drop_path": 0.3})
    check_run(spec, IMAGES)
    assert [part.share for part in walk(layer_specs(spec, IMAGES)) if isinstance(part, DropPathSpec)] == shares


def network(**settings: Any) -> Network:
    spec = RunSpec.parse({"net": "resnet:blocks=1/2,width=4"} | settings)
    return initialize([spec], [layer_specs(spec, IMAGES)], CPU)


def test_nothing_else_draws_differently() -> None:
    """Blocks are dropped by keys of their own, and dropout's masks stay what they were."""
    plain, dropped = (
        network(dropout=0.5, dropout_where="conv"),
        network(dropout=0.5, dropout_where="conv", drop_path=0.0),
    )
    [keys], [same] = (dropout_keys(net, [0], "dropout", 0, 1) for net in (plain, dropped))
    assert keys is not None and same is not None and torch.equal(keys, same)
    x = torch.rand(1, 32, 64)
    outputs = [net.forward(x, ForwardContext(training=True, dropout_keys=keys)) for net in (plain, dropped)]
    assert torch.equal(*outputs)
    off = network(drop_path=0.9)
    assert torch.equal(off.forward(x), network().forward(x))
    assert not torch.equal(off.forward(x, ForwardContext(training=True, dropout_keys=keys)), off.forward(x))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "drop_path: net mlp has no residual blocks; residual gives an mlp some"),
        ({"net": "cnn:channels=4"}, "drop_path: net cnn has no residual blocks; resnet and an mlp with residual have"),
        ({"net": "module:tests/support/small_network.py:SmallNetwork"}, "drop_path: net module has no residual blocks"),
    ],
)
def test_it_needs_residual_blocks(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        check_run(RunSpec.parse(settings | {"drop_path": 0.3}), IMAGES)


# ---- blocks that start as their shortcuts, and maxout in blocks


@pytest.mark.parametrize(
    "norm", [{}, {"bn": True}, {"rms_norm": True}, {"layer_norm": True, "layer_norm_place": "after"}]
)
def test_dense_blocks_start_as_their_skip_connections(norm: dict[str, Any]) -> None:
    settings = {"hidden": "6x5", "residual": True, "residual_zero_init": True} | norm
    spec = RunSpec.parse(settings)
    net = initialize([spec], [layer_specs(spec, IMAGES)], CPU)
    x = torch.rand(1, 8, 64)
    before = net.forward(x)
    for name, tensor in net.parameters.items():
        if name in ("hidden2.kernel", "hidden4.kernel"):  # the first layers of the two blocks
            tensor.add_(1)
    torch.testing.assert_close(net.forward(x), before)
    assert not torch.equal(net.forward(x), torch.zeros_like(before))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"net": "resnet"}, "act maxout: makes one unit of 2, and the sums of residual blocks have no such pieces"),
        ({"hidden": "6x5", "residual": True}, "act maxout: hidden3 ends a residual sum, which has no such pieces"),
        (
            {"net": "module:tests/support/small_network.py:SmallNetwork"},
            "act maxout: makes one unit of 2, and the layers of your own module have no such pieces",
        ),
    ],
)
def test_maxout_needs_a_layer_below_with_pieces(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_run(RunSpec.parse(settings | {"act": "maxout"}), IMAGES)


def test_maxout_within_a_block_is_a_layer_of_its_own() -> None:
    spec = RunSpec.parse({"hidden": "4x5", "residual": True, "act": "maxout,maxout,relu,maxout"})
    net = initialize([spec], [layer_specs(spec, IMAGES)], CPU)
    assert [kernel.shape[2] for kernel in net.kernels.values()] == [10, 10, 5, 10, 4]
    assert net.forward(torch.rand(1, 8, 64)).shape == (1, 8, 4)
