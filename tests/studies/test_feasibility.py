"""What cannot work is refused before any process starts, with its place; what has no effect gets a warning."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import SOURCES, DataLocation, Dataset, DatasetInfo
from dnntrain.errors import InputError
from dnntrain.store.run_store import RunStore
from dnntrain.studies.feasibility import check_run, check_study, idle_settings
from dnntrain.studies.presets import load_preset, read_preset, shipped_presets
from dnntrain.studies.runner import StudyRunner
from dnntrain.studies.study import Arm, Study
from dnntrain.techniques.early_stopping import EarlyStopping

CASES = Path(__file__).parents[1] / "cases"
CLOTHES = DatasetInfo((28, 28), ("a", "b", "c"), 1_000)
PRICES = DatasetInfo((4,), (), 100)
PARTED = DatasetInfo((28, 28), ("a", "b"), 1_000, n_validation=100)
HOME = DataLocation()

REFUSED: list[tuple[DatasetInfo, dict[str, Any], str]] = [
    (PRICES, {"early_stop": 2, "early_stop_metric": "val_acc"},
     "early_stop_metric val_acc: a regression has val_loss, val_r2, val_rmse, val_mae, val_mape"),
    (CLOTHES, {"early_stop": 2, "early_stop_metric": "val_r2"},
     "early_stop_metric val_r2: a classification has val_loss, val_acc"),
    (PRICES, {"select": "best:val_acc"},
     "select best:val_acc: a regression has val_loss, val_r2, val_rmse, val_mae, val_mape"),
    (CLOTHES, {"early_stop": 10}, "early_stop 10: never stops a run of 10 epochs"),
    (CLOTHES, {"warmup": "11ep"}, "warmup 11ep: longer than the run, 10 epochs of 25 iterations"),
    (CLOTHES, {"warmup": "251"}, "warmup 251: longer than the run"),
    (CLOTHES, {"val": 1_000}, "val = 1000: leaves no training example; must be at most 999 of 1000"),
    (CLOTHES, {"train_size": 801}, "train_size = 801: must be from 1 to 800"),
    (CLOTHES, {"val": 999, "bn": True}, "bn: needs at least 2 training examples"),
    (CLOTHES, {"output": "sigmoid"}, "output sigmoid: for two classes, and there are 3"),
    (PRICES, {"output": "sigmoid"}, "output sigmoid: for two classes, and there are none"),
    (CLOTHES, {"epochs": 1, "warmup": "2", "train_size": 33}, "warmup 2: longer than the run, 1 epochs of 1"),
    (CLOTHES, {"subset": "shared"}, "subset shared: needs train_size"),
    (PARTED, {"val": 50}, "val 50: the data have their own validation part"),
    (PARTED, {"val_from": "first"}, "val_from first: the data have their own"),
    (CLOTHES, {"hidden": "none", "act": "elu"}, "act elu: there are no hidden layers"),
    (CLOTHES, {"hidden": "none", "init": "he"}, "init he: there are no hidden layers"),
    (CLOTHES, {"hidden": "none", "dropout": 0.2}, "dropout: there are no hidden layers; dropout_where input"),
    (CLOTHES, {"hidden": "none", "bn": True}, "bn: there are no hidden layers; bn_input"),
    (CLOTHES, {"hidden": "30,20,10", "residual": True},
     "residual: a skip needs 3 hidden layers of one width in a row, as hidden 3x100; hidden is 30,20,10"),
    (CLOTHES, {"hidden": "5x20", "residual": True, "residual_every": 5}, "residual: a skip needs 6 hidden layers"),
    (CLOTHES, {"hidden": "none", "residual": True}, "residual: a skip needs 3 hidden layers"),
    (CLOTHES, {"net": "cnn:channels=4/4,stride=8"},
     "pool 2 is larger than the 1 × 1 map of conv2; pool=none or fewer stages fit"),
]  # fmt: skip

ACCEPTED: list[tuple[DatasetInfo, dict[str, Any]]] = [
    (PRICES, {"early_stop": 2, "early_stop_metric": "val_rmse"}),
    (CLOTHES, {"early_stop": 9, "early_stop_metric": "val_acc"}),
    (PRICES, {"select": "best:val_rmse", "early_stop": 2}),
    (CLOTHES, {"warmup": "10ep"}),
    (CLOTHES, {"val": 999, "train_size": 1}),
    (PARTED, {"output": "sigmoid", "train_size": 900}),
    (CLOTHES, {"hidden": "none", "dropout": 0.2, "dropout_where": "input", "bn": True, "bn_input": True}),
    (CLOTHES, {"batch_size": 2_000, "bn": True}),
    (CLOTHES, {"hidden": "30,20,20", "residual": True, "residual_every": 1}),
]


@pytest.mark.parametrize(("outline", "settings", "said"), REFUSED, ids=lambda item: str(item)[:60])
def test_what_cannot_work_is_refused(outline: DatasetInfo, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        check_run(RunSpec.parse(settings), outline)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(("outline", "settings"), ACCEPTED, ids=lambda item: str(item)[:60])
def test_what_can_work_is_not(outline: DatasetInfo, settings: dict[str, Any]) -> None:
    check_run(RunSpec.parse(settings), outline)


@pytest.mark.parametrize("key", ["batch_size", "train_size"])
def test_batch_norm_of_one_example_is_no_run(key: str) -> None:
    with pytest.raises(InputError, match=f"bn: needs {key} of at least 2"):
        RunSpec.parse({"bn": True, key: 1})


@pytest.mark.parametrize(
    ("schedule", "is_idle"),
    [
        ("step:every=10ep", True), ("step:every=9ep", False), ("step:every=250", True), ("step:every=249", False),
        ("piecewise:at=12ep/15ep", True), ("piecewise:at=5ep/15ep", False),
        ("performance:patience=9", True), ("performance:patience=5", False), ("cosine", False), ("power:s=1e9", False),
    ],
)  # fmt: skip
def test_a_schedule_that_never_acts_is_warned_of(schedule: str, is_idle: bool) -> None:
    reasons = list(idle_settings(RunSpec.parse({"schedule": schedule}), CLOTHES))
    assert bool(reasons) == is_idle
    assert all("constant in effect" in line for line in reasons)


PHOTOS = DatasetInfo((3, 8, 8), ("a", "b", "c"), 100, kind="images")
GRAY = DatasetInfo((8, 8), ("a", "b", "c"), 100, kind="images")
WITHOUT_EFFECT: list[tuple[DatasetInfo, dict[str, Any], str]] = [
    (PRICES, {"noise": 0}, "noise 0: adds nothing to the inputs"),
    (GRAY, {"random_erasing": 0}, "random_erasing 0: changes no image"),
    (GRAY, {"random_erasing": 0.5, "random_erasing_min_area": 0.9, "random_erasing_max_area": 1},
     "random_erasing_min_area 0.9: no such box fits into 8 × 8 pixels"),
    (GRAY, {"random_erasing": 0.5, "random_erasing_min_area": 0.001, "random_erasing_max_area": 0.002},
     "random_erasing_max_area 0.002: such boxes have no pixel of 8 × 8"),
    (PHOTOS, {"color_jitter": True, "color_jitter_brightness": 0, "color_jitter_contrast": 0,
              "color_jitter_saturation": 0}, "color_jitter: changes no image with strengths of 0"),
    (GRAY, {"color_jitter": True, "color_jitter_brightness": 0, "color_jitter_contrast": 0},
     "color_jitter: changes no gray image with strengths of 0"),
    (CLOTHES, {"hidden": "3x20", "residual": True, "drop_path": 0}, "drop_path 0: skips no block"),
    (CLOTHES, {"lookahead": 5, "lookahead_alpha": 1},  # 25 steps in an epoch
     "lookahead 5: with alpha 1, the slow weights are the trained ones after every epoch"),
    (CLOTHES, {"bn": True, "bn_ghost": 8, "train_size": 15},
     "bn_ghost 8: a batch of all 15 training examples has no two such parts"),
    (CLOTHES, {"loss": "cross_entropy:class_weights=2/2/2"},
     "loss cross_entropy: class_weights 2/2/2: all classes have the same weight"),
    (CLOTHES, {"loss": "focal:class_weights=balanced", "batch_size": 1},
     "loss focal: class_weights balanced: no effect on steps of one example, whose weight is 1"),
]  # fmt: skip
WITH_EFFECT: list[tuple[DatasetInfo, dict[str, Any]]] = [
    (GRAY, {"random_erasing": 0.5}),
    (PHOTOS, {"color_jitter": True, "color_jitter_brightness": 0, "color_jitter_contrast": 0}),
    (CLOTHES, {"lookahead": 4, "lookahead_alpha": 1}),
    (CLOTHES, {"bn": True, "bn_ghost": 8, "train_size": 16}),
    (CLOTHES, {"loss": "cross_entropy:class_weights=balanced,label_smoothing=0.1", "batch_size": 1}),
    (CLOTHES, {"loss": "cross_entropy:class_weights=1/2/2", "batch_size": 1, "accumulate": 2}),
]


@pytest.mark.parametrize(("outline", "settings", "said"), WITHOUT_EFFECT, ids=lambda item: str(item)[:60])
def test_a_value_without_effect_is_warned_of(outline: DatasetInfo, settings: dict[str, Any], said: str) -> None:
    spec = RunSpec.parse(settings)
    check_run(spec, outline)
    assert list(idle_settings(spec, outline)) == [said]


@pytest.mark.parametrize(("outline", "settings"), WITH_EFFECT, ids=lambda item: str(item)[:60])
def test_a_value_with_an_effect_is_not(outline: DatasetInfo, settings: dict[str, Any]) -> None:
    assert not list(idle_settings(RunSpec.parse(settings), outline))


MODULES = """
from torch import nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, num_classes, size=28):
        super().__init__()
        self.first, self.act, self.last = nn.Linear(28 * size, 8), nn.ReLU(), nn.Linear(8, num_classes)

    def forward(self, x):
        return self.last(F.relu(self.act(self.first(x.flatten(1)))))

built, nothing = nn.Linear(784, 3), lambda: None
"""


@pytest.fixture
def modules(tmp_path: Path) -> str:
    """A file with modules."""
    (tmp_path / "net.py").write_text(MODULES)
    return f"module:{tmp_path / 'net.py'}"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("built", "net.py:built: is a module already; name its class Linear, or a function"),
        ("nothing", "net.py:nothing: returns NoneType, not a torch.nn.Module"),
        ("Net:size={tokens}", "net.py:Net: nothing is known for '{tokens}' here"),
    ],
)
def test_a_callable_that_gives_no_module_is_named(modules: str, name: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        check_run(RunSpec.parse({"net": f"{modules}:{name}"}), CLOTHES)


def test_calls_that_surgery_leaves_are_warned_of(modules: str) -> None:
    spec = RunSpec.parse({"net": f"{modules}:Net"})
    assert list(idle_settings(spec, CLOTHES)) == []
    assert list(idle_settings(spec.changed(act="elu"), CLOTHES)) == [
        "act has no effect where Net calls F.relu (net.py, line 11)"
    ]


def test_a_preset_says_file_line_and_key() -> None:
    with pytest.raises(InputError) as caught:
        load_preset(str(CASES / "rg.yaml"), {"data": str(CASES / "reg.csv")})
    assert str(caught.value).endswith(
        "rg.yaml:4: factors.es: early_stop_metric val_acc: "
        "a regression has val_loss, val_r2, val_rmse, val_mae, val_mape"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base:\n  bn: on\n  val: 10000\nfactors: {a: {lr: 0.1}}\n", "p.yaml:3: base: val = 10000: leaves no"),
        ("base: {epochs: 3}\nfactors:\n  a: {warmup: 4ep}\n", "p.yaml:3: factors.a: warmup 4ep: longer than"),
        ("factors:\n  a: {bn: on}\n  b: {batch_size: 1}\ncombinations: [[a, b]]\n", "p.yaml:1: factors: bn: needs"),
        ("base: {output: sigmoid}\nfactors: {a: {bn: on}}\n", "p.yaml:1: base: output sigmoid: for two classes"),
        ("pretrain: {val: 10000}\nfactors: {a: {reuse_from: pretrain}}\n", "p.yaml:1: pretrain: val = 10000"),
        ("factors: {a: {bn: on}}\ntune:\n  batch_size: [1, 32]\n", "p.yaml:2: tune: bn: needs batch_size of"),
        ("factors: {a: {bn: on}}\ntune: {train_size: [100, 9000]}\n", "p.yaml:2: tune: train_size = 9000"),
        ("factors: {a: {bn: on}}\nmetric: val_r2\n", "p.yaml:2: metric val_r2: a classification has"),
        ("factors: {a: {bn: on}}\npublished: {a: {val_rmse: 3}}\n", "p.yaml:2: published.a: metric val_rmse: a"),
    ],
)
def test_a_preset_that_cannot_work_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_preset(text, "p.yaml")
    assert str(caught.value).startswith(said)


def test_an_override_that_cannot_work_is_refused_as_one() -> None:
    with pytest.raises(InputError, match=r"^--set: val = 10000: leaves no training example"):
        read_preset("base: {val: 100}\nfactors: {a: {bn: on}}\n", "p.yaml", {"val": "10000"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("design: list\nfactors: {a: {bn: on}}\ncombinations: [[a, a]]\n", "p.yaml:3: combinations: needs design: one"),
        ("factors: {a: {bn: on}}\ntune_seeds: 3\n", "p.yaml:2: tune_seeds: needs tune"),
        ("factors: {a: {bn: on}}\npretrain: {lr: 0.1}\n", "p.yaml:2: pretrain: needs an arm with reuse_from"),
        ("factors:\n  a: {reuse_from: pretrain}\n", "p.yaml:2: factors.a: reuse_from pretrain: needs the key pretrain"),
        (
            "factors:\n  a: {reuse_from: pretrain.one}\npretrain:\n  one: {lr: 0.1}\n  two: {lr: 0.2}\n",
            "p.yaml:5: pretrain.two: needs an arm with reuse_from: pretrain.two",
        ),
        (
            "factors:\n  a: {reuse_from: pretrain.own}\npretrain: {one: {lr: 0.1}}\n",
            "p.yaml:2: factors.a: reuse_from pretrain.own: needs the key pretrain.own; did you mean 'pretrain.one'?",
        ),
    ],
)
def test_a_key_that_would_be_ignored_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_preset(text, "p.yaml")
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("base", "arm", "said"),
    [
        ("{}", "{transfer_layers: 3}", "arm 'a': transfer_layers 3: pretrain has 2 layers to reuse"),
        ("{data: cifar10}", "{}", "these are \\(3, 32, 32\\); image_shape 28x28 scales images to it"),
        ("{data: cifar10, image_shape: 28x28}", "{}", ""),
        ("{act: elu}", "{}", "arm 'a': act elu: layer 1 of pretrain has relu"),
    ],
)
def test_an_arm_that_cannot_reuse_what_is_trained_first_is_refused_before_that(base: str, arm: str, said: str) -> None:
    text = f"pretrain: {{}}\nbase: {base}\nbaseline: scratch\nfactors: {{a: {arm[:-1]}, reuse_from: pretrain}}}}\n"
    study = read_preset(text.replace("{, ", "{"), "p.yaml")
    with pytest.raises(InputError, match=said) if said else nullcontext():
        check_study(study, HOME)


def test_an_override_that_no_arm_takes_is_refused() -> None:
    with pytest.raises(InputError, match=r"--set lr: every arm of p\.yaml sets it by itself"):
        read_preset("design: list\nfactors: {a: {lr: 0.1}, b: {lr: 0.2}}\n", "p.yaml", {"lr": "0.5"})


def test_a_study_names_the_arm_and_trains_nothing(tmp_path: Path) -> None:
    arms = (Arm("plain", RunSpec.parse({})), Arm("es", RunSpec.parse({"early_stop": 3, "early_stop_metric": "val_r2"})))
    with pytest.raises(
        InputError, match=r"^arm 'es': early_stop_metric val_r2: a classification has val_loss, val_acc"
    ):
        StudyRunner(Study("s", arms, (0,)), RunStore(tmp_path / "runs"), HOME)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", shipped_presets())
def test_a_shipped_preset_can_work(name: str) -> None:
    assert check_study(load_preset(name), HOME) == []


def test_counts_that_are_known_without_reading_are_those_of_the_data(mini: Dataset) -> None:
    source = SOURCES["fashion-mini"]
    assert source.class_counts == tuple(np.bincount(mini.train_targets))
    assert source.test_class_counts == tuple(np.bincount(mini.test_targets))
    assert source().outline() == mini.outline
    some = source(classes="sandal,shirt")
    assert some.outline() == some.load(HOME).outline


def test_early_stopping_watches_any_figure_in_its_own_direction() -> None:
    falling = [3.0, 2.0, 1.0]
    assert EarlyStopping(metric="val_rmse").best_epoch.improvements(falling) == [0, 1, 2]
    assert EarlyStopping(metric="val_r2").best_epoch.improvements(falling) == [0]


def test_arms_with_different_losses_are_not_judged_by_train_loss() -> None:
    text = "base: {train_size: 60, val: 60}\nfactors: {focal: {loss: focal}}\nmetric: "
    check_study(read_preset(f"{text}val_loss\n", "p.yaml"), HOME)
    with pytest.raises(InputError, match="metric train_loss: the arms train on different losses"):
        check_study(read_preset(f"{text}train_loss\n", "p.yaml"), HOME)
