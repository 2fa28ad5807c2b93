"""Transfer: stages over frozen features against the whole network by hand, what is kept bit for bit, the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.batches import BatchSource
from dnntrain.engine.loop import train_population
from dnntrain.engine.network import tensor_names
from dnntrain.engine.splits import splits_of
from dnntrain.errors import InputError
from dnntrain.store.checkpoint import Checkpoint
from dnntrain.store.run_store import RunStore
from dnntrain.studies.build import TransferDesign, plan_transfer
from dnntrain.transfer_learning.backbone import unfrozen_count
from dnntrain.transfer_learning.resolve import count_overlap, run_backbone
from dnntrain.transfer_learning.run_backbone import RunBackbone
from dnntrain.transfer_learning.stages import train_transfer
from tests.engine.test_bit_for_bit import assert_same
from tests.support.command import error_of, succeeds
from tests.support.networks import data_info

QUICK: dict[str, Any] = {"hidden": "20,16,12", "train_size": 400, "val": 400, "epochs": 3, "act": "selu"}


def spec(**settings: Any) -> RunSpec:
    return RunSpec.parse(QUICK | settings)


@pytest.fixture(scope="module")
def base(mini: Dataset) -> RunBackbone:
    return as_base(spec(seed=7, bn=True, bn_place="after"), mini)


def as_base(settings: RunSpec, data: Dataset) -> RunBackbone:
    [run] = train_population([settings], data)
    return RunBackbone("0123456789ab", settings, run.weights, data.shape, data.classes)


def reusing(**settings: Any) -> RunSpec:
    return spec(**{"reuse_from": "0123456789ab", "bn": True, "bn_place": "after", "lr": 0.05} | settings)


def test_frozen_layers_are_what_they_were_and_the_rest_is_not(base: RunBackbone, mini: Dataset) -> None:
    runs = train_transfer([reusing(seed=s, transfer_layers=2) for s in (0, 1)], mini, base)
    for run in runs:
        assert run.status == "finished" and len(run.history) == 3
        for name, value in base.state.items():
            same = np.array_equal(value, run.weights[name])
            assert same == name.startswith(("hidden1.", "hidden2.")), name


def test_a_stage_unfrozen_with_rate_0_changes_nothing(base: RunBackbone, mini: Dataset) -> None:
    [frozen] = train_transfer([reusing(epochs=2)], mini, base)
    [thawed] = train_transfer([reusing(epochs=4, freeze_epochs=2, unfreeze_layers=2, unfreeze_lr=0)], mini, base)
    assert thawed.weights.keys() == frozen.weights.keys()
    for name, value in frozen.weights.items():
        if not name.endswith((".bn_mean", ".bn_variance")):  # averages follow the data, whatever the rate
            np.testing.assert_array_equal(value, thawed.weights[name], name)


def test_the_output_layer_is_the_runs_own(base: RunBackbone, mini: Dataset) -> None:
    """A base with a unit for each of ten classes, under one sigmoid for two."""
    two = mini.only("5,6")
    one = reusing(output="sigmoid", train_size=40, freeze_epochs=1, unfreeze_layers=1)
    base.check(one, two.outline)
    [run] = train_transfer([one], two, base)
    assert run.weights["output.kernel"].shape == (12, 1) and run.test["test_acc"] > 0.5


def test_what_is_unfrozen_is_trained_and_what_is_below_is_not(base: RunBackbone, mini: Dataset) -> None:
    [run] = train_transfer([reusing(epochs=4, freeze_epochs=2, unfreeze_layers=1, unfreeze_lr=0.01)], mini, base)
    changed = {name.split(".")[0] for name, value in base.state.items() if not np.array_equal(value, run.weights[name])}
    assert changed == {"hidden3", "output"}
    assert [row["epoch"] for row in run.history] == [1, 2, 3, 4]
    assert np.isnan(run.history[0]["grad_norm"][:3]).all() and np.isfinite(run.history[0]["grad_norm"][3])
    assert np.isfinite(run.history[3]["grad_norm"][2:]).all()
    start, steps = run.probes.start, [figures["step"] for figures in run.probes.last]
    assert np.isnan(start["sensitivity"]).tolist() == np.isnan(run.history[0]["grad_norm"]).tolist()
    assert len(start["slope"]) == len(run.layers.activations) and steps == sorted({*steps})
    assert steps[-1] == run.probes.finite_steps and run.probes.last[-1]["epoch"] == 4


def test_cached_features_give_the_whole_networks_predictions(base: RunBackbone, mini: Dataset) -> None:
    [run] = train_transfer([reusing(epochs=4, freeze_epochs=2, unfreeze_layers="all")], mini, base)
    w = {name: torch.from_numpy(value) for name, value in run.weights.items()}
    x = torch.from_numpy(mini.test_inputs.reshape(2000, -1)).float() / 255
    for layer in ("hidden1", "hidden2", "hidden3"):
        x = torch.selu(x @ w[f"{layer}.kernel"] + w[f"{layer}.bias"])
        x = (x - w[f"{layer}.bn_mean"]) / torch.sqrt(w[f"{layer}.bn_variance"] + 1e-5)
        x = x * w[f"{layer}.bn_scale"] + w[f"{layer}.bn_shift"]
    predicted = (x @ w["output.kernel"] + w["output.bias"]).argmax(dim=1).numpy()
    assert np.mean(predicted == mini.test_targets) == pytest.approx(run.test["test_acc"], abs=1e-3)


@pytest.mark.parametrize(
    "settings", [{}, {"freeze_epochs": 1, "unfreeze_layers": 1}, {"freeze_epochs": 0, "unfreeze_layers": "all"}]
)
def test_a_run_is_the_same_in_any_population(settings: dict[str, Any], base: RunBackbone, mini: Dataset) -> None:
    together = train_transfer([reusing(seed=seed, **settings) for seed in range(4)], mini, base)
    [alone] = train_transfer([reusing(seed=2, **settings)], mini, base)
    assert alone.test == together[2].test
    for name, value in alone.weights.items():
        np.testing.assert_array_equal(value, together[2].weights[name], name)


WHOLE = ["input", "hidden1", "hidden2", "hidden3", "output"]


@pytest.mark.parametrize(("frozen", "named"), [(0, WHOLE), (2, ["input", *WHOLE[3:]]), (3, ["input", *WHOLE[4:]])])
def test_trained_layers_keep_their_names_and_dropout_of_inputs_is_on_what_enters_them(
    frozen: int, named: list[str], base: RunBackbone
) -> None:
    layers = base.trained_layers(reusing(dropout=0.1, dropout_where="input+hidden"), frozen, data_info(99, 10))
    assert list(dict.fromkeys(layer.name for layer in layers)) == named
    assert layers[0].shape_out == ((99,) if frozen else (784,))
    expected = [name for name in base.state if name.split(".")[0] in named]
    assert sorted(tensor_names(layers)) == sorted(expected)


def test_a_checkpoint_that_numbered_a_stages_layers_from_1_is_not_used(base: RunBackbone, mini: Dataset) -> None:
    """As older versions did: hidden3 of the stage was hidden1."""
    kept: dict[int, Checkpoint] = {}
    one = reusing(epochs=3, freeze_epochs=1, unfreeze_layers=1)
    [whole] = train_transfer([one], mini, base, on_epoch=lambda runs, take: kept.update(take()))
    assert kept[0].stage == 1 and "now.hidden3.kernel" in kept[0].tensors
    older = {name.replace("hidden3", "hidden1"): tensor for name, tensor in kept[0].tensors.items()}
    [again] = train_transfer([one], mini, base, checkpoints=[replace(kept[0], tensors=older)])
    assert_same(again, whole)


def test_all_unfrozen_from_the_start_is_the_base_trained_on(mini: Dataset) -> None:
    plain = spec(epochs=1)
    base = as_base(plain, mini)
    [run] = train_transfer(
        [plain.changed(reuse_from=base.name, freeze_epochs=0, unfreeze_layers="all", lr=0.01)], mini, base
    )
    assert not np.array_equal(run.weights["hidden1.kernel"], base.state["hidden1.kernel"])
    assert np.abs(run.weights["hidden1.kernel"] - base.state["hidden1.kernel"]).max() < 0.1


def test_learned_averages_are_moved_and_new_ones_are_set_by_the_first_batch(base: RunBackbone, mini: Dataset) -> None:
    """After one batch of 32, with a rate at which the weights stay where they are."""
    settings = {
        "freeze_epochs": 0,
        "unfreeze_layers": "all",
        "epochs": 1,
        "lr": 1e-9,
        "hidden": "20,16,12,9",
        "transfer_layers": 3,
    }
    run_spec = reusing(**settings, train_size=32)
    [run] = train_transfer([run_spec], mini, base)
    [(train_rows, _)] = splits_of(mini, [run_spec])
    x = torch.from_numpy(mini.train_inputs[train_rows].reshape(32, -1)).double() / 255
    w = {name: torch.from_numpy(value).double() for name, value in run.weights.items()}
    for layer in ("hidden1", "hidden2", "hidden3", "hidden4"):
        h = torch.selu(x @ w[f"{layer}.kernel"] + w[f"{layer}.bias"])
        mean, variance = h.mean(dim=0), h.var(dim=0, correction=0)
        for name, batch in (("bn_mean", mean), ("bn_variance", variance)):
            learned = base.state.get(f"{layer}.{name}")
            expected = batch if learned is None else 0.9 * torch.from_numpy(learned[0]).double() + 0.1 * batch
            torch.testing.assert_close(w[f"{layer}.{name}"][0], expected, rtol=1e-4, atol=1e-5)
        x = (h - mean) / (variance + 1e-5).sqrt() * w[f"{layer}.bn_scale"] + w[f"{layer}.bn_shift"]


def test_a_run_that_reuses_another_is_recorded_whole(mini: Dataset) -> None:
    """It can be reused in its turn: what its inputs are scaled by and their batch norm are its own."""
    base = as_base(spec(scale="standard", bn=True, bn_input=True), mini)
    settings = {"reuse_from": base.name, "bn": True, "bn_input": True, "scale": "standard"}
    for stages in ({}, {"freeze_epochs": 0, "unfreeze_layers": "all", "lr": 0.05}):
        [run] = train_transfer([spec(**settings, **stages)], mini, base)
        assert run.weights.keys() == base.state.keys()
        moved = not np.array_equal(run.weights["input.bn_scale"], base.state["input.bn_scale"])
        assert moved == bool(stages)
        again = RunBackbone(
            "f" * 12, spec(scale="standard", bn=True, bn_input=True), run.weights, mini.shape, mini.classes
        )
        [reused] = train_transfer([spec(**settings | {"reuse_from": again.name}, lr=0.05)], mini, again)
        assert reused.test["test_acc"] > 0.3


def test_gaps_in_a_base_are_filled_as_in_its_own_training(mini: Dataset) -> None:
    x = np.random.default_rng(0).normal(5, 2, (200, 3))
    x[::7, 1] = np.nan
    y = (np.nan_to_num(x[:, 1], nan=5) > 5).astype(np.int64)
    table = replace(mini, train_inputs=x[:150], train_targets=y[:150], test_inputs=x[150:], test_targets=y[150:],
                    classes=("a", "b"))  # fmt: skip
    for scale in ("standard", "unit", "raw"):
        settings = {"scale": scale, "hidden": "8", "train_size": 60, "val": 30}
        base = as_base(spec(**settings), table)
        frozen = base.features(table, spec(**settings, reuse_from=base.name), 0, np.arange(3), torch.device("cpu"))
        inputs = BatchSource(table, [base.spec], torch.device("cpu"))
        [batch] = inputs.test()
        np.testing.assert_array_equal(frozen.dataset.test_inputs, batch.x[0, :50].numpy())


def test_standardised_inputs_are_those_of_the_base(mini: Dataset) -> None:
    base = as_base(spec(scale="standard"), mini)
    other = replace(mini, train_inputs=mini.train_inputs // 2, test_inputs=mini.test_inputs // 2)
    some = base.features(other, reusing(), 0, np.arange(3), torch.device("cpu"))
    flat = other.test_inputs.reshape(2000, -1).astype(np.float32)
    expected = (flat - base.state["input.offset"]) * base.state["input.factor"]
    np.testing.assert_allclose(some.dataset.test_inputs, expected, rtol=1e-5, atol=1e-5)


def test_images_and_columns_are_not_taken_for_each_other(base: RunBackbone, mini: Dataset) -> None:
    table = replace(mini, train_inputs=mini.train_inputs / 255, test_inputs=mini.test_inputs / 255)
    with pytest.raises(InputError, match="it was trained on images, these are columns"):
        train_transfer([reusing()], table, base)
    on_columns = as_base(spec(bn=True, bn_place="after"), table)
    with pytest.raises(InputError, match="it was trained on columns of numbers, these are images"):
        train_transfer([reusing()], mini, on_columns)


def check(base: RunBackbone, one: RunSpec) -> None:
    base.check(one, base.info)
    unfrozen_count(one, base)


WRONG = {
    "too many": ({"transfer_layers": 4}, "transfer_layers 4: .* has 3 layers"),
    "too many unfrozen": (
        {"transfer_layers": 1, "freeze_epochs": 1, "unfreeze_layers": 2},
        "unfreeze_layers 2: only 1 layers are reused",
    ),
    "other widths": ({"hidden": "20,17,12"}, "hidden 20,17,12: the lowest 3 .* are 20,16,12"),
    "other parameters": (
        {"bn": None, "bn_place": "before", "freeze_epochs": 1, "unfreeze_layers": 1},
        "layer 1 does not fit: .*bn_",
    ),
    "other activation": ({"act": "elu", "freeze_epochs": 1, "unfreeze_layers": 1}, "act elu: layer 1 .* has selu"),
}


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"act": "elu"}, "act elu: layer 1 .* has selu"), ({"bn": False, "bn_place": "before"}, "layer 1 does not fit")],
)
def test_settings_that_frozen_layers_do_not_have_are_refused(
    settings: dict[str, Any], message: str, base: RunBackbone
) -> None:
    with pytest.raises(InputError, match=message):
        check(base, reusing(**settings))
    if "bn" in settings:  # a new layer has it or not, whatever the frozen ones have
        check(base, reusing(**settings, hidden="20,16,12,9", transfer_layers=3))


@pytest.mark.parametrize(("settings", "message"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], message: str, base: RunBackbone) -> None:
    if settings.get("bn", True) is None:
        settings = settings | {"bn": False}
    one = reusing(**settings)
    with pytest.raises(InputError, match=message):
        check(base, one)
    with pytest.raises(InputError, match=r"shape \(28, 28\), these are \(3, 32, 32\)"):
        base.check(reusing(), base.info._replace(shape=(3, 32, 32)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unfreeze_layers": 1}, "reuse_from is off"),
        ({"reuse_from": "x", "unfreeze_layers": 1}, "freeze_epochs must say after which of the"),
        ({"reuse_from": "x", "freeze_epochs": 9}, "more than the 3 epochs"),
        ({"reuse_from": "x", "unfreeze_lr": 0.1}, "unfreeze_layers is 0"),
    ],
)
def test_stages_have_to_fit_each_other(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        spec(**settings)


def test_shared_examples_are_counted(mini: Dataset) -> None:
    assert count_overlap(mini.train_inputs, mini.test_inputs) == 0
    assert count_overlap(mini.train_inputs[:50], mini.train_inputs[40:60]) == 10


# The command


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transfer")
    words = (
        "--classes",
        "0,1,2,3,4,6,7,8",
        "--hidden",
        "20,16",
        "--act",
        "selu",
        "--epochs",
        "2",
        "--train-size",
        "800",
    )
    succeeds("train", *words, cwd=folder)
    return folder


TARGET = ("--classes", "sandal,shirt", "--train-size", "60", "--val", "200", "--epochs", "3")


def base_id(store: Path) -> str:
    return next(path.parent.name for path in (store / "runs" / "store").glob("*/run.json")
                if "Sandal" not in json.loads(path.read_text())["data"]["classes"])  # fmt: skip


def test_a_plan_refuses_what_cannot_be_reused(store: Path) -> None:
    words = ("transfer", "--from", f"runs/store/{base_id(store)}", *TARGET, "--plan")
    for wrong, reason in (
        (("--head", "0"), "head: '0'"),
        (("--unfreeze-layers", "5"), "unfreeze_layers 5: only 2 layers"),
    ):
        assert reason in error_of(*words, *wrong, cwd=store)


def test_transfer_is_compared_with_scratch(store: Path) -> None:
    words = ("transfer", "--from", f"runs/store/{base_id(store)}", *TARGET, "--unfreeze-layers", "all", "--seeds", "2")
    shown = succeeds(*words, "--name", "pair", cwd=store)
    assert "errors and time against scratch" in shown and "test_acc" in shown
    rows = pd.read_csv(store / "runs" / "pair" / "results.csv")
    assert (
        rows["arm"].tolist() == ["scratch", "scratch", "transfer", "transfer"] and (rows["status"] == "finished").all()
    )
    alone = succeeds(*words, "--name", "alone", "--no-scratch", cwd=store)
    assert "scratch" not in alone.partition("command: ")[0]


def test_strategies_say_which_one_is_supported(store: Path) -> None:
    words = ("transfer", "--from", base_id(store), *TARGET, "--strategies", "--seeds", "2", "--name", "ladder")
    shown = succeeds(*words, cwd=store)
    for arm in ("frozen", "unfreeze 1", "unfreeze all", "drop 1", "replace 1", "add 1"):
        assert arm in shown
    assert "Supported: " in shown or "No strategy" in shown
    assert "the steps of a transfer" in shown
    figures = {path.name for path in (store / "runs" / "ladder" / "figures").iterdir()}
    assert figures >= {"ladder-effects.png", "ladder-strategies.png"}


def planned(base: RunBackbone, settings: dict[str, Any] | None = None, **way: Any) -> dict[str, dict[str, Any]]:
    study = plan_transfer(base, {"epochs": 10} | (settings or {}), TransferDesign(**way), "x", None)
    for arm in study.arms:
        if arm.spec.reuse_from:
            base.check(arm.spec, arm.spec.source.outline()._replace(kind=base.kind))
            unfrozen_count(arm.spec, base)
    return {arm.name: arm.spec.settings() for arm in study.arms}


def test_strategies_unfreeze_at_a_tenth_of_the_rate_and_repeat_their_steps_with_another_top(base: RunBackbone) -> None:
    arms = planned(base, {"lr": 0.02}, strategies=True)
    unfrozen = {name: arm for name, arm in arms.items() if arm["unfreeze_layers"] and name != "scratch"}
    assert {name for name, arm in unfrozen.items() if arm["unfreeze_lr"] is None} == {
        f"unfreeze {count} same rate" for count in (1, 2, "all")
    }
    assert {arm["unfreeze_lr"] for arm in unfrozen.values()} == {None, 0.002}
    assert {arm["freeze_epochs"] for arm in unfrozen.values()} == {2}
    counts = {
        name: arm["unfreeze_layers"] for name, arm in arms.items() if name.split()[0] in ("drop", "replace", "add")
    }
    assert counts == {
        **{"drop 1": 1, "drop 1 all": "all", "drop 2": "all", "replace 1": 1, "replace 1 all": "all"},
        **{"add 1": 1, "add 1 all": "all"},
    }
    given = planned(base, {"lr": 0.02, "unfreeze_lr": 0.005}, strategies=True)
    assert {arm["unfreeze_lr"] for arm in given.values()} == {None, 0.005}
    assert "unfreeze 1 same rate" not in planned(base, {"lr": 0.02, "unfreeze_lr": 0.02}, strategies=True)


def test_every_strategy_is_planned_at_every_size(base: RunBackbone) -> None:
    alone = planned(base, {"train_size": 40}, strategies=True)
    both = planned(base, strategies=True, train_sizes="40,20")
    assert list(both)[: len(alone)] == [f"{name} (20)" for name in alone] and len(both) == 2 * len(alone)
    assert {name: both[f"{name} (40)"] for name in alone} == alone


@pytest.mark.parametrize(("data", "scaled"), [("fashion-mnist", None), ("cifar10", "28x28")])
def test_images_of_another_shape_are_scaled_to_the_bases_in_every_arm(
    data: str, scaled: str | None, base: RunBackbone
) -> None:
    on_images = replace(base, kind="images")
    arms = planned(on_images, {"data": data, "val": 100}, train_sizes="20,40")
    assert {arm["image_shape"] for arm in arms.values()} == {scaled}


def test_depths_of_reuse_change_nothing_else(base: RunBackbone) -> None:
    arms = planned(base, reuse_depths="1,3")
    assert {name: arm["transfer_layers"] for name, arm in arms.items()} == {"scratch": None, "reuse 1": 1, "reuse 3": 3}
    assert len({(arm["hidden"], arm["act"], arm["unfreeze_layers"]) for arm in arms.values()}) == 1


def test_train_sizes_are_shown_by_the_number_of_examples(store: Path) -> None:
    words = ("transfer", "--from", base_id(store), "--classes", "sandal,shirt", "--val", "200", "--epochs", "2")
    shown = succeeds(*words, "--train-sizes", "20,60", "--seeds", "2", "--name", "curve", cwd=store)
    assert "by the number of training examples" in shown
    assert (store / "runs" / "curve" / "figures" / "curve-training-size.png").is_file()


def test_a_preset_trains_each_of_its_bases_once(store: Path) -> None:
    (store / "both.yaml").write_text(
        "pretrain:\n"
        "  similar: {classes: '2,4', hidden: '20,16', epochs: 1, train_size: 50}\n"
        "  other: {classes: '7,8', hidden: '20,16', epochs: 1, train_size: 50}\n"
        "base: {classes: '5,6', hidden: '20,16', epochs: 2, train_size: 50, val: 100}\n"
        "baseline: scratch\nseeds: 2\n"
        "factors:\n"
        "  similar: {reuse_from: pretrain.similar, freeze_epochs: 1, unfreeze_layers: all}\n"
        "  other: {reuse_from: pretrain.other, transfer_layers: 1}\n"
    )
    assert "errors and time" in succeeds("transfer", "both.yaml", cwd=store)
    bases = pd.read_csv(store / "runs" / "both-base" / "results.csv").set_index("arm")["run"]
    reused = pd.read_csv(store / "runs" / "both" / "results.csv").groupby("arm")["reuse_from"].first()
    assert reused.dropna().to_dict() == bases.to_dict() and len({*bases}) == 2
    records = (store / "runs" / "store").glob("*/run.json")
    before = {path: path.stat().st_mtime_ns for path in records}
    succeeds("ablate", "both.yaml", cwd=store)
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--from", "runs/nowhere"), "neither a run"),
        (("--from", "resnet81"), "did you mean 'resnet18'"),
        (("--from", "BASE", "--data", "nowhere.csv"), "no such file"),
        (("--from", "BASE", "--drop", "2"), "at least one must be left"),
        (("--from", "BASE", "--unfreeze-layers", "5"), "only 2 layers"),
        (("--from", "BASE", "--weights", "x.pth"), "weights: only for a pretrained network"),
        (("--from", "BASE", "--train-sizes", "20,x"), "train_sizes 20,x"),
        (("--from", "BASE", "--strategies", "--drop", "1"), "strategies: tries"),
        (("--from", "BASE", "--reuse-depths", "1,x"), "reuse_depths 1,x: must be different numbers of layers"),
        (("--from", "BASE", "--reuse-depths", "1,3"), "reuse_depths 3: "),
        ((), "give either --from"),
    ],
)
def test_bad_transfers_are_one_message(words: tuple[str, ...], message: str, store: Path) -> None:
    given = [base_id(store) if word == "BASE" else word for word in words]
    assert message in error_of("transfer", *given, cwd=store, COLUMNS="200")


def test_a_base_that_saw_the_test_examples_is_refused(store: Path, mini: Dataset) -> None:
    np.savez(store / "a.npz", x_train=mini.train_inputs[:300], y_train=mini.train_targets[:300],
             x_test=mini.train_inputs[300:400], y_test=mini.train_targets[300:400])  # fmt: skip
    np.savez(store / "b.npz", x_train=mini.train_inputs[400:700], y_train=mini.train_targets[400:700],
             x_test=mini.train_inputs[:100], y_test=mini.train_targets[:100])  # fmt: skip
    succeeds("train", "--data", "a.npz", "--hidden", "8", "--epochs", "1", "--out", "leak", cwd=store)
    run = next((store / "leak" / "store").glob("*/run.json")).parent.name
    shown = error_of("transfer", "--from", run, "--data", "b.npz", "--out", "leak", cwd=store)
    assert "trained on 100 of the test examples" in shown


def test_a_run_that_froze_other_layers_than_its_own_is_not_reused(tmp_path: Path, mini: Dataset) -> None:
    """Its settings do not describe the layers that it took over: batch norm is that of its new layer alone."""
    store = RunStore(tmp_path)
    base = as_base(spec(), mini)
    one = spec(reuse_from=base.name, hidden="20,16,12,9", transfer_layers=3, bn=True)
    base.check(one, mini.outline)
    [run] = train_transfer([one], mini, base)
    store.write(run.to_record("f" * 12, mini.description(), {}), run.weights)
    with pytest.raises(InputError, match=f"it froze layers of {base.name} that differ .*hidden1.b"):
        run_backbone(store.read("f" * 12), store)


@pytest.mark.parametrize("had", [True, False])
def test_batch_norm_on_the_inputs_is_that_of_the_base(had: bool, mini: Dataset) -> None:
    base = as_base(spec(bn=True, bn_input=had), mini)
    with pytest.raises(InputError, match=r"bn_input: .* was trained with"):
        check(base, spec(reuse_from=base.name, bn=True, bn_input=not had, freeze_epochs=0, unfreeze_layers="all"))
    check(base, spec(reuse_from=base.name, bn=True, bn_input=had))
