"""Transfer of convolutional and residual networks and of modules: against the whole network with its lower weights
held, bit for bit alone and in a population, and the errors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, Dataset
from dnntrain.engine.batches import BatchSource
from dnntrain.engine.loop import train_population
from dnntrain.engine.network import initial_state, initialize, layer_specs, network_settings
from dnntrain.engine.splits import splits_of
from dnntrain.errors import InputError
from dnntrain.nn.gradients import densify
from dnntrain.nn.layer import ForwardContext
from dnntrain.store.checkpoint import Checkpoint
from dnntrain.store.run_store import RunStore
from dnntrain.studies.build import TransferDesign, plan_transfer
from dnntrain.techniques.dropout import DropoutSpec
from dnntrain.transfer_learning.backbone import unfrozen_count
from dnntrain.transfer_learning.evaluation import evaluate_record
from dnntrain.transfer_learning.image_backbone import ImageBackbone
from dnntrain.transfer_learning.module_backbone import ModuleBackbone
from dnntrain.transfer_learning.resolve import run_backbone
from dnntrain.transfer_learning.run_backbone import RunBackbone
from dnntrain.transfer_learning.stages import train_transfer
from tests.engine.test_bit_for_bit import assert_same
from tests.support.command import error_of, succeeds
from tests.support.cut_modules import sequential

CODE = "tests/support/cut_modules.py"
QUICK: dict[str, Any] = {"batch_size": 20, "val": 60, "epochs": 2, "lr": 0.05, "train_size": 53}
NETWORKS: dict[str, dict[str, Any]] = {
    "cnn": {"net": "cnn:channels=4/6", "hidden": "8,5", "bn": True},
    "resnet": {"net": "resnet:blocks=1/2,width=4", "bn": True},
    "preact": {"net": "resnet:blocks=1/1,width=4,preact=true,shortcut=projection", "bn": True, "hidden": "6"},
    "group norm": {"net": "cnn:channels=4/6", "hidden": "8", "group_norm": 2, "act": "maxout"},
    "drop path": {
        "net": "resnet:blocks=1/1,width=4",
        "rms_norm": True,
        "drop_path": 0.4,
        "dropout": 0.2,
        "dropout_where": "conv",
    },
    "sequential": {"net": f"module:{CODE}:sequential"},
    "declared": {"net": f"module:{CODE}:Declared"},
}
LAYERS = {"cnn": 4, "resnet": 4, "preact": 4, "group norm": 3, "drop path": 3, "sequential": 2, "declared": 2}
"""How many layers of each network can be reused."""


@pytest.fixture(scope="module")
def images(mini: Dataset) -> Dataset:
    """Images of 8 × 8 pixels."""
    train, test = (np.ascontiguousarray(part[:, 2:26:3, 2:26:3]) for part in (mini.train_inputs, mini.test_inputs))
    return replace(
        mini,
        train_inputs=train[:200],
        train_targets=mini.train_targets[:200],
        test_inputs=test[:80],
        test_targets=mini.test_targets[:80],
    )


def spec(network: str, **settings: Any) -> RunSpec:
    return RunSpec.parse(QUICK | NETWORKS.get(network, {"net": f"module:{CODE}:{network}"}) | settings)


def as_backbone(one: RunSpec, data: Dataset) -> RunBackbone:
    [run] = train_population([one], data)
    return backbone_of(one, run.weights, data)


def backbone_of(one: RunSpec, weights: Mapping[str, np.ndarray], data: Dataset) -> RunBackbone:
    kind = ModuleBackbone if one.net.name == "module" else RunBackbone
    return kind("0123456789ab", one, weights, data.shape, data.classes, data.kind, data.n_tokens)


@pytest.fixture(scope="module")
def backbones(images: Dataset) -> dict[str, RunBackbone]:
    return {network: as_backbone(spec(network, seed=7), images) for network in NETWORKS}


def reusing(network: str, **settings: Any) -> RunSpec:
    return spec(network, **{"reuse_from": "0123456789ab", "scale": "auto"} | settings)


def check(backbone: RunBackbone, one: RunSpec) -> None:
    backbone = backbone.for_run(one)
    backbone.check(one, backbone.info)
    unfrozen_count(one, backbone)


CUTS = [(network, frozen) for network, count in LAYERS.items() for frozen in range(1, count + 1)]


@pytest.mark.parametrize(("network", "frozen"), CUTS)
def test_features_and_trained_layers_are_the_whole_network(
    network: str, frozen: int, backbones: dict[str, RunBackbone], images: Dataset
) -> None:
    """With the weights that it ends with, the whole network predicts what the run recorded; and the gradients of the
    trained layers, and so their first step, are those of the whole network with its lower weights loaded.
    """
    backbone, one = backbones[network], reusing(network, transfer_layers=frozen, epochs=1, batch_size=53)
    check(backbone, one)
    [run] = train_transfer([one], images, backbone)
    lower = backbone.weights(0, frozen)
    for name, value in lower.items():
        np.testing.assert_array_equal(run.weights[name], value, name)
    outputs = whole_outputs(one, run.weights, images)
    accuracy = float(np.mean(outputs.argmax(1) == images.test_targets))
    assert accuracy == pytest.approx(run.test["test_acc"], abs=1e-6)
    assert run.predictions is not None
    np.testing.assert_allclose(run.predictions.outputs["test"], outputs, rtol=1e-4, atol=1e-5)


def whole_outputs(one: RunSpec, weights: Mapping[str, np.ndarray], data: Dataset) -> np.ndarray:
    """What the whole network predicts for the test examples."""
    network = initialize([one], [layer_specs(one, data.outline)], torch.device("cpu"), [weights])
    inputs = BatchSource(data, [one], torch.device("cpu"))
    with torch.no_grad():
        return np.concatenate(
            [network.forward(b.x, ForwardContext(b.real))[0, : b.real].numpy() for b in inputs.test()]
        )


def batch_of(one: RunSpec, data: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    """The training examples (rows, 8, 8), scaled, and their classes; one mini-batch has them all."""
    [(rows, _)] = splits_of(data, [one])
    return torch.from_numpy(data.train_inputs[rows]).float() / 255, torch.from_numpy(data.train_targets[rows])


@pytest.mark.parametrize(("network", "frozen"), [("cnn", 1), ("cnn", 3), ("resnet", 1), ("resnet", 3)])
def test_training_is_that_of_the_whole_network_whose_lower_weights_are_held(
    network: str, frozen: int, images: Dataset
) -> None:
    backbone = as_backbone(spec(network, bn=False, seed=7), images)
    one = reusing(network, bn=False, transfer_layers=frozen, batch_size=53, lr=0.1)
    [run] = train_transfer([one], images, backbone)
    lower = backbone.weights(0, frozen)
    features = backbone.features(images, one, frozen, np.arange(9), torch.device("cpu")).dataset
    upper = initial_state(backbone.trained_layers(one, frozen, features.outline), one.seed)
    whole = initialize([one], [layer_specs(one, images.outline)], torch.device("cpu"), [lower | upper])
    x, y = batch_of(one, images)
    with torch.no_grad():
        for _ in range(one.epochs):
            outputs = whole.forward(x.flatten(1)[None], ForwardContext(training=True))
            grads = whole.backward((outputs.softmax(-1) - torch.nn.functional.one_hot(y, 10)) / len(y))
            for name in upper:
                whole.parameters[name] -= 0.1 * densify(grads[name])
    assert run.weights.keys() == lower.keys() | upper.keys()
    for name, value in run.weights.items():
        np.testing.assert_allclose(value, whole.parameters[name][0].numpy(), rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("network", ["sequential", "Undeclared"])
def test_a_modules_frozen_part_is_held_in_test_mode(network: str, images: Dataset) -> None:
    """Against torch's own optimizer. The module without blocks freezes its stem by name."""
    backbone = as_backbone(spec(network, dropout=0.0, seed=7), images)
    stages = {"transfer_layers": 1} if network == "sequential" else {"freeze_parameters": "stem.*"}
    one = reusing(network, dropout=0.0, batch_size=53, lr=0.1, **stages)
    [run] = train_transfer([one], images, backbone)
    first = train_transfer([one.changed(epochs=1, lr=1e-30)], images, backbone)[0].weights  # where it starts from
    module = sequential(10, 1)
    stem, body, head = module
    places = dict(zip("012", ("0", "1", "2") if network == "sequential" else ("stem", "body", "head"), strict=True))
    keys = {name: f"net.{places[name[0]]}{name[1:]}" for name in module.state_dict()}
    module.load_state_dict({name: torch.from_numpy(first[key]) for name, key in keys.items()})
    stem.eval()
    x, y = batch_of(one, images)
    optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.1)
    for _ in range(one.epochs):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(head(body[:2](stem(x[:, None]))), y).backward()
        optimizer.step()
    assert {name for name in run.weights if np.array_equal(run.weights[name], backbone.state[name])} == {
        key for name, key in keys.items() if name.startswith("0.")
    }
    for name, tensor in module.state_dict().items():
        np.testing.assert_allclose(run.weights[keys[name]], tensor.numpy(), rtol=1e-4, atol=1e-5, err_msg=name)


STAGES: dict[str, dict[str, Any]] = {
    "frozen": {},
    "then one": {"freeze_epochs": 2, "unfreeze_layers": 1, "unfreeze_lr": 0.01},
    "all at once": {"freeze_epochs": 0, "unfreeze_layers": "all"},
}


@pytest.mark.parametrize("stages", STAGES.values(), ids=STAGES)
@pytest.mark.parametrize("network", NETWORKS)
def test_a_run_is_the_same_alone_in_company_and_resumed(
    network: str, stages: dict[str, Any], backbones: dict[str, RunBackbone], images: Dataset
) -> None:
    unfrozen = {"frozen": 0, "then one": 1, "all at once": LAYERS[network]}
    count = unfrozen[next(name for name, value in STAGES.items() if value == stages)]
    settings = stages if network in ("sequential", "declared") else stages | {"dropout": 0.2, "dropout_where": "last1"}
    kept: list[Checkpoint] = []
    member = reusing(network, seed=2, epochs=4, **settings)
    check(backbones[network], member)
    others = [member.changed(seed=3), member.changed(seed=4, epochs=3), member.changed(seed=5, lr=0.3)]
    [alone] = train_transfer(
        [member], images, backbones[network], on_epoch=lambda _, take: kept.extend(take().values())
    )
    assert_same(alone, train_transfer([others[0], member, *others[1:]], images, backbones[network])[1])
    assert {len(each.earlier) + len(each.history) for each in kept} == ({1, 3} if count == 1 else {1, 2, 3})
    for checkpoint in kept:
        [again] = train_transfer([member], images, backbones[network], checkpoints=[checkpoint])
        assert_same(again, alone)
    held = backbones[network].weights(0, LAYERS[network] - count)
    same = {name for name, value in alone.weights.items() if np.array_equal(value, backbones[network].state[name])}
    assert same >= held.keys() and not any(
        name in same for name in alone.weights.keys() - held.keys() if "weight" in name
    )


def test_frozen_layers_have_no_figures(backbones: dict[str, RunBackbone], images: Dataset) -> None:
    """The residual network has 8 weights below those of block 3 and the output layer, and 4 activations."""
    one = reusing("resnet", epochs=2, freeze_epochs=1, unfreeze_layers=1)
    [run] = train_transfer([one], images, backbones["resnet"])
    names = [name for name in run.weights if name.endswith("kernel")]
    assert len(names) == 8
    frozen, thawed = (np.isnan(row["grad_norm"]) for row in run.history)
    assert frozen.tolist() == [True] * 7 + [False] and thawed.tolist() == [True] * 5 + [False] * 3
    assert np.isnan(run.history[0]["act_mean"]).tolist() == [True] * 7
    assert np.isnan(run.history[1]["act_mean"]).tolist() == [True] * 5 + [False] * 2


def test_frozen_parameters_have_no_figures_wherever_they_are(images: Dataset) -> None:
    backbone = as_backbone(spec("Undeclared", seed=7), images)
    [run] = train_transfer(
        [reusing("Undeclared", freeze_parameters="body.*", freeze_epochs=1, unfreeze_layers="all")], images, backbone
    )
    assert [np.isnan(row["update_ratio"]).tolist() for row in run.history] == [[False, True, False], [False] * 3]


def test_above_the_cut_everything_may_differ(backbones: dict[str, RunBackbone], images: Dataset) -> None:
    """A deeper network with another head, without batch norm there, on two classes."""
    two = images.only("0,1")
    one = reusing("cnn", net="cnn:channels=4/6/3", hidden="7", transfer_layers=2, train_size=20, val=5)
    check(backbones["cnn"], one)
    [run] = train_transfer([one], two, backbones["cnn"])
    assert run.status == "finished" and run.weights["conv3.kernel"].shape == (3, 6, 3, 3)
    other = reusing("cnn", bn=False, bn_place="before", hidden="9", transfer_layers=2, train_size=20, val=5)
    check(backbones["cnn"], other)
    [run] = train_transfer([other], two, backbones["cnn"])
    assert "conv2.bn_scale" in run.weights and "hidden1.bn_scale" not in run.weights


@pytest.mark.parametrize("where", ["input", "input+conv"])
def test_dropout_of_inputs_is_on_the_features(where: str, backbones: dict[str, RunBackbone], images: Dataset) -> None:
    one = reusing("cnn", transfer_layers=1, dropout=0.3, dropout_where=where, dropout_spatial=True)
    features = backbones["cnn"].features(images, one, 1, np.arange(5), torch.device("cpu")).dataset
    assert features.shape == (4, 4, 4)
    reshape, dropout, *_ = backbones["cnn"].trained_layers(one, 1, features.outline)
    assert reshape.shape_out == dropout.shape_out == (4, 4, 4) and isinstance(dropout, DropoutSpec)


def test_maps_that_only_get_flat_or_averaged_are_kept_that_way(
    backbones: dict[str, RunBackbone], images: Dataset
) -> None:
    for network, frozen, shape in (("cnn", 2, (24,)), ("resnet", 4, (8,)), ("preact", 3, (8, 4, 4))):
        features = backbones[network].features(images, reusing(network), frozen, np.arange(5), torch.device("cpu"))
        assert features.dataset.shape == shape


def test_standard_scaling_is_that_of_the_base(images: Dataset) -> None:
    for network in ("cnn", "sequential"):
        base = as_backbone(spec(network, scale="standard", seed=7), images)
        one = reusing(network, scale="standard", freeze_epochs=1, unfreeze_layers="all")
        [run] = train_transfer([one], images, base)
        assert "input.offset" in run.weights
        x = (images.test_inputs.reshape(80, -1) - run.weights["input.offset"]) * run.weights["input.factor"]
        whole = initialize([one], [layer_specs(one, images.outline)], torch.device("cpu"), [run.weights])
        with torch.no_grad():
            outputs = whole.forward(torch.from_numpy(x).float()[None])[0].numpy()
        assert run.predictions is not None
        np.testing.assert_allclose(run.predictions.outputs["test"], outputs, rtol=1e-4, atol=1e-5)


DIFFERENT: dict[str, tuple[str, dict[str, Any], str]] = {
    "kind": ("cnn", {"net": "resnet:blocks=1/1", "hidden": "none"}, "net resnet:.* is of another kind, cnn"),
    "channels": ("cnn", {"net": "cnn:channels=4/5"}, "layer 2 of .* has .* conv2 with channels 6, not .* channels 5"),
    "kernel": ("cnn", {"net": "cnn:channels=4/6,kernel=5"}, "layer 1 of .* with kernel 3, not .* with kernel 5"),
    "pool": ("cnn", {"net": "cnn:channels=4/6,pool=none"}, "layer 1 of .* has pool conv1, not nothing more"),
    "act": ("cnn", {"act": "elu"}, "act elu: layer 1 of .* has relu"),
    "hidden": ("cnn", {"hidden": "9,5"}, "hidden 9,5: the lowest 2 of .* are 8,5"),
    "too few": ("cnn", {"hidden": "8"}, "has 3 layers, and 4 of .* are reused"),
    "bn": ("cnn", {"bn": False}, "layer 1 does not fit: conv1.bias, conv1.bn_"),
    "norm": ("drop path", {"rms_norm": False, "layer_norm": True}, "does not fit: conv1.layer_norm_scale, conv1.la"),
    "groups": ("group norm", {"group_norm": 4}, "layer 1 has the norm .*groups=2.*, not .*groups=4"),
    "pieces": ("group norm", {"act": "relu"}, "layer 1 of .* channels 8, not .* channels 4"),
    "shortcut": (
        "resnet",
        {"net": "resnet:blocks=1/2,width=4,shortcut=projection"},
        "layer 3 of .* has subsample .*, not convolution",
    ),
    "preact": ("resnet", {"net": "resnet:blocks=1/2,width=4,preact=true"}, "layer 1 of .* has activation conv1, not"),
    "width": (
        "sequential",
        {"net": f"module:{CODE}:sequential:width=5"},
        r"net.0.0.weight has shape \(5, 1, 3, 3\), in .* \(4, 1, 3, 3\)",
    ),
    "name": ("sequential", {"net": f"module:{CODE}:Declared"}, "is of another kind, module sequential"),
    "module act": ("sequential", {"act": "elu"}, "have 0.2: ReLU.*, not 0.2: ELU"),
    "by name": ("sequential", {"freeze_parameters": "0.*"}, "freeze_parameters: the layers of .* are counted"),
    "names of a cnn": ("cnn", {"freeze_parameters": "conv1*"}, "freeze_parameters: the layers of .* are counted"),
    "too many": ("resnet", {"transfer_layers": 5}, "transfer_layers 5: .* has 4 layers to reuse"),
}


@pytest.mark.parametrize(("network", "settings", "message"), DIFFERENT.values(), ids=DIFFERENT)
def test_other_layers_below_the_cut_are_refused(
    network: str, settings: dict[str, Any], message: str, backbones: dict[str, RunBackbone]
) -> None:
    with pytest.raises(InputError, match=message):
        check(backbones[network], reusing(network, **settings))


def test_a_network_is_not_cut_within_a_skip(images: Dataset) -> None:
    settings: dict[str, Any] = {"net": "mlp", "hidden": "6,6,6,6", "residual": True}
    base = as_backbone(RunSpec.parse(QUICK | settings), images)
    one = RunSpec.parse(QUICK | settings | {"reuse_from": base.name})
    check(base, one.changed(transfer_layers=3))
    [run] = train_transfer([one.changed(transfer_layers=3)], images, base)
    np.testing.assert_array_equal(run.weights["hidden2.kernel"], base.state["hidden2.kernel"])
    with pytest.raises(InputError, match="cannot be cut above layer 2, which a skip passes by"):
        check(base, one.changed(transfer_layers=2))
    with pytest.raises(InputError, match=r"layer 3 of .* has "):
        check(base, one.changed(residual_every=3))


BY_NAME: dict[str, tuple[dict[str, Any], str]] = {
    "nothing said": ({}, "has no parts to count .*; say by freeze_parameters what stays frozen, or train all of it"),
    "counted": ({"transfer_layers": 1}, "transfer_layers 1: .* has no parts to count"),
    "counted up": (
        {"freeze_parameters": "stem.*", "freeze_epochs": 1, "unfreeze_layers": 1},
        "unfreeze_layers 1: .* has no parts to count",
    ),
    "no such name": (
        {"freeze_parameters": "stem.*,boddy.*"},
        "boddy.*: matches no parameter of .*; did you mean|known:",
    ),
    "never frozen": (
        {"freeze_parameters": "stem.*", "freeze_epochs": 0, "unfreeze_layers": "all"},
        "freeze_epochs 0 freezes nothing",
    ),
    "new": ({"freeze_parameters": "head.*", "net": f"module:{CODE}:Undeclared:width=5"}, "head.1.weight is new"),
}


@pytest.mark.parametrize(("settings", "message"), BY_NAME.values(), ids=BY_NAME)
def test_a_module_without_parts_freezes_by_name_only(settings: dict[str, Any], message: str, images: Dataset) -> None:
    one = spec("Undeclared")
    weights = initial_state(layer_specs(one, images.outline), 0)
    with pytest.raises(InputError, match=message):
        check(backbone_of(one, weights, images), reusing("Undeclared", **settings))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("WrongOrder", "its blocks do not run one after the other"),
        ("LeavesOut", "body.0.bias, .* is not in exactly one of its parts stem, head"),
        ("Doubles", "its blocks stem, body, head one after the other give other outputs"),
    ],
)
def test_blocks_that_are_not_the_forward_pass_are_refused(name: str, message: str, images: Dataset) -> None:
    one = spec(name)
    weights = initial_state(layer_specs(one, images.outline), 0)
    with pytest.raises(InputError, match=message):
        check(backbone_of(one, weights, images), reusing(name))


def test_what_a_module_takes_and_what_is_new_is_said(images: Dataset, backbones: dict[str, RunBackbone]) -> None:
    """Two classes instead of ten: the last layer has another shape."""
    two = images.only("0,1")
    whole = as_backbone(spec("Undeclared", seed=7), images)
    one = reusing("Undeclared", freeze_parameters="stem.0.*", train_size=20, val=5)
    said = whole.for_run(one).notes(one, two.outline)
    assert said == [
        "9 of 11 tensors: from 0123456789ab; head.1.weight, head.1.bias: new",
        "2 of 8 parameters are frozen: stem.0.weight, stem.0.bias",
    ]
    [run] = train_transfer([one], two, whole)
    assert run.weights["net.head.1.weight"].shape == (2, 36)
    np.testing.assert_array_equal(run.weights["net.stem.0.weight"], whole.state["net.stem.0.weight"])
    assert not np.array_equal(run.weights["net.stem.1.weight"], whole.state["net.stem.1.weight"])
    parts = reusing("declared", transfer_layers=1)
    assert backbones["declared"].notes(parts, two.outline) == ["stem: from 0123456789ab; body, head: new"]


def test_an_embedding_is_reused(mini: Dataset) -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 9, (120, 5)).astype(np.int32)
    tokens[0] = 8
    data = replace(mini, train_inputs=tokens, train_targets=(tokens[:, 0] > 4).astype(np.int64), classes=("a", "b"),
                   test_inputs=tokens[:40], test_targets=(tokens[:40, 0] > 4).astype(np.int64))  # fmt: skip
    settings = QUICK | {"net": f"module:{CODE}:Embedded:tokens={{tokens}}"}
    base = as_backbone(RunSpec.parse(settings), data)
    one = RunSpec.parse(settings | {"reuse_from": base.name, "freeze_epochs": 1, "unfreeze_layers": 2})
    check(base, one)
    fewer = replace(data, train_inputs=tokens % 8, test_inputs=tokens[:40] % 8)
    [run] = train_transfer([one], fewer, base)
    assert run.weights["net.embed.weight"].shape == (9, 4)
    with pytest.raises(InputError, match="it knows 9 tokens, here are 10"):
        train_transfer([one], replace(data, train_inputs=tokens + 1), base)


def test_dense_layers_only_go_on_top_of_an_image_network(images: Dataset) -> None:
    one = spec("cnn", reuse_from="resnet18@0123")
    with pytest.raises(InputError, match="the layers on top of resnet18@0123 are dense: give --hidden"):
        ImageBackbone("resnet18@0123", DataLocation.at(None)).check(one, images.outline)


def test_edited_code_is_another_network(tmp_path: Path, images: Dataset) -> None:
    file = tmp_path / "net.py"
    file.write_text(Path(CODE).read_text())
    for width in (4, 5):
        file.write_text(file.read_text().replace("width: int = 4", f"width: int = {width}"))
        one = RunSpec.parse(QUICK | {"net": f"module:{file}:sequential"})
        weights = initial_state(layer_specs(one, images.outline), 0)
        assert weights["net.0.0.weight"].shape == (width, 1, 3, 3)
        settings = network_settings(one, images.outline)
        assert one.net.layers(settings, 1, 2)[0].shape_out == (width, 8, 8)


# The store and the command


def test_recorded_runs_are_evaluated_and_reused_again(tmp_path: Path, images: Dataset) -> None:
    store = RunStore(tmp_path)
    for number, network in enumerate(("resnet", "declared", "Undeclared")):
        first, second = f"{number}" * 12, f"{number + 5}" * 12
        one = spec(network, seed=7)
        [base] = train_population([one], images)
        store.write(base.to_record(first, images.description(), {}), base.weights)
        named = {"freeze_parameters": "stem.*"} if network == "Undeclared" else {}
        transferred = reusing(network, reuse_from=first, freeze_epochs=1, unfreeze_layers="all", **named)
        [run] = train_transfer([transferred], images, run_backbone(store.read(first), store))
        store.write(run.to_record(second, images.description(), {}), run.weights)
        predicted = evaluate_record(store.read(second), images, store, DataLocation.at(None))
        assert run.predictions is not None
        np.testing.assert_allclose(predicted.outputs["test"], run.predictions.outputs["test"], rtol=1e-5, atol=1e-6)
        again = run_backbone(store.read(second), store)
        assert again.kind == "images" and type(again) is (RunBackbone if network == "resnet" else ModuleBackbone)
        check(again, transferred.changed(reuse_from=second))


@pytest.mark.parametrize(
    ("network", "way", "arms"),
    [
        ("cnn", {"drop": 1, "head": "7,7"}, ["scratch", "transfer"]),
        ("cnn", {"strategies": True}, ["unfreeze 2", "drop 1", "drop 1 all", "drop 2", "replace 1", "add 1"]),
        ("cnn", {"strategies": True, "train_sizes": "20,40"}, ["scratch (20)", "frozen (40)", "add 1 all (40)"]),
        ("cnn", {"reuse_depths": "3,1"}, ["scratch", "reuse 1", "reuse 3"]),
        ("resnet", {"strategies": True}, ["frozen", "unfreeze 1", "unfreeze 2", "unfreeze all"]),
        ("resnet", {"head": "9"}, ["transfer"]),
        ("sequential", {"strategies": True}, ["frozen", "unfreeze 1", "unfreeze all"]),
        ("sequential", {"drop": 1}, ["transfer"]),
    ],
)
def test_studies_of_every_network(
    network: str, way: dict[str, Any], arms: list[str], backbones: dict[str, RunBackbone]
) -> None:
    study = plan_transfer(backbones[network], {"epochs": 5}, TransferDesign(**way), "x", None)
    assert {arm.name for arm in study.arms} >= {*arms}
    for arm in study.arms:
        if arm.spec.reuse_from:
            check(backbones[network], arm.spec)


@pytest.mark.parametrize(
    ("network", "way", "settings", "message"),
    [
        ("cnn", {"drop": 3}, {}, "drop 3: .* has 2 hidden dense layers; only these can be left out"),
        ("resnet", {"drop": 1}, {}, "drop 1: .* has 0 hidden dense layers"),
        ("resnet", {}, {"net": "cnn"}, "net: the network is that of"),
        ("sequential", {"head": "9"}, {}, "head: .* is your own module"),
        ("sequential", {"drop": 2}, {}, "drop 2: 2 parts of .* one must be left"),
    ],
)
def test_studies_that_make_no_sense_are_refused(
    network: str, way: dict[str, Any], settings: dict[str, Any], message: str, backbones: dict[str, RunBackbone]
) -> None:
    with pytest.raises(InputError, match=message):
        plan_transfer(backbones[network], settings, TransferDesign(**way), "x", None)


def test_the_command_says_what_it_takes(tmp_path: Path) -> None:
    code = Path(CODE).resolve()
    data = ("--data", "fashion-mini", "--train-size", "40", "--val", "100")
    succeeds("train", *data, "--epochs", "1", "--net", f"module:{code}:Lazy", cwd=tmp_path)
    [record] = (tmp_path / "runs" / "store").glob("*/run.json")
    words = ("transfer", "--from", record.parent.name, "--classes", "sandal,shirt", *data)
    assert "transfer: stem, body: from" in succeeds(*words, "--plan", cwd=tmp_path, COLUMNS="200")
    assert "your own module" in error_of(*words, "--head", "9", cwd=tmp_path)
    succeeds(*words, "--epochs", "2", "--unfreeze-layers", "1", "--name", "pair", cwd=tmp_path)
    notes = [json.loads(path.read_text())["data"]["notes"] for path in (tmp_path / "runs" / "store").glob("*/run.json")]
    assert any("stem, body: from" in note for each in notes for note in each)
