"""What happens between the layers: activations, batch normalization, dropout, penalties; against torch and by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import combinations

import numpy as np
import pytest
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.engine.batches import Batch
from dnntrain.engine.evaluation import monte_carlo_prediction
from dnntrain.engine.network import Network, dropout_keys
from dnntrain.nn.gradients import densify
from dnntrain.nn.layer import ForwardContext, Tensors
from dnntrain.nn.linear import Dense
from dnntrain.nn.losses import cross_entropy
from dnntrain.nn.random import counters, keep_mask, step_keys, threshold
from dnntrain.techniques.activations import Activation, ActivationLayer
from dnntrain.techniques.base import stack
from dnntrain.techniques.dropout import AlphaDropout, Dropout, DropoutLayer
from dnntrain.techniques.losses import BinaryCrossEntropy, CategoricalCrossEntropy, Loss, SquaredError
from dnntrain.techniques.normalization import BatchNorm, BatchNormLayer, ExampleNormLayer
from dnntrain.techniques.regularization import L1, L2, MaxNorm, WeightRegularizer
from tests.support.networks import new_network

FEATURES, CLASSES = 12, 4
CPU = torch.device("cpu")


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network(members: int = 1, **settings: object) -> Network:
    specs = [RunSpec.parse({"hidden": "7,5", "seed": seed} | settings) for seed in range(members)]
    return new_network(specs, FEATURES, CLASSES)


def whole(x: torch.Tensor, y: torch.Tensor) -> Batch:
    return Batch(x, y, x.shape[1])


# ---- activations


class Square(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * x


REFERENCES: dict[str, Callable[[], torch.nn.Module]] = {
    "relu": torch.nn.ReLU,
    "leaky_relu": torch.nn.LeakyReLU,
    "prelu": torch.nn.PReLU,
    "elu": torch.nn.ELU,
    "selu": torch.nn.SELU,
    "tanh": torch.nn.Tanh,
    "sigmoid": torch.nn.Sigmoid,
    "softsign": torch.nn.Softsign,
    "softplus": torch.nn.Softplus,
    "gelu": torch.nn.GELU,
    "silu": torch.nn.SiLU,
    "mish": torch.nn.Mish,
    "relu6": torch.nn.ReLU6,
    "relu2": lambda: torch.nn.Sequential(torch.nn.ReLU(), Square()),
    "celu": torch.nn.CELU,
    "hard_swish": torch.nn.Hardswish,
}
"""What each is with the defaults of its declaration: a new activation needs its line here."""

VARIANTS: dict[str, Callable[[], torch.nn.Module]] = {
    "leaky_relu:alpha=0.3": partial(torch.nn.LeakyReLU, 0.3),
    "elu:alpha=0.5": partial(torch.nn.ELU, 0.5),
    "prelu:alpha=0": partial(torch.nn.PReLU, init=0.0),
    "swish": torch.nn.SiLU,
    "celu:alpha=0.5": partial(torch.nn.CELU, 0.5),
}


@pytest.mark.parametrize("text", [*Activation.names(), *VARIANTS])
def test_activation_is_torchs(text: str) -> None:
    make = (REFERENCES | VARIANTS).get(text)
    if make is None:
        pytest.skip(f"torch has no activation {text} to compare with")
    z = torch.linspace(-7, 7, 2 * 8 * 5).view(2, 8, 5).requires_grad_()
    upstream = randn(2, 8, 5)
    ours, theirs = Activation.parse(text)(z), make()(z)
    torch.testing.assert_close(ours, theirs)
    by_rule, vjp = Activation.parse(text).value_and_vjp(z.detach().clone(), *slopes(text, z))
    torch.testing.assert_close(by_rule, theirs.detach())
    gradients = [torch.autograd.grad(out, z, upstream)[0] for out in (ours, theirs)]
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(vjp(upstream.clone())[0], gradients[1])
    assert gradients[0].abs().max() > 0.1


def slopes(text: str, z: torch.Tensor) -> list[torch.Tensor]:
    """What the activation trains, at its first value, for each element of z."""
    activation = Activation.parse(text)
    return [torch.full_like(z, getattr(activation, activation.trained)).detach()] if activation.trained else []


@pytest.mark.parametrize("shape", [(2, 8, 6), (2, 8, 6, 4, 3)], ids=["dense", "maps"])
def test_maxout_is_the_largest_of_its_pieces(shape: tuple[int, ...]) -> None:
    z, activation = randn(*shape), Activation.parse("maxout:pieces=3")
    if len(shape) == 5:
        z = z.movedim(2, -1).contiguous().movedim(-1, 2)
    leaf = z.clone().requires_grad_()
    expected = torch.stack([leaf[:, :, :2], leaf[:, :, 2:4], leaf[:, :, 4:]]).amax(0)
    h, vjp = activation.value_and_vjp(z.clone())
    torch.testing.assert_close(h, expected.detach())
    upstream = randn(*h.shape, seed=1)
    torch.testing.assert_close(vjp(upstream.clone())[0], *torch.autograd.grad(expected, leaf, upstream))
    assert activation.layer("conv1", shape[2:]).shape_out == (2, *shape[3:])


def test_maxout_multiplies_the_units_of_the_layer_below() -> None:
    net, x = network(hidden="7,5", act="maxout:pieces=3,relu", layer_norm=True), randn(1, 16, FEATURES)
    assert net.parameters["hidden1.kernel"].shape == (1, FEATURES, 21)
    assert net.parameters["hidden1.layer_norm_scale"].shape == (1, 1, 21)  # before the activation
    assert net.parameters["hidden2.kernel"].shape == (1, 7, 5)
    assert net.forward(x).shape == (1, 16, CLASSES)


def test_prelu_trains_a_slope_for_each_unit() -> None:
    z, upstream = randn(3, 16, 5), randn(3, 16, 5, seed=1)
    slopes = randn(3, 1, 5, seed=2).requires_grad_()
    [gradient] = torch.autograd.grad(Activation.parse("prelu")(z, slopes), slopes, upstream)
    for member in range(3):
        module = torch.nn.PReLU(5)
        module.weight.data = slopes[member, 0].detach().clone()
        out = module(z[member])
        torch.testing.assert_close(Activation.parse("prelu")(z, slopes)[member], out)
        out.backward(upstream[member])
        torch.testing.assert_close(gradient[member, 0], module.weight.grad)


@pytest.mark.parametrize("text", Activation.names())
def test_asymptotes_are_where_it_goes(text: str) -> None:
    activation = Activation.parse(text)
    far = activation(torch.tensor([[[-1e4, 1e4]]])).flatten().tolist()
    if activation.asymptotes:  # relu6 has one on the right only
        assert far[-len(activation.asymptotes) :] == pytest.approx(list(activation.asymptotes), abs=1e-3)
    else:
        assert far[-1] > 1e3  # not bounded


# ---- batch normalization


def batch_norm(bn: BatchNorm, scale: torch.Tensor, shift: torch.Tensor) -> BatchNormLayer:
    """The layer with these trained tensors (P, 1, units), before its first mini-batch."""
    averages = {"bn_mean": torch.zeros_like(scale), "bn_variance": torch.ones_like(scale)}
    return bn.layer("norm", scale.shape[2:]).build({"bn_scale": scale, "bn_shift": shift}, averages, [], CPU)


def test_equations_15_to_20_by_hand() -> None:
    layer = batch_norm(BatchNorm(eps=1.0, alpha=0.1), torch.full((1, 1, 1), 2.0), torch.full((1, 1, 1), 0.5))
    z = layer.forward(torch.tensor([[[1.0], [3.0], [8.0]]]), ForwardContext(training=True, first=True))
    mean, variance = (tensor.item() for tensor in layer.buffers().values())
    assert mean == pytest.approx(4)  # eq. 15
    assert variance == pytest.approx((9 + 1 + 16) / 3)  # eq. 16: biased, by 3 and not by 2
    root = math.sqrt(26 / 3 + 1)
    assert z.flatten().tolist() == pytest.approx([2 * d / root + 0.5 for d in (-3, -1, 4)])  # eqs. 17 and 18
    layer.forward(torch.tensor([[[0.0], [2.0], [4.0]]]), ForwardContext(training=True))
    mean, variance = (tensor.item() for tensor in layer.buffers().values())
    assert mean == pytest.approx(0.9 * 4 + 0.1 * 2)  # eq. 19
    assert variance == pytest.approx(0.9 * 26 / 3 + 0.1 * 8 / 3)  # eq. 20


def test_batch_norm_is_torchs_forward_and_backward() -> None:
    x, upstream = 3 * randn(3, 24, 5) + 1, randn(3, 24, 5, seed=3)
    scale, shift = randn(3, 1, 5, seed=1), randn(3, 1, 5, seed=2)
    layer, grads = batch_norm(BatchNorm(), scale, shift), {}
    z = layer.forward(x, ForwardContext(training=True))
    grad_in = layer.backward(upstream.clone(), grads)
    assert grad_in is not None
    gradients = (grad_in, densify(grads["norm.bn_scale"]), densify(grads["norm.bn_shift"]))
    for member in range(3):
        module = torch.nn.BatchNorm1d(5, eps=1e-5)
        module.weight.data, module.bias.data = scale[member, 0].clone(), shift[member, 0].clone()
        one = x[member].clone().requires_grad_()
        out = module(one)
        out.backward(upstream[member])
        torch.testing.assert_close(z[member], out, rtol=1e-4, atol=1e-5)
        for ours, theirs in zip(gradients, (one.grad, module.weight.grad, module.bias.grad), strict=True):
            assert theirs is not None
            torch.testing.assert_close(ours[member].view_as(theirs), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("place", ["before", "after"])
def test_first_mini_batch_sets_the_averages_later_ones_move_them(place: str) -> None:
    net = network(2, bn=True, bn_input=True, bn_place=place)
    x, later = randn(2, 16, FEATURES) + 3, randn(2, 16, FEATURES, seed=1)
    trained = net.forward(x, ForwardContext(training=True, first=True))
    # torch would have moved a tenth of the way from 0 and 1
    torch.testing.assert_close(net.buffers["input.bn_mean"], x.mean(dim=1, keepdim=True))
    torch.testing.assert_close(net.buffers["input.bn_variance"], x.var(dim=1, keepdim=True, correction=0))
    torch.testing.assert_close(net.forward(x), trained, rtol=1e-4, atol=1e-5)
    net.forward(later, ForwardContext(training=True))
    expected = 0.9 * x.mean(dim=1, keepdim=True) + 0.1 * later.mean(dim=1, keepdim=True)
    torch.testing.assert_close(net.buffers["input.bn_mean"], expected)
    before = {name: buffer.clone() for name, buffer in net.buffers.items()}
    net.forward(later)
    assert all(torch.equal(net.buffers[name], buffer) for name, buffer in before.items())  # testing moves nothing
    assert len(before) == 6


def test_the_average_is_of_the_variance_and_not_of_the_standard_deviation() -> None:
    net = network(1, bn=True, bn_input=True)
    x = randn(1, 16, FEATURES)
    x = (x - x.mean(dim=1, keepdim=True)) / x.std(dim=1, keepdim=True, correction=0)
    for number, deviation in enumerate((1, 3, 1, 2)):
        net.forward(deviation * x, ForwardContext(training=True, first=number == 0))
    # 0.9 (0.9 (0.9 · 1 + 0.1 · 9) + 0.1 · 1) + 0.1 · 4; of the standard deviations it would be 1.262² = 1.593
    torch.testing.assert_close(net.buffers["input.bn_variance"], torch.full((1, 1, FEATURES), 1.948))


@pytest.mark.parametrize("place", ["before", "after"])
def test_batch_norm_stands_where_it_is_asked_to(place: str) -> None:
    net, x = network(hidden="6", act="tanh", bn=True, bn_place=place), randn(1, 16, FEATURES)
    p = net.parameters
    z = x @ p["hidden1.kernel"] + p.get("hidden1.bias", torch.zeros(()))

    def normal(h: torch.Tensor) -> torch.Tensor:
        return (h - h.mean(dim=1, keepdim=True)) / (h.var(dim=1, keepdim=True, correction=0) + 1e-5).sqrt()

    h = torch.tanh(normal(z)) if place == "before" else normal(torch.tanh(z))
    expected = h @ p["output.kernel"] + p["output.bias"]
    torch.testing.assert_close(
        net.forward(x, ForwardContext(training=True, first=True)), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("held", [50.0, math.inf, math.nan])
@pytest.mark.parametrize("place", ["before", "after"])
def test_padded_rows_do_not_count(place: str, held: float) -> None:
    settings = {"bn": True, "bn_input": True, "bn_place": place, "act": "prelu", "dropout": 0.3}
    x, y = randn(2, 11, FEATURES), torch.arange(22).view(2, 11) % CLASSES
    junk = torch.cat([x, held * randn(2, 5, FEATURES, seed=9)], dim=1)
    padded = Batch(junk, torch.cat([y, y[:, :5]], dim=1), 11)
    found = []
    for batch in (whole(x, y), padded):
        net = network(2, **settings)
        [keys] = dropout_keys(net, [0, 1], "dropout", 0, 1)
        loss, gradients = backpropagated(net, batch, keys)
        found.append([loss, *gradients.values(), *net.buffers.values()])
    for plain, with_padding in zip(*found, strict=True):
        torch.testing.assert_close(with_padding, plain, rtol=1e-4, atol=1e-6)
    assert found[0][0].min() > 0.1


# ---- backward passes


def backpropagated(net: Network, batch: Batch, keys: torch.Tensor | None) -> tuple[torch.Tensor, Tensors]:
    """Each member's mean loss on the batch, and the gradients of all parameters."""
    outputs = net.forward(batch.x, ForwardContext(batch.real, training=True, first=True, dropout_keys=keys))
    losses, vjp = CategoricalCrossEntropy().value_and_vjp(outputs, batch.y)
    grads = net.backward(*vjp(torch.full_like(losses, 1 / batch.real)))
    return losses[:, : batch.real].mean(dim=1), {name: densify(gradient) for name, gradient in grads.items()}


def plain_forward(net: Network, x: torch.Tensor, keys: torch.Tensor | None) -> torch.Tensor:
    """The same training pass in plain operations that autograd can follow."""
    p = net.parameters
    for layer in net.layers:
        if isinstance(layer, Dense):
            x = x @ p[f"{layer.name}.kernel"] + p.get(f"{layer.name}.bias", torch.zeros(()))
        elif isinstance(layer, BatchNormLayer):
            mean, variance = x.mean(dim=1, keepdim=True), x.var(dim=1, keepdim=True, correction=0)
            normalized = (x - mean) / (variance + layer.bn.eps).sqrt()
            x = normalized * p[f"{layer.name}.bn_scale"] + p[f"{layer.name}.bn_shift"]
        elif isinstance(layer, ExampleNormLayer):
            normalize = (
                torch.nn.functional.rms_norm if layer.norm.name == "rms_norm" else torch.nn.functional.layer_norm
            )
            scale, *shift = layer.parameters().values()
            x = normalize(x, x.shape[2:], eps=layer.norm.eps) * scale + sum(shift)
        elif isinstance(layer, ActivationLayer):
            x = layer.activation(x, *layer.parameters().values())
        else:
            assert isinstance(layer, DropoutLayer)
            assert keys is not None
            mask = keep_mask(counters(*x.shape[1:], CPU), keys[layer.index], layer.threshold)
            x, _ = layer.dropout.drop(x, mask)
    return x


NORMS = [("layer_norm", True, "before"), ("rms_norm", True, "after"), ("group_norm", 1, "before")]
NETWORKS: list[dict[str, object]] = [
    *({"act": name} for name in Activation.names()),
    {"act": "maxout:pieces=3,relu"},
    {"bn": True, "bn_input": True},
    {"bn": True, "bn_place": "after", "act": "tanh"},
    *({name: on, f"{name}_place": place} for name, on, place in NORMS),
    {"dropout": 0.4, "dropout_where": "input+hidden"},
    {"act": "selu", "alpha_dropout": 0.3, "alpha_dropout_where": "input+hidden"},
    {"bn": True, "bn_input": True, "bn_place": "after", "dropout": 0.2, "act": "prelu"},
    {"hidden": ""},
]


@pytest.mark.parametrize("settings", NETWORKS, ids=str)
def test_gradients_are_autograds(settings: dict[str, object]) -> None:
    net, x, y = network(3, **settings), randn(3, 16, FEATURES), torch.arange(48).view(3, 16) % CLASSES
    [keys] = dropout_keys(net, [0, 1, 2], "dropout", 0, 1)
    loss, gradients = backpropagated(net, whole(x, y), keys)
    assert gradients.keys() == net.parameters.keys()
    for parameter in net.parameters.values():
        parameter.requires_grad_()
    expected = cross_entropy(plain_forward(net, x, keys), y).mean(dim=1)
    torch.testing.assert_close(loss, expected.detach())
    found = torch.autograd.grad(expected.sum(), list(net.parameters.values()))
    for name, gradient in zip(net.parameters, found, strict=True):
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-6)
    assert min(gradients[name].abs().max() for name in net.kernels) > 1e-3


LOSSES = [(CategoricalCrossEntropy(), CLASSES), (BinaryCrossEntropy(), 1), (SquaredError(), 1)]


@pytest.mark.parametrize(("loss", "units"), LOSSES, ids=lambda value: type(value).__name__)
def test_losses_go_back_as_by_autograd(loss: Loss, units: int) -> None:
    outputs, y, shares = 3 * randn(2, 16, units), torch.arange(32).view(2, 16) % max(units, 2), randn(2, 16).abs()
    losses, vjp = loss.value_and_vjp(outputs.clone(), y)
    [gradient] = vjp(shares)
    expected = loss.losses(outputs.requires_grad_(), y)
    torch.testing.assert_close(losses, expected.detach())
    torch.testing.assert_close(gradient, *torch.autograd.grad(expected, outputs, shares))


def test_cross_entropy_is_torchs() -> None:
    logits, y = 5 * randn(3, 16, CLASSES), torch.arange(48).view(3, 16) % CLASSES
    ours = cross_entropy(logits, y)
    for member in range(3):
        theirs = torch.nn.functional.cross_entropy(logits[member], y[member], reduction="none")
        torch.testing.assert_close(ours[member], theirs)


# ---- dropout


def mask(seed: int, rate: float, rows: int = 64, units: int = 100) -> torch.Tensor:
    keys = torch.from_numpy(step_keys([seed], "dropout", 0, 1, 1)[0, 0])
    return keep_mask(counters(rows, units, CPU), keys, threshold(torch.tensor([rate])))[0]


def share_bound(share: float, n: int, sigmas: float = 4.0) -> float:
    return sigmas * math.sqrt(share * (1 - share) / n)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
def test_keep_probability_is_one_minus_the_rate(rate: float) -> None:
    masks = torch.stack([mask(seed, rate) for seed in range(40)]).double()
    assert abs(masks.mean().item() - (1 - rate)) < share_bound(rate, masks.numel())
    # no row, unit or draw has a probability of its own (5 sigma, since it is the largest of a hundred or so)
    for dims in [(0, 1), (0, 2), (1, 2)]:
        means = masks.mean(dim=dims)
        assert (means - (1 - rate)).abs().max() < share_bound(rate, masks.numel() // len(means), sigmas=5)


def test_rate_zero_keeps_everything() -> None:
    assert mask(0, 0.0).all()


@pytest.mark.parametrize("noise", [Dropout, AlphaDropout])
def test_a_rate_that_is_one_in_float32_is_refused(noise: type[Dropout] | type[AlphaDropout]) -> None:
    """Members' rates are float32: 0.99999999 would keep every unit and divide it by zero."""
    with pytest.raises(ValueError, match="rate"):
        noise(rate=0.99999999)
    assert noise(rate=0.95).rate == 0.95


def test_masks_differ_between_steps_layers_seeds_and_streams() -> None:
    keys = [step_keys([0, 1, 2], stream, 0, 3, 2).ravel() for stream in ("dropout", "mc_dropout")]
    every = torch.from_numpy(np.concatenate(keys))
    assert len(set(every.tolist())) == 36
    thresholds, fixed = threshold(torch.full((36,), 0.3)), counters(64, 100, CPU)
    masks = keep_mask(fixed, every, thresholds).flatten(1)
    alike = 0.3**2 + 0.7**2  # what independent masks have in common
    for a, b in combinations(masks, 2):
        assert abs((a == b).double().mean().item() - alike) < share_bound(alike, 6400, sigmas=5)


def test_masks_are_reproducible_in_any_company_from_any_step() -> None:
    together = step_keys([3, 4], "dropout", 0, 5, 2)
    alone = step_keys([4], "dropout", 3, 2, 2)
    assert np.array_equal(together[3:, :, 1:], alone)
    fixed, keys = counters(8, 30, CPU), torch.from_numpy(together[0, 0])
    rates = threshold(torch.tensor([0.2, 0.5]))
    both = keep_mask(fixed, keys, rates)
    assert torch.equal(both, keep_mask(counters(8, 30, CPU), keys, rates))
    assert torch.equal(both[1:], keep_mask(fixed, keys[1:], rates[1:]))
    assert torch.equal(mask(0, 0.2, rows=64)[:8], mask(0, 0.2, rows=8))  # padding rows draw from behind


def test_dividing_while_training_equals_multiplying_the_weights_after_training() -> None:
    rate, rows, units = 0.4, 32, 20
    kept = 1 - rate
    dropout, keep = stack([Dropout(rate=rate)]), mask(0, rate, rows, units)
    x, targets = randn(1, rows, units), randn(1, rows, 5, seed=1)
    weights = randn(1, units, 5, seed=2)
    divided, _ = dropout.drop(x, keep.clone()[None])
    ours, theirs = weights.clone().requires_grad_(), (weights / kept).requires_grad_()
    outputs, as_first_published = divided @ ours, (x * keep) @ theirs
    torch.testing.assert_close(outputs, as_first_published)
    torch.testing.assert_close(x @ ours, x @ (kept * theirs))  # testing
    for each in (outputs, as_first_published):
        (each - targets).square().sum().backward()
    assert ours.grad is not None and theirs.grad is not None
    torch.testing.assert_close(theirs.grad, kept * ours.grad)
    # a step of plain SGD, at the rate divided by k², ends at the same network
    after, after_first = ours - 0.1 * ours.grad, theirs - 0.1 / kept**2 * theirs.grad
    torch.testing.assert_close(after, kept * after_first)


def test_inverted_scaling_keeps_the_mean() -> None:
    dropout = stack([Dropout(rate=0.2), Dropout(rate=0.75)])
    keys = torch.from_numpy(step_keys([0, 1], "dropout", 0, 1, 1)[0, 0])
    keep = keep_mask(counters(400, 100, CPU), keys, threshold(dropout.rate))
    dropped, _ = dropout.drop(torch.full((2, 400, 100), 3.0), keep)
    for member, rate in enumerate([0.2, 0.75]):
        assert dropped[member].unique().tolist() == pytest.approx([0.0, 3 / (1 - rate)])
        assert abs(dropped[member].mean().item() - 3) < 3 * share_bound(rate, 40_000) / (1 - rate)


PLACES = [
    ("input", {0}),
    ("hidden", {1, 2, 3}),
    ("last1", {3}),
    ("last2", {2, 3}),
    ("last9", {1, 2, 3}),
    ("input+last1", {0, 3}),
    ("input+hidden", {0, 1, 2, 3}),
]


@pytest.mark.parametrize(("where", "expected"), PLACES, ids=[where for where, _ in PLACES])
def test_dropout_stands_where_it_is_asked_to_and_never_on_the_output(where: str, expected: set[int]) -> None:
    assert Dropout(where=where).layers(3) == expected
    net, x = network(2, hidden="7,6,5", dropout=0.4, dropout_where=where), randn(2, 16, FEATURES)
    [keys] = dropout_keys(net, [0, 1], "dropout", 5, 1)
    assert keys is not None

    def drop(layer: int, h: torch.Tensor) -> torch.Tensor:
        keep = keep_mask(counters(16, h.shape[2], CPU), keys[layer], threshold(torch.tensor([0.4, 0.4])))
        return h * keep / 0.6 if layer in expected else h

    h = drop(0, x)
    for layer in (1, 2, 3):
        h = drop(layer, torch.relu(h @ net.parameters[f"hidden{layer}.kernel"]))
    torch.testing.assert_close(net.forward(x, ForwardContext(dropout_keys=keys)), h @ net.parameters["output.kernel"])
    assert not torch.allclose(net.forward(x, ForwardContext(dropout_keys=keys)), net.forward(x))


def test_dropout_without_hidden_layers_leaves_nothing_but_the_input() -> None:
    assert Dropout(where="hidden").layers(0) == Dropout(where="last2").layers(0) == set()
    assert Dropout(where="input+last1").layers(0) == {0}


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(rate: float) -> None:
    alpha, keep = AlphaDropout(rate=rate), mask(1, rate, rows=2000).unsqueeze(0)
    normal = randn(1, 2000, 100)
    for x in (normal, torch.selu(normal)):
        dropped, _ = alpha.drop(x, keep.clone())
        assert dropped.mean().item() == pytest.approx(0, abs=0.015)
        assert dropped.var().item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
def test_alpha_dropout_has_torchs_a_and_b(rate: float) -> None:
    x = torch.tensor([0.0, 1.0, -0.7]).expand(1, 4000, 3)
    dropped, _ = AlphaDropout(rate=rate).drop(x, mask(1, rate, rows=4000, units=3).unsqueeze(0))
    theirs = torch.nn.AlphaDropout(rate).train()(x)
    for unit in range(3):  # two values each: a · x + b where kept, a · low + b where not
        values = dropped[..., unit].unique(), theirs[..., unit].unique()
        assert len(values[0]) == 2
        torch.testing.assert_close(*values)


# ---- Monte Carlo dropout


def test_monte_carlo_averages_the_probabilities_of_its_passes() -> None:
    net, x = network(2, dropout=0.4, mc_dropout=6), 3 * randn(2, 16, FEATURES)
    keys = dropout_keys(net, [0, 1], "mc_dropout", 2 * 6, 6)
    passes = [torch.softmax(net.forward(x, ForwardContext(dropout_keys=key)), dim=2) for key in keys]
    with torch.no_grad():
        log_p = monte_carlo_prediction(net, CategoricalCrossEntropy(), 6, [0, 1])(2, whole(x, torch.zeros(2, 16)))
    torch.testing.assert_close(log_p.exp(), torch.stack(passes).mean(dim=0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(log_p.exp().sum(dim=2), torch.ones(2, 16))
    assert torch.stack(passes).std(dim=0).mean() > 0.01  # the passes do differ


def test_monte_carlo_with_rate_zero_is_the_plain_prediction() -> None:
    net, x = network(2, dropout=0.0, mc_dropout=6), randn(2, 16, FEATURES)
    log_p = monte_carlo_prediction(net, CategoricalCrossEntropy(), 6, [0, 1])(0, whole(x, torch.zeros(2, 16)))
    torch.testing.assert_close(log_p, torch.log_softmax(net.forward(x), dim=2), rtol=1e-4, atol=1e-5)


def test_monte_carlo_of_a_confidently_wrong_network_is_finite() -> None:
    """A probability may be too small for float32; its logarithm, of which the loss is made, is not."""
    net, x = network(dropout=0.4, mc_dropout=4), 1e4 * randn(1, 16, FEATURES)
    assert torch.log_softmax(net.forward(x), dim=2).min() > -1e6
    predict = monte_carlo_prediction(net, CategoricalCrossEntropy(), 4, [0])
    assert predict(0, whole(x, torch.zeros(1, 16))).isfinite().all()


# ---- penalties

PENALTIES: list[tuple[type[WeightRegularizer], Callable[[torch.Tensor], torch.Tensor]]] = [
    (L1, lambda w: w.abs().sum()),
    (L2, lambda w: w.square().sum()),
]


@pytest.mark.parametrize(("rule", "penalty"), PENALTIES, ids=["l1", "l2"])
def test_penalty_is_the_gradient_of_what_it_states(
    rule: type[WeightRegularizer], penalty: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    strengths = [0.0, 1e-3, 0.5]
    w, grad = randn(3, 6, 4), randn(3, 6, 4, seed=1)
    w[:, 0, 0] = 0.0
    penalized = stack([rule(strength=strength) for strength in strengths]).penalize(grad, w)
    for member, strength in enumerate(strengths):
        leaf = w[member].clone().requires_grad_()
        [expected] = torch.autograd.grad(strength * penalty(leaf), leaf)
        torch.testing.assert_close(penalized[member], grad[member] + expected)


def test_max_norm_bounds_each_units_incoming_weights() -> None:
    radii = [0.5, 2.0]
    w = randn(2, 30, 8) * torch.linspace(0.01, 1, 8)  # units from small to large
    w[:, :, 0] = 0.0
    before = w.clone()
    stack([MaxNorm(radius=radius) for radius in radii]).after_step(w)
    for member, radius in enumerate(radii):
        norm = before[member].norm(dim=0)
        small = norm <= radius
        assert 1 <= small.sum() < 8
        assert torch.equal(w[member][:, small], before[member][:, small])
        assert (w[member].norm(dim=0) <= radius * (1 + 1e-6)).all()
        large = (before[member] * radius / norm)[:, ~small]
        torch.testing.assert_close(w[member][:, ~small], large)  # the direction is kept
