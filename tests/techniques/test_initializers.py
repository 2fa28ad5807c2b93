"""First weights: variance, range and biases of every initializer; and that no technique draws from another's stream."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import BatchSource
from dnntrain.nn.convolution import ConvolutionSpec
from dnntrain.nn.modules.surgery import draw_weights
from dnntrain.nn.random import generator
from dnntrain.techniques import CATALOGUE
from dnntrain.techniques.activations import Activation
from dnntrain.techniques.base import techniques_in
from dnntrain.techniques.initializers import TRUNCATED_DEVIATION, Initializer
from tests.support.catalogue import EVERY_TECHNIQUE, companions
from tests.support.networks import first_weights, new_network

FAN_IN, FAN_OUT = 600, 400

VARIANCES: dict[str, Callable[[int, int], float]] = {
    "glorot": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he": lambda fan_in, fan_out: 2 / fan_in,
    "lecun": lambda fan_in, fan_out: 1 / fan_in,
    "torch": lambda fan_in, fan_out: 1 / (3 * fan_in),
    "normal": lambda fan_in, fan_out: 0.05**2,
    "orthogonal": lambda fan_in, fan_out: 1 / max(fan_in, fan_out),
}
"""The stated variance of each: a new initializer needs its line here."""

WITH_ALIASES = [*Initializer.names_to_techniques(), "glorot:dist=normal", "he:dist=uniform", "lecun:dist=uniform"]


def spec(**settings: object) -> RunSpec:
    return RunSpec.parse({"hidden": "37,20", "train_size": 203, "val": 150, "batch_size": 20} | settings)


def distribution(initializer: Initializer) -> str:
    return getattr(initializer, "dist", {"torch": "uniform", "normal": "not truncated"}.get(initializer.name, ""))


@pytest.mark.parametrize("text", WITH_ALIASES)
def test_variance_and_range(text: str) -> None:
    initializer = Initializer.parse(text)
    if initializer.name not in VARIANCES:
        pytest.skip(f"no variance is noted for {initializer.name}")
    variance = VARIANCES[initializer.name](FAN_IN, FAN_OUT)
    w = initializer.kernel(generator(0, "init"), FAN_IN, FAN_OUT).astype(np.float64)
    assert w.shape == (FAN_IN, FAN_OUT)
    n, largest = w.size, np.abs(w).max() / math.sqrt(variance)
    assert abs(w.mean()) < 4 * math.sqrt(variance / n)
    assert w.var() == pytest.approx(variance, rel=4 * math.sqrt(2 / n))  # 4 sigma of a normal's sample variance
    bounds = {"uniform": math.sqrt(3), "normal": 2 / TRUNCATED_DEVIATION}
    if (bound := bounds.get(distribution(initializer))) is not None:
        assert 0.999 * bound < largest <= bound * (1 + 1e-6)
    else:
        assert largest > 4  # 240,000 normal draws reach beyond 4 deviations


def test_names_say_their_distribution() -> None:
    dists = {name: distribution(Initializer.parse(name)) for name in Initializer.names_to_techniques()}
    for family in ("glorot", "he", "lecun"):
        assert (dists[f"{family}_uniform"], dists[f"{family}_normal"]) == ("uniform", "normal")
    assert (dists["glorot"], dists["he"], dists["lecun"]) == ("uniform", "normal", "normal")


def test_the_truncated_normal_is_keras_s() -> None:
    assert pytest.approx(stats.truncnorm(-2, 2).std(), rel=1e-12) == TRUNCATED_DEVIATION
    w = Initializer.parse("he_normal").kernel(generator(0, "init"), FAN_IN, FAN_OUT).ravel()
    cut = stats.truncnorm(-2, 2, scale=math.sqrt(2 / FAN_IN) / TRUNCATED_DEVIATION)
    assert stats.kstest(w[:20_000], cut.cdf).pvalue > 1e-3


def test_the_deviation_of_normal_is_settable() -> None:
    w = Initializer.parse("normal:std=2").kernel(generator(0, "init"), FAN_IN, FAN_OUT)
    assert w.std() == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize("name", Initializer.names())
def test_biases_are_zero_but_torchs(name: str) -> None:
    biases = {k: v for k, v in first_weights(spec(init=name)).items() if k.endswith(".bias")}
    assert set(biases) == {"hidden1.bias", "hidden2.bias", "output.bias"}
    assert not biases.pop("output.bias").any()
    for bias, fan_in in zip(biases.values(), (784, 37), strict=True):
        if name == "torch":
            assert 0.5 < np.abs(bias).max() * math.sqrt(fan_in) <= 1 + 1e-6
        else:
            assert not bias.any()


@pytest.mark.parametrize("name", Initializer.names())
def test_the_output_layer_is_glorots(name: str) -> None:
    kernel = first_weights(spec(init=name, hidden="300"))["output.kernel"]
    limit = math.sqrt(6 / 310)
    assert 0.99 * limit < np.abs(kernel).max() <= limit
    assert kernel.var() == pytest.approx(2 / 310, rel=0.06)


def test_auto_goes_by_the_activation() -> None:
    named = {"relu": "he", "leaky_relu": "he", "prelu": "he", "elu": "he", "selu": "lecun"}
    named |= {"tanh": "glorot", "sigmoid": "glorot", "softsign": "glorot"}
    assert {name: CATALOGUE[name].init for name in named} == named


@pytest.mark.parametrize("activation", techniques_in(Activation), ids=lambda activation: activation.name)
def test_auto_draws_what_the_activation_declares(activation: type[Activation]) -> None:
    auto = first_weights(spec(act=activation.name))
    named = first_weights(spec(act=activation.name, init=activation.init))
    assert all(np.array_equal(auto[name], named[name]) for name in auto)
    assert Initializer.parse(activation.init).name in VARIANCES


def test_auto_looks_at_each_layer() -> None:
    mixed = first_weights(spec(act="selu,tanh", hidden="300,200"))
    assert mixed["hidden1.kernel"].var() == pytest.approx(1 / 784, rel=0.02)
    assert mixed["hidden2.kernel"].var() == pytest.approx(2 / 500, rel=0.03)


def test_seeds_and_layers_draw_differently() -> None:
    a, b = (first_weights(spec(seed=seed, hidden="20,20,20")) for seed in (0, 1))
    kernels = [a["hidden2.kernel"], a["hidden3.kernel"], b["hidden2.kernel"], b["hidden3.kernel"]]
    correlations = np.corrcoef([kernel.ravel() for kernel in kernels])[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 4 / math.sqrt(400)


def test_a_member_is_drawn_from_its_own_seed() -> None:
    specs = [spec(seed=4), spec(seed=5, init="torch")]
    network = new_network(specs)
    for member, one in enumerate(specs):
        for name, value in first_weights(one).items():
            assert np.array_equal(network.state()[name][member].numpy(), value)


# ---- orthogonal and identity, against torch's


class Given:
    """A generator of these numbers."""

    def __init__(self, numbers: torch.Tensor) -> None:
        self.numbers = numbers.double().numpy()

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.numbers.reshape(shape)


@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (6, 4, 3, 3), (40, 2, 3, 3)], ids=str)
def test_orthogonal_is_torchs_for_the_same_draws(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    theirs = torch.nn.init.orthogonal_(torch.empty(shape), gain=1.5)
    torch.manual_seed(1)
    drawn = torch.empty(shape[0], math.prod(shape[1:])).normal_()
    ours = Initializer.parse(
        "orthogonal:gain=1.5"
    ).kernel(
        Given(drawn),  # type: ignore[arg-type]
        math.prod(shape[1:]),
        shape[0],
        (*shape[1:], shape[0]),
    )
    torch.testing.assert_close(torch.from_numpy(np.moveaxis(ours, -1, 0).copy()), theirs, rtol=1e-4, atol=1e-5)


LAYERS = [
    torch.nn.Linear(7, 5),
    torch.nn.Linear(5, 7),
    torch.nn.Conv2d(3, 8, 3),
    torch.nn.Conv2d(8, 3, 5),
    torch.nn.Conv1d(6, 6, 3, groups=3),
    torch.nn.Conv2d(6, 12, 3, groups=6),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_dirac_is_torchs_and_the_identity_in_dense_layers(layer: torch.nn.Module) -> None:
    draw_weights(layer, Initializer.parse("dirac"), generator(0, "init"))
    weight = layer.weight.detach().clone()
    if isinstance(layer, torch.nn.Linear):
        assert torch.equal(weight, torch.nn.init.eye_(torch.empty_like(weight)))
    else:
        assert torch.equal(weight, torch.nn.init.dirac_(torch.empty_like(weight), layer.groups))


def test_a_convolution_starts_as_the_identity() -> None:
    init = Initializer.parse("identity")
    spec = ConvolutionSpec("conv1", (3, 6, 6), 3, init, kernel=5, padding=2)
    state = {key: torch.from_numpy(value) for key, value in spec.initial_state(generator(0, "init")).items()}
    x = torch.randn(1, 3, 6, 6)
    assert torch.equal(torch.conv2d(x, state["kernel"], padding=2), x)


# ---- one more technique changes no other draw


def order_of(inputs: BatchSource, seed: int, epoch: int) -> torch.Tensor:
    """The training examples of one epoch, in their order, without the padding."""
    return torch.cat([part.examples[:, 0, : part.real].flatten() for part in inputs.epoch_inputs([seed], epoch)])


@pytest.fixture(scope="module")
def plain_order(mini: Dataset) -> list[torch.Tensor]:
    inputs = BatchSource(mini, [spec(seed=7)], torch.device("cpu"))
    return [order_of(inputs, 7, epoch) for epoch in range(2)]


CHANGES_NO_DRAW = [name for name, settings in EVERY_TECHNIQUE.items() if not {"init", "act"} & set(settings)]


@pytest.mark.parametrize("technique", CHANGES_NO_DRAW)
def test_adding_a_technique_changes_neither_weights_nor_order(
    technique: str, mini: Dataset, plain_order: list[torch.Tensor]
) -> None:
    plain, changed = spec(seed=7, **companions(CATALOGUE[technique])), spec(seed=7, **EVERY_TECHNIQUE[technique])
    before, after = (first_weights(s) for s in (plain, changed))
    for name in ("hidden1.kernel", "hidden2.kernel", "output.kernel"):
        assert np.array_equal(before[name], after[name])
    inputs = BatchSource(mini, [changed], torch.device("cpu"))
    for epoch, order in enumerate(plain_order):
        assert torch.equal(order_of(inputs, 7, epoch), order)


def test_every_epoch_and_seed_has_its_own_order(plain_order: list[torch.Tensor], mini: Dataset) -> None:
    first, second = plain_order
    assert sorted(first.tolist()) == sorted(second.tolist())
    assert (first == second).float().mean() < 0.2
    everything = BatchSource(mini, [spec(seed=8, train_size=None)], torch.device("cpu"))
    orders = [order_of(everything, seed, 0) for seed in (8, 9)]
    assert (orders[0] == orders[1]).float().mean() < 0.02
