"""A user's module trains as in a plain loop, and has the same bits alone and in a population."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from dnntrain.nn.layer import ForwardContext
from dnntrain.nn.modules.spec import ModuleSpec
from tests.support.modules import assert_same_bits, batches, build_layer, train, train_plainly


class Attention(nn.Module):
    """Self-attention over the rows of an image."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Linear(9, 8)
        self.attention = nn.MultiheadAttention(8, 2, dropout=dropout, batch_first=True)
        self.norm, self.output = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x)
        return self.output(self.norm(h + self.attention(h, h, h)[0]).mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM, dropout: float = 0.0, layers: int = 1) -> None:
        super().__init__()
        self.rnn = kind(9, 7, num_layers=layers, batch_first=True, dropout=dropout)
        self.output = nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.rnn(x)[0][:, -1])


class Tied(nn.Module):
    """One weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.output = nn.Linear(9, 9), nn.Linear(9, 9), nn.Linear(9, 3)
        self.down.weight = self.up.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.down(torch.tanh(self.up(x))))


class Frozen(nn.Module):
    """Some parameters do not train."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.output = nn.Linear(9, 5), nn.Linear(5, 3)
        self.features.weight.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(torch.relu(self.features(x)))


class Buffers(nn.Module):
    """Buffers of many kinds: some change in place, one is replaced, one is not persistent."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(9, 3)
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("calls", torch.tensor(0))
        self.register_buffer("seen", torch.zeros(9, dtype=torch.bool))
        self.register_buffer("mean", torch.zeros(9))
        self.register_buffer("mask", torch.rand(9) > 0.3, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.calls += 1
            self.seen |= (x > 1).any(0)
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return self.output((x - self.mean) * self.mask * self.scale) / (1 + self.calls)


class Unused(nn.Module):
    """One parameter has no part in the outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.output, self.unused = nn.Linear(9, 3), nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(x)


class Twice(nn.Module):
    """A block that is used twice, batch norm included."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.output = nn.Sequential(nn.Linear(9, 9), nn.BatchNorm1d(9), nn.Tanh()), nn.Linear(9, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.block(self.block(x)))


class Checkpointed(nn.Module):
    """Its first half is computed again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.drop, self.output = nn.Linear(9, 8), nn.Dropout(0.4), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(checkpoint(lambda x: self.drop(torch.tanh(self.first(x))), x, use_reentrant=False))


class InPlace(nn.Module):
    """It changes its input."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(9, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(x.mul_(2).add_(1))


class Sum(nn.Module):
    """The gradients of its two parameters are one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(3)), nn.Parameter(torch.randn(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :3] + (self.a + self.b)


class Hooked(nn.Module):
    """Hooks change what comes in and goes out, and it cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.output = nn.Linear(9, 5), nn.Linear(5, 3)
        self.linear.register_forward_pre_hook(lambda part, inputs: (inputs[0] * 2,))
        self.linear.register_forward_hook(lambda part, inputs, output: torch.tanh(output))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.linear(x))

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError("cannot be copied")


def convolutional(*norm: nn.Module) -> nn.Module:
    head = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, 3)]
    return nn.Sequential(nn.Conv2d(1, 5, 3, padding=1), *norm, nn.ReLU(), nn.MaxPool2d(2), *head)


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(9, 3, 11, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Flatten(), nn.Linear(81, 3))


MAPS = (1, 9, 9)
SPECS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "conv": (convolutional, MAPS),
    "batch norm": (lambda: convolutional(nn.BatchNorm2d(5)), MAPS),
    "cumulative batch norm": (lambda: convolutional(nn.BatchNorm2d(5, momentum=None)), MAPS),
    "group norm": (lambda: convolutional(nn.GroupNorm(5, 5)), MAPS),
    "instance norm": (lambda: convolutional(nn.InstanceNorm2d(5, affine=True, track_running_stats=True)), MAPS),
    "average pool": (lambda: nn.Sequential(nn.AvgPool2d(3), nn.Flatten(), nn.Linear(9, 3)), MAPS),
    "conv1d": (lambda: nn.Sequential(nn.Conv1d(9, 4, 3, groups=1), nn.GELU(), nn.Flatten(), nn.Linear(28, 3)), (9, 9)),
    "attention": (Attention, (9, 9)),
    "encoder": (encoder, (9, 9)),
    "lstm": (Recurrent, (9, 9)),
    "gru": (lambda: Recurrent(nn.GRU, layers=2), (9, 9)),
    "tied": (Tied, (9,)),
    "frozen": (Frozen, (9,)),
    "buffers": (Buffers, (9,)),
    "unused": (Unused, (9,)),
    "twice": (Twice, (9,)),
    "in place": (InPlace, (9,)),
    "sum": (Sum, (9,)),
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(9, 3)), (9,)),
    "spectral norm": (lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(9, 3))), (9,)),
    "hooks": (Hooked, (9,)),
    "old spectral norm": (lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(9, 3))), (9,)),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(5), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(3)), (9,)),
}
RANDOM: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "dropout": (lambda: nn.Sequential(nn.Linear(9, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 3)), (9,)),
    "checkpoint": (Checkpointed, (9,)),
    "attention dropout": (lambda: Attention(0.3), (9, 9)),
    "lstm dropout": (lambda: Recurrent(dropout=0.3, layers=2), (9, 9)),
    "rrelu": (lambda: nn.Sequential(nn.Linear(9, 8), nn.RReLU(), nn.Linear(8, 3)), (9,)),
}
SEEDS = [3, 7, 11]


def spec_of(name: str) -> ModuleSpec:
    return ModuleSpec("net", *(SPECS | RANDOM)[name])


@pytest.mark.parametrize("name", [*SPECS, *RANDOM])
def test_a_member_has_the_same_bits_alone_and_in_company(name: str) -> None:
    spec = spec_of(name)
    together = train(build_layer([spec] * 3, SEEDS), batches(spec.shape_in, SEEDS, 3), SEEDS)
    for m, seed in enumerate(SEEDS):
        [alone] = train(build_layer([spec], [seed]), batches(spec.shape_in, [seed], 3), [seed])
        assert_same_bits(alone, together[m])


@pytest.mark.parametrize("name", SPECS)
def test_steps_are_those_of_a_plain_loop(name: str) -> None:
    spec, xs = spec_of(name), batches(SPECS[name][1], SEEDS, 4)
    ours = train(build_layer([spec] * 3, SEEDS), xs, SEEDS)

    def make() -> nn.Module:
        module = spec.make()
        with torch.no_grad():
            module(spec.example(2))  # gives lazy modules their shapes
        return module

    for m, seed in enumerate(SEEDS):
        plain = train_plainly(spec, seed, xs, m, make)
        assert plain.keys() <= ours[m].keys()
        for key, value in plain.items():
            torch.testing.assert_close(ours[m][key], value, rtol=1e-4, atol=1e-6, msg=key)


@pytest.mark.parametrize("name", [*SPECS, "dropout"])
def test_at_once_and_in_turn_agree(name: str) -> None:
    spec, xs = spec_of(name), batches((SPECS | RANDOM)[name][1], SEEDS, 2)
    layers = {at_once: build_layer([spec] * 3, SEEDS, at_once) for at_once in (True, False)}
    at_once, in_turn = (train(layers[way], xs, SEEDS) for way in (True, False))
    for one, other in zip(at_once, in_turn, strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            torch.testing.assert_close(value, other[key], rtol=1e-4, atol=2e-6, msg=key)
    refused = {"cumulative batch norm", "lstm", "gru", "spectral norm", "old spectral norm"}
    assert bool(layers[True].in_turn) == (name in refused), layers[True].in_turn
    assert layers[False].in_turn == ""


@pytest.mark.parametrize("name", ["conv", "batch norm", "lstm"])
@pytest.mark.parametrize("at_once", [True, False])
def test_all_members_may_share_their_input(name: str, at_once: bool) -> None:
    spec = spec_of(name)
    shared = batches(spec.shape_in, [0], 2)
    one = train(build_layer([spec] * 3, SEEDS, at_once), shared, SEEDS)
    other = train(build_layer([spec] * 3, SEEDS, False), [x.repeat(3, 1, 1) for x in shared], SEEDS)
    for a, b in zip(one, other, strict=True):
        for key, value in a.items():
            torch.testing.assert_close(value, b[key], rtol=1e-4, atol=2e-6)


def test_the_first_gradients_are_autograds() -> None:
    spec, [x] = spec_of("batch norm"), batches(MAPS, SEEDS, 1)
    layer = build_layer([spec] * 3, SEEDS, input_grad=True)
    outputs, grads = layer.forward(x, ForwardContext(4, training=True)), {}
    upstream = torch.randn(3, 6, 3)
    below = layer.backward(upstream.clone(), grads)
    assert outputs.shape == (3, 6, 3) and not outputs[:, 4:].any()
    assert below is not None and below.shape == x.shape and not below[:, 4:].any()
    for m, seed in enumerate(SEEDS):
        module = spec.make().train()
        state = spec.initial_state(np.random.default_rng(seed))
        module.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
        rows = x[m, :4].clone().requires_grad_()
        value = module(rows.view(-1, *MAPS))
        expected = torch.autograd.grad(value, [rows, *module.parameters()], upstream[m, :4])
        for found, right in zip([below[m, :4], *(g[m] for g in grads.values())], expected, strict=True):
            torch.testing.assert_close(found, right)


def test_selected_members_go_on_as_before() -> None:
    spec = ModuleSpec(
        "net", lambda: nn.Sequential(nn.Linear(9, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3)), (9,)
    )
    xs = batches((9,), SEEDS, 4)
    layer = build_layer([spec] * 3, SEEDS)
    train(layer, xs[:2], SEEDS)
    with torch.inference_mode():
        some = layer.select(torch.tensor([2, 0]))
    expected = train(layer, xs[2:], SEEDS)
    found = train(some, [x[[2, 0]] for x in xs[2:]], [SEEDS[2], SEEDS[0]])
    assert_same_bits(found[0], expected[2])
    assert_same_bits(found[1], expected[0])


def test_a_sparse_embedding_trains() -> None:
    spec = ModuleSpec("net", lambda: nn.EmbeddingBag(4, 3, sparse=True, mode="mean"), (5,), dtype="int64")
    tokens = torch.randint(4, (2, 6, 5), generator=torch.Generator().manual_seed(0))
    layer = build_layer([spec] * 2, [0, 1])
    before = layer.parameters()["net.weight"].clone()
    train(layer, [tokens], [0, 1])
    assert (layer.parameters()["net.weight"] != before).any()
    assert spec.weights == {"weight": 0}  # a bag is no plain embedding


def test_a_spec_tells_what_a_module_holds() -> None:
    spec = spec_of("buffers")
    state = spec.initial_state(np.random.default_rng(0))
    assert spec.parameters == {"scale": (), "output.weight": (3, 9), "output.bias": (3,)}
    assert spec.buffers == {"calls": (), "seen": (9,), "mean": (9,), "mask": (9,)}
    assert [state[key].dtype for key in spec.buffers] == [np.int64, np.bool_, np.float32, np.bool_]
    assert spec.weights == {"output.weight": 0}
    frozen = spec_of("frozen")
    assert list(frozen.buffers) == ["features.weight"] and "features.weight" not in frozen.parameters
    assert spec_of("tied").n_parameters == 81 + 9 + 9 + 27 + 3
    assert spec_of("encoder").flops > 2 * 9 * 2 * 9 * (4 * 9 + 2 * 11)  # of two layers at 9 positions


class Convolutions(nn.Module):
    """Notes how its maps lie in memory."""

    def __init__(self, flatten: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.flatten, self.seen = flatten, set[bool]()
        self.features = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2))
        self.output = nn.Linear(20, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.features(x)
        self.seen.add(maps.is_contiguous(memory_format=torch.channels_last))
        return self.output(self.flatten(maps))


@pytest.mark.parametrize(
    ("flatten", "channels_last"),
    [
        (lambda maps: maps.flatten(1), True),
        (lambda maps: maps.view(len(maps), -1), False),
        (lambda maps: maps.as_strided((len(maps), 20), (20, 1)), False),
    ],
    ids=["flatten", "view", "as_strided"],
)
def test_maps_lie_channels_last_where_the_module_bears_it(
    flatten: Callable[[torch.Tensor], torch.Tensor], channels_last: bool
) -> None:
    spec = ModuleSpec("net", lambda: Convolutions(flatten), (2, 4, 4))
    assert spec.channels_last == channels_last
    spec.module.seen.clear()
    train(build_layer([spec] * 3, SEEDS), batches(spec.shape_in, SEEDS, 2), SEEDS)
    assert spec.module.seen == {channels_last}
