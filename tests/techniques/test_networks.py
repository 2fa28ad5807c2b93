"""Which layers each network has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dnntrain.config.run_id import run_id
from dnntrain.config.spec import RunSpec, default_settings
from dnntrain.data import DatasetInfo
from dnntrain.engine.network import initialize, layer_specs, network_settings
from dnntrain.errors import InputError
from dnntrain.nn.layer_spec import parameter_roles, walk

CIFAR = DatasetInfo((3, 32, 32), tuple("abcdefghij"), 0, kind="images")
GRAY = DatasetInfo((28, 28), tuple("abcdefghij"), 0, kind="images")


def n_parameters(data: DatasetInfo, **settings: Any) -> int:
    return sum(layer.n_parameters for layer in walk(layer_specs(RunSpec.parse(settings), data)))


@pytest.mark.parametrize(("blocks", "published"), [("3/3/3", 269_722), ("5/5/5", 464_154), ("9/9/9", 853_018)])
def test_resnets_are_as_large_as_published(blocks: str, published: int) -> None:
    """ResNet-20, 32 and 56 of He et al. 2016, table 6: 0.27, 0.46 and 0.85 million."""
    assert n_parameters(CIFAR, net=f"resnet:blocks={blocks}", bn=True) == published


def test_a_cnn_is_as_large_as_the_same_in_torch() -> None:
    same = torch.nn.Sequential(
        torch.nn.Conv2d(1, 32, 3, padding=1), torch.nn.MaxPool2d(2), torch.nn.Conv2d(32, 64, 3, padding=1),
        torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(3136, 128), torch.nn.Linear(128, 10),
    )  # fmt: skip
    assert n_parameters(GRAY, net="cnn:channels=32/64") == sum(p.numel() for p in same.parameters())
    assert same(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


@pytest.mark.parametrize(
    ("net", "shapes"),
    [
        ("cnn:channels=4,kernel=5,padding=valid,pool=none", [(4, 24, 24)]),
        ("cnn:channels=4/8,blocks=2,pool=avg", [(4, 28, 28), (4, 14, 14), (8, 14, 14), (8, 7, 7)]),
        ("cnn:channels=4,stride=2,padding=0,pool=none", [(4, 13, 13)]),
        ("resnet:blocks=1/1,width=4", [(4, 28, 28), (4, 28, 28), (8, 14, 14)]),
    ],
)
def test_the_shapes_of_units(net: str, shapes: list[tuple[int, ...]]) -> None:
    spec = RunSpec.parse({"net": net, "hidden": "5"})
    units = spec.net.units(network_settings(spec, GRAY))
    maps = [[layer.shape_out for layer in unit if len(layer.shape_out) == 3][-1] for unit in units[1:-2]]
    assert maps == shapes
    assert [layer.shape_out for unit in units[-2:] for layer in unit if layer.weights] == [(5,), (10,)]


def test_the_skips_of_an_mlp() -> None:
    """Layers 2 and 3 keep the width of layer 1, and so do 4 and 5; the last has none to pair with."""
    spec = RunSpec.parse({"hidden": "6x5", "residual": True, "seed": 3})
    data = DatasetInfo((7,), ("a", "b", "c"), 0)
    network = initialize([spec], [layer_specs(spec, data)], torch.device("cpu"))
    w = {name: tensor[0] for name, tensor in network.state().items()}
    x = torch.randn(4, 7)

    def dense(h: torch.Tensor, i: int) -> torch.Tensor:
        return h @ w[f"hidden{i}.kernel"] + w[f"hidden{i}.bias"]

    h = torch.relu(dense(x, 1))
    for first in (2, 4):
        h = torch.relu(h + dense(torch.relu(dense(h, first)), first + 1))
    expected = torch.relu(dense(h, 6)) @ w["output.kernel"] + w["output.bias"]
    torch.testing.assert_close(network.forward(x[None])[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("preact", [False, True])
@pytest.mark.parametrize("bn", [False, True])
def test_zero_init_starts_blocks_as_their_shortcuts(bn: bool, preact: bool) -> None:
    """Blocks that change no shape start as the identity, so the network's outputs do not depend on their weights."""
    settings = {"net": f"resnet:blocks=3,width=4,zero_init=true,preact={preact}", "bn": bn}
    outputs = []
    for seed in (1, 2):
        spec = RunSpec.parse(settings | {"seed": seed})
        network = initialize([spec], [layer_specs(spec, GRAY)], torch.device("cpu"))
        for name, tensor in network.state().items():
            if not name.startswith("stage"):
                tensor.fill_(0.1)
        outputs.append(network.forward(torch.ones(1, 2, 784)))
    torch.testing.assert_close(*outputs)


def test_hidden_and_act_follow_the_network() -> None:
    found = {
        net: (RunSpec.parse({"net": net}).settings()["hidden"], RunSpec.parse({"net": net}).settings()["act"])
        for net in ("mlp", "cnn", "resnet")
    }
    assert found == {"mlp": ("300,100", "relu"), "cnn": ("128", "relu"), "resnet": ("none", "relu")}


def test_ids_of_dense_networks_know_nothing_of_networks() -> None:
    explicit = RunSpec.parse({"net": "mlp", "hidden": "300,100", "act": "relu"})
    assert explicit == RunSpec.parse({}) == RunSpec.parse({"hidden": "auto", "act": "auto"})
    assert explicit.settings() == default_settings()
    cnn, same = RunSpec.parse({"net": "cnn"}), RunSpec.parse({"net": "cnn", "hidden": 128})
    assert run_id(cnn, "f", "1") == run_id(same, "f", "1") != run_id(explicit, "f", "1")


@pytest.mark.parametrize(
    ("settings", "data", "message"),
    [
        ({"net": "cnn:kernel=4"}, GRAY, "kernel 4: padding same needs an odd kernel"),
        ({"net": "cnn:channels=4/x"}, GRAY, "must be whole numbers from 1 to 4096"),
        ({"net": "cnn:channels=4/4/4/4/4"}, GRAY, "pool 2 is larger than the 1 × 1 map of conv5"),
        ({"net": "cnn:kernel=29,padding=0"}, GRAY, "kernel 29 is larger than the 28 × 28 map of conv1"),
        ({"net": "cnn"}, DatasetInfo((12,), ("a", "b"), 0), "needs images"),
        ({"net": "cnn", "act": "relu,elu"}, GRAY, "act names 2 activations for 3 layers"),
        ({"net": "resnet:blocks=0"}, GRAY, "must be whole numbers from 1 to 4096"),
        ({"net": "unet"}, GRAY, "unknown network 'unet'"),
        ({"net": "module"}, GRAY, "names no module"),
    ],
)  # fmt: skip
def test_what_does_not_fit(settings: dict[str, Any], data: DatasetInfo, message: str) -> None:
    with pytest.raises(InputError, match=message):
        layer_specs(RunSpec.parse(settings), data)


def test_first_weights_count_the_receptive_field() -> None:
    spec = RunSpec.parse({"net": "cnn:channels=64/64", "init": "he"})
    network = initialize([spec], [layer_specs(spec, GRAY)], torch.device("cpu"))
    assert np.isclose(network.parameters["conv2.kernel"].var().item(), 2 / (64 * 9), rtol=0.03)


@pytest.mark.parametrize(
    ("settings", "first", "last", "others"),
    [
        ({"hidden": "5,5,5", "bn": True}, "hidden1.kernel", "output.kernel", {"hidden2.kernel", "hidden3.kernel"}),
        ({"hidden": "none"}, "output.kernel", "output.kernel", set()),
        (
            {"net": "cnn:channels=4/4", "hidden": "5"}, "conv1.kernel", "output.kernel",
            {"conv2.kernel", "hidden1.kernel"},
        ),
        (
            {"net": "resnet:blocks=1,width=4"}, "conv1.kernel", "output.kernel",
            {"stage1.block1.conv1.kernel", "stage1.block1.conv2.kernel"},
        ),
        (
            {"net": "module:tests/support/own_networks.py:RowReader:layers=1"},
            "net.rnn.weight_ih_l0", "net.head.3.weight", {"net.rnn.weight_hh_l0", "net.head.0.weight"},
        ),
    ],
)  # fmt: skip
def test_the_roles_of_parameters(settings: dict[str, Any], first: str, last: str, others: set[str]) -> None:
    layers = layer_specs(RunSpec.parse(settings), GRAY)
    roles = parameter_roles(layers)
    network = initialize([RunSpec.parse(settings)], [layers], torch.device("cpu"))
    assert {name: role.shape for name, role in roles.items()} == {k: p.shape[1:] for k, p in network.parameters.items()}
    assert {name for name, role in roles.items() if role.output_axis is not None} == network.kernels.keys()
    assert [name for name, role in roles.items() if role.is_first] == [first]
    assert [name for name, role in roles.items() if role.is_last] == [last]
    assert others == network.kernels.keys() - {first, last}


def test_an_embedding_is_the_first_layer() -> None:
    data = DatasetInfo((6,), ("a", "b"), 0, kind="tokens", n_tokens=9)
    spec = RunSpec.parse({"net": "module:tests/support/own_networks.py:BagOfWords:tokens={tokens}"})
    embedding, *_ = roles = [*parameter_roles(layer_specs(spec, data)).values()]
    assert embedding.is_first and embedding.output_axis is None
    assert [role.name for role in roles if role.is_last] == ["net.head.weight"]
