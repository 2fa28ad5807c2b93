"""Networks as lists of layers: convolutional ones and users' modules train in a population."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import BatchSource
from dnntrain.engine.loop import train_population
from dnntrain.engine.network import LayerSpecs, build, initial_state, initialize, layer_specs
from dnntrain.engine.population import StartState
from dnntrain.engine.run import Run
from dnntrain.errors import InputError
from dnntrain.nn.convolution import ConvolutionSpec
from dnntrain.nn.gradients import Gradients, densify
from dnntrain.nn.layer import EVAL, ForwardContext, Sequential, Tensors
from dnntrain.nn.layer_spec import as_matrix
from dnntrain.nn.linear import Dense, DenseSpec
from dnntrain.nn.modules.spec import ModuleSpec
from dnntrain.nn.pooling import GlobalAveragePoolSpec, PoolSpec
from dnntrain.nn.random import generator
from dnntrain.nn.reshape import ReshapeSpec
from dnntrain.nn.residual import Residual, ResidualSpec
from dnntrain.techniques.activations import Activation, ActivationLayer, ReLU
from dnntrain.techniques.dropout import Dropout
from dnntrain.techniques.initializers import Glorot, He
from dnntrain.techniques.normalization import BatchNorm, BatchNormLayer
from tests.engine.test_bit_for_bit import assert_same
from tests.engine.test_padding import fill_padding
from tests.support.networks import data_info

CPU = torch.device("cpu")
SETTINGS = {"data": "fashion-mini", "batch_size": 20, "val": 30, "epochs": 2, "lr": 0.05}
"""170 of 200 examples train: the last mini-batch has 10."""


@pytest.fixture(scope="module")
def small(mini: Dataset) -> Dataset:
    """A few images of 8×8 pixels."""
    middle = np.s_[:200, 10:18, 10:18]
    return replace(mini, train_inputs=mini.train_inputs[middle], train_targets=mini.train_targets[:200],
                   test_inputs=mini.test_inputs[middle], test_targets=mini.test_targets[:200])  # fmt: skip


def specs_of(**settings: Any) -> list[RunSpec]:
    return [RunSpec.parse(SETTINGS | settings | {"seed": seed}) for seed in range(5)]


def train_layers(specs: Sequence[RunSpec], layers: LayerSpecs, dataset: Dataset) -> list[Run]:
    return train_population(specs, dataset, start=StartState(layers=[layers] * len(specs)))


def assert_alone_as_in_company(specs: Sequence[RunSpec], layers: LayerSpecs, dataset: Dataset) -> None:
    together = train_layers(specs, layers, dataset)
    [alone] = train_layers(specs[2:3], layers, dataset)
    assert alone.status == "finished"
    assert_same(alone, together[2])


# ---- convolutions

CNN = [
    ReshapeSpec("maps", (1, 8, 8)),
    ConvolutionSpec("conv1", (1, 8, 8), 3, He(), padding=0),
    ReLU().layer("conv1", (3, 6, 6)),
    PoolSpec("conv1", (3, 6, 6)),
    ConvolutionSpec("conv2", (3, 3, 3), 4, He()),
    BatchNorm().layer("conv2", (4, 3, 3)),
    Activation.parse("prelu").layer("conv2", (4, 3, 3)),
    Dropout(rate=0.2).layer("conv2", (4, 3, 3)),
    ReshapeSpec("flat", (36,)),
    DenseSpec("output", 36, 10, Glorot()),
]


TECHNIQUES = [
    {},
    {"optimizer": "adam", "clipnorm": 0.5, "l2": 1e-3},
    {"optimizer": "sgd:momentum=0.9", "max_norm": 0.5, "early_stop": 1},
]


@pytest.mark.parametrize("settings", TECHNIQUES, ids=str)
def test_a_convolution_trains_in_a_population(settings: dict[str, Any], small: Dataset) -> None:
    assert_alone_as_in_company(specs_of(**settings), CNN, small)


def test_a_convolution_learns(small: Dataset) -> None:
    [run] = train_layers(specs_of(epochs=30)[:1], CNN, small)
    assert run.history[-1]["train_acc"] > run.history[0]["train_acc"] + 0.2
    assert run.history[-1]["train_acc"] > 0.4
    assert len(run.history[0]["grad_norm"]) == 3  # weights of two convolutions and the output
    assert len(run.history[0]["act_mean"]) == 2


def test_padding_does_not_matter_to_a_convolution(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    [expected] = train_layers(specs_of()[:1], CNN, small)
    rows = fill_padding(monkeypatch)
    [run] = train_layers(specs_of()[:1], CNN, small)
    assert max(rows) > 0
    assert_same(run, expected)


class TorchsResidual(torch.nn.Module):
    def __init__(self, body: torch.nn.Module, shortcut: torch.nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.shortcut(x)


def test_gradients_of_a_residual_convolutional_network_are_autograds() -> None:
    """Layers of one list share memory: none may overwrite what another still reads."""
    shape, wider = (4, 8, 8), (6, 4, 4)
    layers = [
        ReshapeSpec("maps", (1, 8, 8)),
        ReLU().layer("input", (1, 8, 8)),
        ConvolutionSpec("conv1", (1, 8, 8), 4, He()),
        ReLU().layer("conv1", shape),
        ResidualSpec(
            "block1",
            body=[
                BatchNorm().layer("conv2", shape),
                Activation.parse("prelu").layer("conv2", shape),
                ConvolutionSpec("conv2", shape, 6, He(), stride=2),
                ReLU().layer("conv2", wider),
            ],
            shortcut=[ConvolutionSpec("conv3", shape, 6, He(), kernel=1, stride=2, padding=0, bias=False)],
        ),
        ResidualSpec("block2", body=[ReLU().layer("conv4", wider), ConvolutionSpec("conv4", wider, 6, He())]),
        PoolSpec("conv4", wider, "avg"),
        ReLU().layer("conv4", (6, 2, 2)),
        GlobalAveragePoolSpec("pool", (6, 2, 2)),
        DenseSpec("output", 6, 10, Glorot()),
    ]
    nn = torch.nn
    body = nn.Sequential(nn.BatchNorm2d(4), nn.PReLU(4), nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU())
    theirs = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.ReLU(), nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(),
        TorchsResidual(body, nn.Conv2d(4, 6, 1, stride=2, bias=False)),
        TorchsResidual(nn.Sequential(nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1)), nn.Identity()),
        nn.AvgPool2d(2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10),
    )  # fmt: skip
    tensors = first_tensors(layers, 3)
    x, upstream, grads = torch.randn(3, 16, 64), torch.randn(3, 16, 10), {}
    ours = build([layers] * 3, tensors, CPU)
    value = ours.forward(x.clone(), ForwardContext(13, training=True))
    ours.backward(upstream.clone(), grads)
    for member in range(3):
        weights = dict(zip(ours.parameters(), theirs.parameters(), strict=True))
        for name, weight in weights.items():
            first = tensors[name][member]
            weight.data.copy_(first.T if name == "output.kernel" else first.view_as(weight))
        expected = theirs(x[member, :13])
        torch.testing.assert_close(value[member, :13], expected, rtol=1e-4, atol=1e-5)
        found = torch.autograd.grad(expected, [*weights.values()], upstream[member, :13])
        for name, gradient in zip(weights, found, strict=True):
            own = densify(grads[name])[member]
            own = own.T if name == "output.kernel" else own.view_as(gradient)
            torch.testing.assert_close(own, gradient, rtol=1e-4, atol=1e-4)


def first_tensors(layers: LayerSpecs, members: int) -> Tensors:
    states = [initial_state(layers, seed) for seed in range(members)]
    return {name: torch.from_numpy(np.stack([state[name] for state in states])) for name in states[0]}


# ---- a user's module


class UsersNetwork(torch.nn.Module):
    def __init__(self, features: int = 10) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(1, 3, 3)
        self.norm = torch.nn.BatchNorm2d(3)
        self.linear = torch.nn.Linear(27, features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.nn.functional.max_pool2d(torch.relu(self.norm(self.convolution(x))), 2)
        return torch.relu(self.linear(h.flatten(1)))


WHOLE = [ModuleSpec("net", UsersNetwork, (1, 8, 8))]
FEATURES = [
    ModuleSpec("net", lambda: UsersNetwork(6), (1, 8, 8)),
    Dropout(rate=0.2).layer("net", (6,)),
    DenseSpec("output", 6, 10, Glorot()),
]
ON_TOP = [
    DenseSpec("hidden1", 64, 16, He()),
    ReLU().layer("hidden1", (16,)),
    ModuleSpec("net", lambda: torch.nn.Sequential(torch.nn.Conv1d(2, 3, 3), torch.nn.Tanh()), (2, 8)),
    ReLU().layer("net", (3, 6)),
    ModuleSpec("flatten", torch.nn.Flatten, (3, 6)),
    DenseSpec("output", 18, 10, Glorot()),
]


@pytest.mark.parametrize("layers", [WHOLE, FEATURES, ON_TOP], ids=["whole", "features", "on top"])
@pytest.mark.parametrize("settings", TECHNIQUES, ids=str)
def test_a_module_trains_in_a_population(layers: LayerSpecs, settings: dict[str, Any], small: Dataset) -> None:
    assert_alone_as_in_company(specs_of(**settings), layers, small)


def test_a_module_never_sees_padding(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """It equals a plain loop, batch norm and a partial last mini-batch included."""
    fill_padding(monkeypatch)
    [one, *_] = specs_of()
    [run] = train_layers([one], WHOLE, small)
    model = UsersNetwork()
    first = initial_state(WHOLE, one.seed)
    state = {name.removeprefix("net."): torch.from_numpy(value) for name, value in first.items()}
    model.load_state_dict(state, strict=False)
    optimizer, inputs = torch.optim.SGD(model.parameters(), lr=one.lr), BatchSource(small, [one], CPU)
    for epoch in range(one.epochs):
        for batch in inputs.epoch([one.seed], epoch):
            x, y = batch.x[0, : batch.real].view(-1, 1, 8, 8), batch.y[0, : batch.real]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    for name, tensor in model.state_dict().items():
        if name != "norm.num_batches_tracked":
            np.testing.assert_allclose(run.weights[f"net.{name}"], tensor.numpy(), rtol=1e-3, atol=1e-5)
            assert not np.array_equal(run.weights[f"net.{name}"], first[f"net.{name}"])


def test_gradients_of_a_module_are_autograds() -> None:
    """Of one between other layers, at once on a GPU and in turn on a CPU."""
    tensors = first_tensors(ON_TOP, 3)
    net = initialize(specs_of()[:3], [ON_TOP] * 3, CPU)
    x, upstream, grads = torch.randn(3, 7, 64), torch.randn(3, 7, 10), {}
    upstream[:, 5:] = 0.0
    value = net.layers.forward(x, ForwardContext(5, training=True))
    net.layers.backward(upstream.clone(), grads)
    for tensor in tensors.values():
        tensor.requires_grad_()
    for member in range(3):
        w = {name: tensor[member] for name, tensor in tensors.items()}
        h = torch.relu(x[member] @ w["hidden1.kernel"] + w["hidden1.bias"]).view(7, 2, 8)
        h = torch.tanh(torch.nn.functional.conv1d(h, w["net.0.weight"], w["net.0.bias"])).flatten(1)
        expected = torch.relu(h) @ w["output.kernel"] + w["output.bias"]
        torch.testing.assert_close(value[member, :5], expected[:5].detach())
        found = torch.autograd.grad((expected * upstream[member]).sum(), [*tensors.values()])
        for name, gradient in zip(tensors, found, strict=True):
            torch.testing.assert_close(densify(grads[name])[member], gradient[member], rtol=1e-4, atol=1e-6)


def test_a_module_keeps_its_own_initialization_and_torchs_generator_its_state() -> None:
    before = torch.get_rng_state()
    a, b = initial_state(WHOLE, 0), initial_state(WHOLE, 1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(int(generator(1, "init", 0).integers(2**63)))
    model = UsersNetwork()
    torch.set_rng_state(before)
    assert all(np.array_equal(b[f"net.{name}"], p.detach().numpy()) for name, p in model.named_parameters())
    assert not np.array_equal(a["net.linear.weight"], b["net.linear.weight"])


def test_a_module_says_what_it_is() -> None:
    [spec] = WHOLE
    assert spec.shape_out == (10,)
    assert spec.n_parameters == sum(p.numel() for p in UsersNetwork().parameters())
    assert spec.weights == {"convolution.weight": 0, "linear.weight": 0}
    assert spec.n_weights == 27 + 270
    assert spec.flops == 2 * (36 * 27 + 270)
    embedding = ModuleSpec("net", lambda: torch.nn.Sequential(torch.nn.Embedding(5, 4), torch.nn.Linear(4, 2)), (3,))
    assert embedding.weights == {"1.weight": 0}


def test_layers_must_end_in_the_datas_outputs(small: Dataset) -> None:
    with pytest.raises(InputError, match=r"the last layer's shape is \(36,\); the data need \(10,\)"):
        train_layers(specs_of(), CNN[:-1], small)


# ---- lists


def test_a_dense_network_reads_as_its_list_of_layers() -> None:
    spec = RunSpec.parse({"hidden": "7,5", "bn": True, "dropout": 0.1})
    net = initialize([spec], [layer_specs(spec, data_info(12, 4))], CPU)
    block = ["Dense", "BatchNormLayer", "ActivationLayer", "DropoutLayer"]
    assert [type(layer).__name__ for layer in net.layers] == [*block, *block, "Dense"]
    assert [layer.name for layer in net.layers] == ["hidden1"] * 4 + ["hidden2"] * 4 + ["output"]
    assert [layer.index for layer in net.layers] == [0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert list(net.parameters) == ["hidden1.kernel", "hidden1.bn_scale", "hidden1.bn_shift", "hidden2.kernel",
                                    "hidden2.bn_scale", "hidden2.bn_shift", "output.kernel", "output.bias"]  # fmt: skip
    assert sum(layer.n_parameters for layer in net.layer_specs) == sum(p.numel() for p in net.parameters.values())


def test_frozen_layers_and_a_trained_head_are_slices_with_their_names_kept() -> None:
    spec = RunSpec.parse({"hidden": "7,6,5", "bn": True, "act": "prelu"})
    layers = layer_specs(spec, data_info(12, 4))
    tensors, x = first_tensors(layers, 2), torch.randn(2, 9, 12)
    whole = build([layers] * 2, tensors, CPU)
    expected = whole.forward(x, EVAL)
    below, head = (build([part] * 2, tensors, CPU) for part in (layers[:6], layers[6:]))
    assert head[0].name == "hidden3"
    assert list((below.parameters() | head.parameters()).items()) == list(whole.parameters().items())
    assert torch.equal(head.forward(below.forward(x, EVAL), EVAL), expected)
    assert torch.equal(whole[6:].forward(whole[:6].forward(x, EVAL), EVAL), expected)
    grads: Gradients = {}
    head.forward(below.forward(x, EVAL), ForwardContext(training=True))
    assert head.backward(torch.randn(2, 9, 4), grads) is None  # nothing below the head is trained
    assert grads.keys() == head.parameters().keys()


def test_gradients_through_residual_layers_are_autograds() -> None:
    w1, w2, w3, scale, shift = (torch.randn(2, *shape) for shape in [(6, 6), (6, 6), (6, 4), (1, 6), (1, 6)])
    averages = {"bn_mean": torch.zeros(2, 1, 6), "bn_variance": torch.ones(2, 1, 6)}

    def relu() -> ActivationLayer:
        return ActivationLayer("relu", ReLU(), {})

    norm = BatchNormLayer("norm", BatchNorm(), {"bn_scale": scale, "bn_shift": shift}, averages)
    body = Sequential([norm, relu(), Dense("w2", {"kernel": w2}), relu()])
    block, doubled = Residual(body, Sequential([])), Residual(Sequential([relu()]), Sequential([]))
    layers = Sequential([Dense("w1", {"kernel": w1}), relu(), block, doubled, Dense("w3", {"kernel": w3})])
    x, upstream, grads = torch.randn(2, 8, 6), torch.randn(2, 8, 4), {}
    before = x.clone()
    value = layers.forward(x, ForwardContext(training=True))
    layers.backward(upstream.clone(), grads)
    assert torch.equal(x, before)
    leaves = {"w1.kernel": w1, "norm.bn_scale": scale, "norm.bn_shift": shift, "w2.kernel": w2, "w3.kernel": w3}
    assert layers.parameters().keys() == leaves.keys() == grads.keys()
    for tensor in leaves.values():
        tensor.requires_grad_()
    h = torch.relu(x @ w1)
    normal = (h - h.mean(1, keepdim=True)) / (h.var(1, keepdim=True, correction=0) + 1e-5).sqrt() * scale + shift
    h = h + torch.relu(torch.relu(normal) @ w2)
    expected = (h + torch.relu(h)) @ w3
    torch.testing.assert_close(value, expected.detach(), rtol=1e-4, atol=1e-5)
    for name, gradient in zip(leaves, torch.autograd.grad(expected, [*leaves.values()], upstream), strict=True):
        torch.testing.assert_close(densify(grads[name]), gradient, rtol=1e-4, atol=1e-5)
    some = layers.select(torch.tensor([1]))
    assert torch.equal(some.forward(x[1:], EVAL), layers.forward(x, EVAL)[1:])


def test_weights_of_any_layout_are_seen_as_matrices() -> None:
    dense, filters = torch.randn(2, 5, 3), torch.randn(2, 4, 3, 3, 3)
    assert as_matrix(dense, 1).data_ptr() == dense.data_ptr()
    assert as_matrix(dense, 1).shape == (2, 5, 3)
    matrix = as_matrix(filters, 0)
    assert matrix.shape == (2, 27, 4)
    matrix.mul_(2)  # a view: what changes it changes the weights
    assert torch.equal(matrix[1, :, 2], filters[1, 2].flatten())
