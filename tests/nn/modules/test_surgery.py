"""Surgery changes a user's module where it can, and says what it changed and what it could not reach."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dnntrain.errors import InputError
from dnntrain.nn.modules.spec import ModuleSpec
from dnntrain.nn.modules.surgery import draw_weights, replace_activations, replace_norms, set_dropout, unreachable
from dnntrain.techniques.initializers import Glorot, He, Initializer, TorchDefault
from dnntrain.techniques.normalization import BatchNorm, Normalization
from dnntrain.techniques.normalization.per_example import GroupNorm, LayerNorm, RMSNorm
from tests.nn.modules.test_layer import Attention, Recurrent
from tests.support.modules import batches, build_layer, train


class Net(nn.Module):
    """Some of everything that surgery changes."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU(inplace=True)
        self.body = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), self.act, nn.Dropout2d(0.1))
        self.parts = nn.ModuleList([nn.Conv2d(4, 6, 1), nn.GroupNorm(2, 6), nn.GELU(), nn.InstanceNorm2d(6)])
        self.head = nn.ModuleDict({"drop": nn.Dropout(0.2), "output": nn.Linear(6, 3)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.body(x)
        for part in self.parts:
            h = part(h)
        return self.head["output"](self.head["drop"](self.act(h).mean((2, 3))))


class Functional(nn.Module):
    """Nothing that surgery could change but its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(5, 4), nn.LayerNorm(4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.norm(self.first(x)))
        h = torch.nn.functional.dropout(h, 0.2, training=self.training)
        return self.last(h.tanh()) + torch.softmax(h, 1)[:, :3]


def transformer(activation: str = "relu") -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.1, activation=activation, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


# ---- activations


def test_activations_are_replaced_wherever_they_are() -> None:
    net = Net()
    changes = replace_activations(net, lambda: nn.ELU(0.5))
    assert changes == [
        "act: ReLU() → ELU(alpha=0.5)",
        "body.2: ReLU() → ELU(alpha=0.5)",
        "parts.2: GELU(approximate='none') → ELU(alpha=0.5)",
    ]
    assert net.act is net.body[2] and isinstance(net.parts[2], nn.ELU)
    assert net.act is not net.parts[2]
    assert replace_activations(net, lambda: nn.ELU(0.5)) == []  # nothing is left to change


def test_only_other_activations_are_replaced() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True), nn.LeakyReLU(0.2, inplace=True))
    assert replace_activations(net, nn.ReLU) == ["2: LeakyReLU(negative_slope=0.2) → ReLU()"]
    assert replace_activations(transformer(), nn.ReLU) == []
    assert replace_activations(transformer("gelu"), nn.GELU) == []


def test_a_transformers_activation_is_replaced() -> None:
    net, x = transformer().eval(), torch.randn(3, 5, 8)
    before = net(x)
    assert replace_activations(net, nn.Tanh) == [f"layers.{i}.activation: ReLU() → Tanh()" for i in (0, 1)]
    for with_gradients in (True, False):  # without, torch would take a fast path that knows only two activations
        with torch.set_grad_enabled(with_gradients):
            assert not torch.allclose(net(x), before, atol=1e-3)
    with torch.no_grad():
        fast = net(x)
    torch.testing.assert_close(fast, net(x))


def test_where_no_activation_is_found_the_error_says_what_is_there() -> None:
    line = Functional.forward.__code__.co_firstlineno + 1
    expected = (
        f"Functional calls F.relu (test_surgery.py, line {line}) and 1 more: use nn.ReLU or other activation modules"
    )
    with pytest.raises(InputError, match=f"^{re.escape(expected)} to let `act` replace them$"):
        replace_activations(Functional(), nn.ELU)
    with pytest.raises(InputError, match=r"^Recurrent has no activation modules, only LSTM, Linear: use nn\.ReLU or"):
        replace_activations(Recurrent(), nn.ELU)


# ---- dropout


def test_every_dropout_module_gets_the_rate() -> None:
    net = Net()
    assert set_dropout(net, 0.4) == [
        "body.3: Dropout2d(p=0.1, inplace=False) → Dropout2d(p=0.4, inplace=False)",
        "head.drop: Dropout(p=0.2, inplace=False) → Dropout(p=0.4, inplace=False)",
    ]
    assert set_dropout(net, 0.4) == []
    assert set_dropout(net, 0.4, spatial=True) == [
        "head.drop: Dropout(p=0.4, inplace=False) → Dropout2d(p=0.4, inplace=False)"
    ]


def test_dropout_inside_attention_and_recurrent_layers_gets_the_rate() -> None:
    assert set_dropout(Attention(), 0.3) == ["attention: dropout 0 → dropout 0.3"]
    net = Recurrent(layers=2, dropout=0.1)
    assert set_dropout(net, 0.3) == ["rnn: dropout 0.1 → dropout 0.3"] and net.rnn.dropout == 0.3
    encoder = transformer()
    changes = set_dropout(encoder, 0.3)
    assert len(changes) == 2 * 4 and encoder.layers[1].self_attn.dropout == 0.3
    with pytest.raises(InputError, match=r"^Recurrent has no nn\.Dropout, only LSTM, Linear: use nn\.Dropout "):
        set_dropout(Recurrent(), 0.3)


def test_where_no_dropout_is_found_the_error_says_what_is_there() -> None:
    with pytest.raises(InputError, match=r"^Functional calls torch\.nn\.functional\.dropout \(test_surgery"):
        set_dropout(Functional(), 0.3)


# ---- norms


def test_norms_become_batch_norms() -> None:
    net = Net()
    changes = with_batch_norm(net)
    assert [change.split(":")[0] for change in changes] == ["body.1", "parts.1", "parts.3"]
    assert "GroupNorm(2, 6, " in changes[1] and "→ AnyBatchNorm(6, eps=0.001, momentum=0.2, " in changes[1]
    assert with_batch_norm(net) == []
    spec = ModuleSpec("net", lambda: changed_net(), (2, 6, 6))
    train(build_layer([spec] * 2, [0, 1]), batches((2, 6, 6), [0, 1], 2), [0, 1])
    assert "parts.1.running_mean" in spec.buffers and "parts.3.weight" in spec.parameters
    x = torch.randn(7, 6, 4)
    torch.testing.assert_close(net.parts[1].train()(x), nn.BatchNorm1d(6, 1e-3).train()(x))


def with_batch_norm(net: nn.Module) -> list[str]:
    return replace_norms(net, "bn", BatchNorm(eps=1e-3, alpha=0.2).module)


def changed_net() -> nn.Module:
    net = Net()
    with_batch_norm(net)
    return net


def test_layer_norm_is_not_replaced_and_is_named() -> None:
    with pytest.raises(InputError, match=r"^Functional has no batch, group or instance norm, only LayerNorm, Linear"):
        with_batch_norm(Functional())
    assert unreachable(Functional(), "norm") == ["norm: LayerNorm stays"]


def surgery(net: nn.Module, norm: Normalization) -> list[str]:
    return replace_norms(net, norm.name, norm.module, norm.module_of_last_axes)


@pytest.mark.parametrize("norm", [LayerNorm(eps=1e-3), RMSNorm(eps=1e-3)])
def test_norms_within_examples_take_the_place_of_others(norm: Normalization) -> None:
    """Over the channels at each position, as torch's own on channels last."""
    net = Net()
    assert [change.split(":")[0] for change in surgery(net, norm)] == ["body.1", "parts.1", "parts.3"]
    assert unreachable(net) == []
    own = {"layer_norm": nn.LayerNorm, "rms_norm": nn.RMSNorm}[norm.name](6, eps=1e-3)
    for x in (torch.randn(7, 6), torch.randn(7, 6, 4), torch.randn(7, 6, 4, 3)):
        torch.testing.assert_close(net.parts[1](x), own(x.movedim(1, -1)).movedim(-1, 1))
    assert not dict(net.named_buffers())
    assert net(torch.randn(5, 2, 6, 6)).shape == (5, 3)


def test_group_norm_takes_the_place_of_others() -> None:
    net = Net()
    assert [change.split(":")[0] for change in surgery(net, GroupNorm(groups=2, eps=1e-3))] == [
        "body.1",
        "parts.1",  # which had another eps
        "parts.3",
    ]
    assert repr(net.body[1]) == repr(nn.GroupNorm(2, 4, 1e-3))
    assert surgery(net, GroupNorm(groups=2, eps=1e-3)) == []
    with pytest.raises(InputError, match=r"^group_norm 3: the 4 channels of a norm do not divide into 3 equal groups"):
        surgery(Net(), GroupNorm(groups=3))
    with pytest.raises(InputError, match=r"^Functional has no batch, group or instance norm, only LayerNorm, Linear"):
        surgery(Functional(), GroupNorm(groups=2))


def test_layer_norm_and_rms_norm_replace_each_other_in_transformers() -> None:
    net, x = transformer().eval(), torch.randn(3, 5, 8)
    assert surgery(net, LayerNorm(eps=1e-5)) == []
    changes = surgery(net, RMSNorm(eps=1e-3))
    assert changes[0] == f"layers.0.norm1: {nn.LayerNorm(8)!r} → {nn.RMSNorm(8, 1e-3)!r}"
    assert len(changes) == 4
    expected = net(x)
    with torch.no_grad():  # torch's fast path would normalize by the mean too
        torch.testing.assert_close(net(x), expected)
    assert len(surgery(net, LayerNorm())) == 4


def test_a_users_own_kind_of_layer_norm_stays() -> None:
    class OverChannels(nn.LayerNorm):
        pass

    net = nn.Sequential(nn.Linear(5, 4), OverChannels(4), nn.LayerNorm(4))
    assert [change.split(":")[0] for change in surgery(net, RMSNorm())] == ["2"]
    assert unreachable(net, "norm") == ["1: OverChannels stays"]


# ---- first weights


class Fans:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, tuple[int, ...]]] = []

    def kernel(self, rng, fan_in, fan_out, shape=None):  # type: ignore[no-untyped-def]
        self.asked.append((fan_in, fan_out, shape))
        return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)

    def bias(self, rng, fan_in, units):  # type: ignore[no-untyped-def]
        return np.full(units, fan_in, np.float32)


LAYERS = {
    "linear": (nn.Linear(5, 7), (5, 7, (5, 7))),
    "conv1d": (nn.Conv1d(4, 6, 5), (20, 30, (4, 5, 6))),
    "conv2d": (nn.Conv2d(4, 6, 3), (36, 54, (4, 3, 3, 6))),
    "conv3d": (nn.Conv3d(2, 3, (1, 2, 3)), (12, 18, (2, 1, 2, 3, 3))),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2), (18, 27, (2, 3, 3, 6))),
    "depthwise": (nn.Conv2d(4, 4, 3, groups=4), (9, 9, (1, 3, 3, 4))),
    "transposed": (nn.ConvTranspose2d(4, 6, 3), (36, 54, (4, 3, 3, 6))),
    "transposed, grouped": (nn.ConvTranspose1d(4, 6, 5, groups=2), (10, 15, (2, 5, 6))),
}


@pytest.mark.parametrize("name", LAYERS)
def test_weights_are_drawn_with_the_fans_of_one_groups_receptive_field(name: str) -> None:
    layer, asked = LAYERS[name]
    init = Fans()
    draw_weights(layer, init, np.random.default_rng(0))
    assert init.asked == [asked]
    assert layer.bias.tolist() == [asked[0]] * len(layer.bias)
    # column j of the matrix are the weights of output j, whatever the layout of torch's kernel
    units = asked[2][-1]
    values = np.arange(np.prod(asked[2]), dtype=np.float32).reshape(-1, units)
    groups = getattr(layer, "groups", 1)
    for unit in range(units):
        weight = layer.weight.detach()
        if getattr(layer, "transposed", False):
            group, inputs = unit // (units // groups), len(weight) // groups
            own = weight[group * inputs : (group + 1) * inputs, unit % (units // groups)]
        else:
            own = weight[unit]
        assert own.flatten().tolist() == values[:, unit].tolist()


@pytest.mark.parametrize("init", [He(), Glorot(), TorchDefault()])
def test_initializers_draw_every_linear_layer_and_convolution(init: Initializer) -> None:
    net, again = Net(), Net()
    changes = draw_weights(net, init, np.random.default_rng(0))
    assert changes[0] == "body.0: weights drawn with fan in 18, fan out 36" and len(changes) == 3
    draw_weights(again, init, np.random.default_rng(0))
    for key, weight in net.state_dict().items():
        assert torch.equal(weight, again.state_dict()[key]), key


def test_torchs_own_initializer_has_the_variance_of_torchs_layers() -> None:
    layer = nn.Conv2d(16, 64, 5)
    own = layer.weight.std().item()
    draw_weights(layer, TorchDefault(), np.random.default_rng(0))
    assert abs(layer.weight.std().item() / own - 1) < 0.02


def test_a_parametrized_weight_is_drawn_through_its_parts() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(5, 7))
    init = Fans()
    draw_weights(layer, init, np.random.default_rng(0))
    torch.testing.assert_close(layer.weight, torch.arange(35.0).view(5, 7).T)


def test_where_no_weights_can_be_drawn_the_error_says_what_is_there() -> None:
    with pytest.raises(InputError, match=r"^Sequential has no nn\.Linear or nn\.Conv, only Embedding, GRU: use these"):
        draw_weights(nn.Sequential(nn.Embedding(3, 4), nn.GRU(4, 4)), He(), np.random.default_rng(0))


# ---- as part of a spec


def test_a_spec_has_surgery_done_on_each_members_module() -> None:
    def surgery(module: nn.Module, rng: np.random.Generator) -> list[str]:
        return replace_activations(module, nn.Tanh) + draw_weights(module, He(), rng)

    spec = ModuleSpec("net", lambda: nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 3)), (5,), surgery=surgery)
    assert spec.changes[0] == "1: ReLU() → Tanh()" and len(spec.changes) == 3
    states = [spec.initial_state(np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert np.array_equal(states[0]["2.weight"], states[1]["2.weight"])
    assert not np.array_equal(states[0]["2.weight"], states[2]["2.weight"])
    assert not states[0]["0.bias"].any()  # as He leaves them


def test_what_cannot_be_reached_is_listed() -> None:
    first = Functional.forward.__code__.co_firstlineno
    assert unreachable(Functional()) == [
        f"Functional calls F.relu (test_surgery.py, line {first + 1})",
        f"Functional calls torch.nn.functional.dropout (test_surgery.py, line {first + 2})",
        f"Functional calls h.tanh (test_surgery.py, line {first + 3})",
        "norm: LayerNorm stays",
    ]
    assert unreachable(Net()) == []
    assert unreachable(Recurrent(), "activation") == ["rnn: the gates of LSTM stay"]
    assert unreachable(transformer(), "activation", "dropout") == []  # torch's own source is not the user's
