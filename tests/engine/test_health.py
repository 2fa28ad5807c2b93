"""Health of every network: what the layers are called, what counts as a unit, and what cannot be judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.health import diagnose
from dnntrain.engine.loop import train_population
from dnntrain.engine.probe import ACTIVATION_FIGURES, FIGURES, OUTPUT_FIGURES, Probe, RunProbes, dead_share
from dnntrain.engine.run import Run
from dnntrain.nn.modules.activations import observing, unobserved_activations
from dnntrain.store.records import LayerNames, health_state
from dnntrain.techniques import CATALOGUE
from tests.engine.test_networks import small_images  # noqa: F401  # a fixture
from tests.support.catalogue import SMALL_NETWORKS
from tests.support.small_network import SmallNetwork

SETTINGS = {"batch_size": 20, "val": 70, "epochs": 2, "lr": 0.05, "train_size": 60}
OWN = "module:tests/bench/health_modules.py:"


def trained(data: Dataset, seeds: int = 1, **settings: Any) -> list[Run]:
    return train_population([RunSpec.parse(SETTINGS | settings | {"seed": seed}) for seed in range(seeds)], data)


# ---- names


@pytest.mark.parametrize(
    ("settings", "weights", "activations"),
    [
        (SMALL_NETWORKS["mlp"], "1 2 3 4 output", "1 2 3 4"),
        (SMALL_NETWORKS["mlp"] | {"residual": True}, "1 2 3 4 output", "1 2 3 4"),
        (SMALL_NETWORKS["mlp"] | {"residual": True, "drop_path": 0.2}, "1 2 3 4 output", "1 2 3 4"),
        (SMALL_NETWORKS["cnn"], "conv1 conv2 hidden1 output", "conv1 conv2 hidden1"),
        (
            SMALL_NETWORKS["cnn"] | {"act": "maxout", "layer_norm": True},
            "conv1 conv2 hidden1 output",
            "conv1 conv2 hidden1",
        ),
        (
            SMALL_NETWORKS["module"] | {"act": "relu2"},
            "net.features.0 net.attention.in_proj_weight net.attention.out_proj net.head",
            "net.features.2",
        ),
        (
            {"net": "resnet:blocks=1/1,width=4,shortcut=projection"},
            "conv1 stage1.block1.conv1 stage1.block1.conv2 stage2.block1.conv1 stage2.block1.conv2 "
            "stage2.block1.shortcut output",
            "conv1 stage1.block1.conv1 stage1.block1.conv2 stage2.block1.conv1 stage2.block1.conv2",
        ),
        (
            SMALL_NETWORKS["module"],
            "net.features.0 net.attention.in_proj_weight net.attention.out_proj net.head",
            "net.features.2",
        ),
        ({"net": OWN + "Recurrent:size=8"}, "net.cells.weight_ih_l0 net.cells.weight_hh_l0 net.head", ""),
    ],
)
def test_figures_have_the_names_of_their_layers(
    settings: dict[str, Any],
    weights: str,
    activations: str,
    small_images: Dataset,  # noqa: F811
) -> None:
    [run] = trained(small_images, **settings)
    assert run.layers.weights == weights.split() and run.layers.activations == activations.split()
    for row in run.history:
        lengths = {name: len(row[name]) for name in FIGURES}
        n_weights, n_activations = len(weights.split()), len(activations.split())
        assert lengths == {name: n_activations if name in ACTIVATION_FIGURES else n_weights for name in FIGURES}


@pytest.mark.parametrize(("value", "share"), [(6.0, 1.0), (5.8, 1.0), (5.6, 0.0), (0.0, 0.0)])
def test_relu6_saturates_at_6_and_is_dead_at_0(value: float, share: float) -> None:
    probe = Probe(2, torch.device("cpu"))
    probe.activation("1", torch.full((2, 8, 3), value), CATALOGUE["relu6"].asymptotes)  # type: ignore[attr-defined]
    figures = dict(zip(OUTPUT_FIGURES, probe.observed["1"], strict=True))
    assert figures["saturated"].tolist() == [share, share]
    assert figures["dead"].tolist() == [float(value == 0)] * 2


@pytest.mark.parametrize("network", SMALL_NETWORKS)
def test_a_run_has_the_same_figures_alone_and_in_company(network: str, small_images: Dataset) -> None:  # noqa: F811
    [alone] = trained(small_images, **SMALL_NETWORKS[network])
    first, _ = trained(small_images, seeds=2, **SMALL_NETWORKS[network])
    assert repr(first.history) == repr(alone.history) and first.layers == alone.layers


def row(epoch: int = 1, **figures: list[float]) -> dict[str, Any]:
    healthy = {"grad_norm": [1.0] * 3, "grad_max": [1.0] * 3, "dead": [0.0] * 2, "saturated": [0.0] * 2}
    return {"epoch": epoch} | healthy | figures


@pytest.mark.parametrize(
    ("history", "status", "diagnosis"),
    [
        ([row()], "finished", "healthy"),
        ([row(grad_norm=[1, 1e-3, 1])], "finished", "vanishing (layer conv2, epoch 1)"),
        ([row(), row(2, grad_norm=[1, 1e3, 1])], "finished", "exploding (layer conv2, epoch 2)"),
        ([row(dead=[0.1, 0.9], saturated=[0.9, 0.1])], "finished", "dead units (layer sum, epoch 1)"),
        ([row(saturated=[0.1, 0.9])], "finished", "saturated (layer sum, epoch 1)"),
        ([row(grad_norm=[1, 0, 1]), row(2)], "finished", "healthy"),  # what starts at 0 and grows
        ([row(grad_norm=[np.nan, 1, 1])], "finished", "healthy"),  # a frozen layer
    ],
)
def test_a_diagnosis_names_the_weight_or_the_activation(
    history: list[dict[str, Any]], status: str, diagnosis: str
) -> None:
    names = LayerNames(weights=["conv1", "conv2", "output"], activations=["conv1", "sum"])
    assert str(diagnose(history, status, names)) == diagnosis


@pytest.mark.parametrize(
    ("norms", "diagnosis"),
    [
        ([[1, 1, 1], [1, 5, 2], [3, 400, 90]], "exploding (layer conv2, epoch 1)"),
        ([[np.nan, 1, 1], [np.nan, 200, 300]], "exploding (layer output, epoch 1)"),  # a frozen layer
        ([[1, 900, 1]], "exploding (layer conv2, epoch 1)"),  # the only finite step, with large first weights
        ([[1, 1, 1], [1, 3, 2]], "diverged (gradients finite until step 1,204)"),
        ([[1, 300, 1], [1, 120, 1]], "diverged (gradients finite until step 1,204)"),  # calms down
        ([], "diverged (gradients finite until step 1,204)"),
    ],
)
def test_a_diverged_run_exploded_only_if_its_finite_gradients_show_that(
    norms: list[list[float]], diagnosis: str
) -> None:
    probes = RunProbes(last=[{"step": n, "grad_norm": norm} for n, norm in enumerate(norms, 1)], finite_steps=1204)
    names = LayerNames(weights=["conv1", "conv2", "output"], activations=["conv1", "sum"])
    assert str(diagnose([row(grad_norm=[np.nan] * 3)], "diverged", names, probes)) == diagnosis
    assert health_state(diagnosis) in ("exploding", "diverged")


@pytest.mark.parametrize(("act", "diagnosis"), [("sigmoid", "vanishing (layer conv1, epoch 1)"), ("elu", "healthy")])
def test_gradients_vanish_below_many_convolutions(act: str, diagnosis: str, small_images: Dataset) -> None:  # noqa: F811
    [run] = trained(small_images, net="cnn:channels=4/4,blocks=4,pool=none", hidden="none", act=act)
    assert str(diagnose(run.history, run.status, run.layers)) == diagnosis


# ---- units


def test_a_unit_of_maps_is_a_channel() -> None:
    maps = torch.zeros(2, 5, 4, 3, 3)  # two members, five rows, four channels
    maps[0, :, :2] = 1.0
    maps[1, 4, 3, 2, 2] = -0.1  # one pixel of one row is enough
    assert dead_share(maps).tolist() == [0.5, 0.75]


def test_a_unit_of_a_sequence_is_a_feature_or_a_channel() -> None:
    sequence = torch.zeros(2, 5, 6, 4)  # five rows of length 6
    sequence[0, :, :, 0] = sequence[1, :, :3] = 1.0
    assert dead_share(sequence).tolist() == [0.75, 0.5]


def test_the_figures_of_maps_are_over_all_real_elements() -> None:
    maps = torch.rand(2, 7, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    probe = Probe(2, torch.device("cpu"))
    probe.activation("conv1", maps.movedim(2, -1).contiguous().movedim(-1, 2)[:, :5], (0.0, 1.0))
    seen, real = probe.figures(), maps[:, :5].numpy().reshape(2, -1)
    assert seen["act_mean"][0] == pytest.approx(real.mean(1))
    assert seen["act_std"][0] == pytest.approx(real.std(1), rel=1e-5)
    assert seen["saturated"][0] == pytest.approx(((real < 0.05) | (real > 0.95)).mean(1))


# ---- modules


class Twice(nn.Module):
    """Calls one activation twice, and another one inside a list."""

    def __init__(self) -> None:
        super().__init__()
        self.below, self.act, self.rest = nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Sequential(nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rest(self.act(self.below(self.act(x))))


class Hidden(nn.Sequential):
    """Activates by a function."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(super().forward(x))


def test_activation_modules_are_seen_at_each_call() -> None:
    module, seen = Twice(), {}

    def observe(name: str, h: torch.Tensor, asymptotes: tuple[float, ...]) -> None:
        seen[name] = h.clone(), asymptotes

    x = torch.randn(6, 4)
    with torch.no_grad(), observing(module, "net", observe):
        outputs = module(x.clone())
    assert list(seen) == ["net.act", "net.act[2]", "net.rest.0"]
    torch.testing.assert_close(seen["net.act"][0], x.relu()[None])
    torch.testing.assert_close(seen["net.rest.0"], (outputs[None], (-1.0, 1.0)))
    module(x)
    assert len(seen) == 3 and not any(part._forward_hooks for part in module.modules())


@pytest.mark.parametrize(
    ("module", "found"),
    [
        (SmallNetwork(10, 1), []),
        (Twice(), []),
        (Hidden(nn.Linear(4, 4), nn.ReLU()), ["Hidden calls nn.functional.relu (test_health.py, line"]),
        (nn.Sequential(nn.LSTM(4, 4), nn.ReLU()), ["0: the gates of LSTM"]),
        (nn.Sequential(nn.TransformerEncoderLayer(4, 2, 8)), ["0: ReLU() is a function"]),
        (nn.Sequential(nn.TransformerEncoderLayer(4, 2, 8, activation=nn.GELU())), []),
        (nn.Sequential(nn.Linear(4, 4)), ["Sequential has no activation modules"]),
    ],
)
def test_what_a_module_does_not_show_is_listed(module: nn.Module, found: list[str]) -> None:
    unobserved = unobserved_activations(module)
    assert len(unobserved) == len(found)
    assert all(text.startswith(start) for text, start in zip(unobserved, found, strict=True))


def test_a_module_that_hides_its_activations_is_not_called_healthy(small_images: Dataset) -> None:  # noqa: F811
    [run] = trained(small_images, net=OWN + "Functional:width=4")
    record = run.to_record("f" * 12, small_images.description(), {})
    assert record.health == "healthy (activations not judged)"
    assert record.layers.activations == [] and record.history[0]["dead"] == []


# ---- residual blocks that start as their shortcut


@pytest.mark.parametrize("settings", [
    {"bn": True}, {"bn": True, "bn_place": "after"}, {}, {"preact": True, "bn": True}, {"preact": True},
    {"shortcut": "projection", "bn": True},
])  # fmt: skip
def test_blocks_that_start_as_their_shortcut_soon_learn(settings: dict[str, Any], small_images: Dataset) -> None:  # noqa: F811
    own = {key: str(settings.pop(key)).lower() for key in ("preact", "shortcut") if key in settings}
    net = ",".join(["resnet:blocks=2/1,width=4,zero_init=true", *(f"{key}={value}" for key, value in own.items())])
    [run] = trained(small_images, net=net, epochs=3, optimizer="adam", lr=0.01, **settings)
    assert min(run.history[-1]["grad_norm"]) > 0
    assert max(run.history[-1]["dead"]) < 1
    assert "vanishing" not in str(diagnose(run.history, run.status, run.layers))
