"""Dropout and other randomness inside a user's module belong to the member."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dnntrain.nn.layer import ForwardContext
from dnntrain.nn.modules.layer import ModuleLayer
from dnntrain.nn.modules.spec import ModuleSpec
from tests.nn.modules.test_layer import Attention, Recurrent
from tests.support.modules import assert_same_bits, batches, build_layer, train


class Scale(nn.Module):
    """Multiplies what one dropout module leaves, so that the outputs show its mask."""

    def __init__(self, drop: nn.Module) -> None:
        super().__init__()
        self.drop, self.scale = drop, nn.Parameter(torch.tensor(1.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.drop(x) * self.scale).flatten(1)


def masked(drop: nn.Module, shape: tuple[int, ...], key: int = 5, rows: int = 400) -> torch.Tensor:
    """What the module makes of ones (rows, *shape) while training."""
    layer = build_layer([ModuleSpec("net", lambda: Scale(drop), shape)], [0])
    outputs = layer.forward(torch.ones(1, rows, int(np.prod(shape))), context(key))
    return outputs.view(rows, *shape)


def context(*keys: int, training: bool = True) -> ForwardContext:
    return ForwardContext(training=training, dropout_keys=torch.tensor([keys], dtype=torch.int32))


def test_dropout_drops_at_its_rate_and_keeps_the_mean() -> None:
    x = masked(nn.Dropout(0.3), (20,))
    assert set(x.unique().tolist()) == {0.0, float(torch.tensor(1.0) / (1 - torch.tensor(0.3)))}
    assert abs((x == 0).float().mean() - 0.3) < 0.02
    assert not torch.equal(x, masked(nn.Dropout(0.3), (20,), key=6))
    assert torch.equal(x, masked(nn.Dropout(0.3), (20,)))


@pytest.mark.parametrize("kind", [nn.Dropout1d, nn.Dropout2d, nn.Dropout3d])
def test_channel_dropout_drops_whole_channels(kind: type[nn.Module]) -> None:
    x = masked(kind(0.4), (6, 2, 3))
    assert torch.equal(x, x[:, :, :1, :1].expand_as(x))
    assert abs((x == 0).float().mean() - 0.4) < 0.03


@pytest.mark.parametrize("kind", [nn.AlphaDropout, nn.FeatureAlphaDropout])
def test_alpha_dropout_keeps_mean_and_deviation(kind: type[nn.Module]) -> None:
    layer = build_layer([ModuleSpec("net", lambda: Scale(kind(0.2)), (30, 2))], [0])
    x = layer.forward(torch.randn(1, 4000, 60, generator=torch.Generator().manual_seed(0)), context(5))
    assert abs(x.mean()) < 0.02 and abs(x.std() - 1) < 0.02
    channels = x.view(4000, 30, 2)
    low = channels == channels.flatten().mode().values  # where a dropped unit is held
    assert bool((low[..., 0] == low[..., 1]).all()) == (kind is nn.FeatureAlphaDropout)
    assert abs(low.float().mean() - 0.2) < 0.01


def test_in_place_dropout_changes_what_it_receives() -> None:
    class Changed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop, self.scale = nn.Dropout(0.5, inplace=True), nn.Parameter(torch.tensor(1.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.drop(x)
            return x * self.scale

    layer = build_layer([ModuleSpec("net", Changed, (8,))], [0])
    assert set(layer.forward(torch.ones(1, 9, 8), context(1)).unique().tolist()) == {0.0, 2.0}


def test_each_call_has_a_mask_of_its_own() -> None:
    class Shared(nn.Module):
        """One dropout module in two places, and another."""

        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.scale = nn.Dropout(0.5), nn.Dropout(0.5), nn.Parameter(torch.tensor(1.0))
            self.same = self.a

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([self.a(x), self.same(x), self.b(x)], 1).flatten(1) * self.scale

    layer = build_layer([ModuleSpec("net", Shared, (50,))], [0])
    masks = layer.forward(torch.ones(1, 40, 50), context(1)).view(40, 3, 50).unbind(1)
    for i in range(3):
        for j in range(i):
            assert abs((masks[i] == masks[j]).float().mean() - 0.5) < 0.06
    again = layer.forward(torch.ones(1, 40, 50), context(1)).view(40, 3, 50).unbind(1)
    assert all(map(torch.equal, masks, again))  # the count of calls starts anew with each pass


@pytest.mark.parametrize("at_once", [True, False])
def test_each_member_has_its_own_rate(at_once: bool) -> None:
    specs = [ModuleSpec("net", lambda rate=rate: Scale(nn.Dropout(rate)), (20,)) for rate in (0.0, 0.25, 0.6)]
    layer = build_layer(specs, [0, 1, 2], at_once)
    x = layer.forward(torch.ones(1, 300, 20), context(4, 4, 9))
    dropped = (x == 0).float().mean((1, 2))
    torch.testing.assert_close(dropped, torch.tensor([0, 0.25, 0.6]), atol=0.02, rtol=0)
    alone = build_layer([specs[2]], [2]).forward(torch.ones(1, 300, 20), context(9))
    assert torch.equal(alone[0], x[2])
    some = layer.select(torch.tensor([2, 0]))
    assert torch.equal(some.forward(torch.ones(1, 300, 20), context(9, 4)), x[[2, 0]])


RECURRENT = [lambda rate: Recurrent(dropout=rate, layers=2), lambda rate: Recurrent(nn.GRU, rate, 3), Attention]


@pytest.mark.parametrize("make", RECURRENT)
def test_dropout_inside_torchs_own_parts_has_each_members_rate(make: object) -> None:
    specs = [ModuleSpec("net", lambda rate=rate: make(rate), (9, 9)) for rate in (0.0, 0.5)]  # type: ignore[operator]
    layer = build_layer(specs, [3, 3])
    assert layer.uses_keys()
    x = batches((9, 9), [3, 3], 1)[0]
    plain = layer.forward(x, ForwardContext())
    noisy = layer.forward(x, context(1, 1))
    torch.testing.assert_close(noisy[0], plain[0])
    assert not torch.allclose(noisy[1], plain[1], atol=1e-3)


NOISY = {
    "dropout": lambda: nn.Sequential(nn.Linear(81, 9), nn.Dropout(0.5), nn.Linear(9, 3)),
    "attention": lambda: Attention(0.5),
    "lstm": lambda: Recurrent(dropout=0.5, layers=2),
    "encoder": lambda: nn.Sequential(
        nn.TransformerEncoderLayer(9, 3, 11, dropout=0.5, batch_first=True),
        nn.Flatten(),
        nn.Linear(81, 3),
    ),
}


@pytest.mark.parametrize("name", NOISY)
def test_monte_carlo_dropout_is_on_in_test_mode(name: str) -> None:
    shape = (81,) if name == "dropout" else (9, 9)
    layer = build_layer([ModuleSpec("net", NOISY[name], shape)], [0])
    x = batches(shape, [0], 1)[0]

    def outputs(*key: int) -> torch.Tensor:
        with torch.inference_mode():
            return layer.forward(x, context(*key, training=False) if key else ForwardContext())

    assert torch.equal(outputs(), outputs())
    assert torch.equal(outputs(1), outputs(1))
    assert not torch.allclose(outputs(1), outputs(2), atol=1e-3)
    assert not torch.allclose(outputs(1), outputs(), atol=1e-3)
    assert torch.equal(outputs(), outputs())


class Functional(nn.Module):
    """Draws from torch's global generator by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(9, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = nn.functional.dropout(self.first(x), 0.4, self.training)
        return self.last(h + 0.1 * torch.randn_like(h) if self.training else h)


def test_the_global_generator_is_the_members_and_keeps_its_state() -> None:
    spec, seeds = ModuleSpec("net", Functional, (9,)), [3, 7, 11]
    assert spec.draws_globally
    before = torch.get_rng_state()
    layer = build_layer([spec] * 3, seeds)
    assert layer.uses_keys() and layer.in_turn == "it draws from torch's global generator"
    together = train(layer, batches((9,), seeds, 3), seeds)
    assert torch.equal(torch.get_rng_state(), before)
    torch.randn(5)  # whatever else happens in the process
    for m, seed in enumerate(seeds):
        [alone] = train(build_layer([spec], [seed]), batches((9,), [seed], 3), [seed])
        assert_same_bits(alone, together[m])


def test_a_module_without_randomness_uses_no_keys() -> None:
    for make in (lambda: nn.Linear(9, 3), lambda: nn.Sequential(nn.Linear(9, 3), nn.Dropout(0.0))):
        assert not build_layer([ModuleSpec("net", make, (9,))], [0]).uses_keys()
    assert not build_layer([ModuleSpec("net", Attention, (9, 9))], [0]).uses_keys()


def test_the_users_own_dropout_class_stays() -> None:
    class Mine(nn.Dropout):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * torch.rand(()) if self.training else x

    spec = ModuleSpec("net", lambda: nn.Sequential(nn.Linear(9, 3), Mine(0.5)), (9,))
    assert type(spec.module[1]) is Mine and spec.draws_globally  # type: ignore[index]
    layer: ModuleLayer = build_layer([spec], [0])
    x = torch.ones(1, 4, 9)
    assert torch.equal(layer.forward(x, context(1)), layer.forward(x, context(1)))
    assert not torch.equal(layer.forward(x, context(1)), layer.forward(x, context(2)))
