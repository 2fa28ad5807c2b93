"""Shipped presets are sound; the presets' grammar means what it says; each mistake is told with its file and line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.errors import InputError
from dnntrain.executors import devices
from dnntrain.store.study_record import StudyRecord
from dnntrain.studies.execution import RunOptions, check
from dnntrain.studies.feasibility import techniques_of
from dnntrain.studies.presets import find_preset, load_preset, read_preset, shipped_presets
from dnntrain.studies.seeds import MOST_RUNS, read_seeds
from dnntrain.studies.study import Study, check_name
from dnntrain.studies.tuning import tuned_study, tuning_study
from dnntrain.techniques.activations import Activation
from dnntrain.techniques.base import techniques_in
from dnntrain.techniques.clipping import Clipping
from dnntrain.techniques.schedules.base import Schedule
from tests.support.catalogue import OWN

SHIPPED = ("activations", "batchnorm", "exploding", "lecture", "overfitting", "schedules", "stretch-pants", "vanishing")

PUBLISHED = {
    "constant": {"val_acc": {"mean": 0.8699, "sd": 0.0037, "n": 5}},
    "power": {"val_acc": {"mean": 0.8663}, "val_loss": {"mean": 0.3774}},
    "exponential-as-coded": {"val_acc": {"mean": 0.8100}, "val_loss": {"mean": 0.5690}},
    "exponential-as-intended": {},
    "performance": {"val_acc": {"mean": 0.8698}, "val_loss": {"mean": 0.3665}},
    "batch-norm": {"val_acc": {"mean": 0.8773}, "val_loss": {"mean": 0.3401}},
    "clipvalue": {"val_acc": {"mean": 0.8561}, "val_loss": {"mean": 0.3884}},
    "early-stopping": {"val_acc": {"mean": 0.8818}, "val_loss": {"mean": 0.3294}, "test_acc": {"mean": 0.8735}},
    "dropout": {"val_acc": {"mean": 0.8577}, "val_loss": {"mean": 0.3878}, "test_acc": {"mean": 0.8514}},
    "case-study": {"val_acc": {"mean": 0.8795}, "val_loss": {"mean": 0.3269}, "test_acc": {"mean": 0.8701}},
}
"""Huang, "Training Deep Neural Networks" (GWU, 2022), code example and case study, Fashion-MNIST: one run each, final
epoch; `constant` is the mean and deviation of the five runs .8728 .8654 .8743 .8672 .8698."""


def read(text: str, **overrides: Any) -> Study:
    return read_preset(text, "study.yaml", overrides)


def settings(study: Study, *keys: str) -> dict[str, tuple[Any, ...]]:
    """The arms' settings of these keys."""
    return {arm.name: tuple(arm.spec.settings()[key] for key in keys) for arm in study.arms}


def published(study: Study) -> dict[str, dict[str, Any]]:
    """Each arm's published values by metric, with what was given of each."""
    return {
        arm.name: {metric: value.model_dump(exclude_unset=True) for metric, value in arm.published.items()}
        for arm in study.arms
    }


def message(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(text)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


# Shipped presets


def test_the_presets_of_the_documentation_are_shipped() -> None:
    assert set(shipped_presets()) >= set(SHIPPED)


@pytest.mark.parametrize("name", shipped_presets())
def test_a_shipped_preset_is_a_sound_study(name: str) -> None:
    study = load_preset(name)
    assert study.name == name
    assert study.question.endswith("?") and "\n" not in study.question
    assert len(study.arms) >= 2 and len(study.seeds) >= 3
    names = [arm.name for arm in study.arms]
    assert len(set(names)) == len(names)
    assert study.baseline in names
    for arm in study.arms:
        assert RunSpec.parse(arm.spec.settings()) == arm.spec
    assert len({arm.spec for arm in study.arms}) == len(study.arms), "two arms are the same run"


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "lecture"])
def test_shipped_presets_run_on_the_embedded_data(name: str) -> None:
    assert {arm.spec.data for arm in load_preset(name).arms} == {"fashion-mini"}


def test_vanishing_holds_the_remedies_alone_and_together() -> None:
    study = load_preset("vanishing")
    arms = {arm.name: arm.spec for arm in study.arms}
    baseline = arms.pop("sigmoid")
    assert study.baseline == "sigmoid"
    assert (len(baseline.hidden), str(baseline.act[0]), str(baseline.init)) == (20, "sigmoid", "glorot")
    assert {str(spec.act[0]) for spec in arms.values()} >= {"relu", "elu", "selu", "tanh"}
    assert any("+" in name for name in arms)


def test_exploding_holds_every_clipping_and_none() -> None:
    used = [tuple(clip.name for clip in arm.spec.techniques(Clipping)) for arm in load_preset("exploding").arms]
    assert set(used) == {(), *((clip.name,) for clip in techniques_in(Clipping) if clip.name in OWN)}


def test_precision_is_compared_within_each_network_and_refused_before_training_where_the_cpu_lacks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load_preset("precision")
    arms = {arm.name: arm.spec for arm in study.arms}
    for network in ("dense", "bn", "conv"):
        assert arms[f"{network}+fp32"].changed(precision="bf16") == arms[f"{network}+bf16"]
    options = RunOptions(out=tmp_path / "runs", device="cpu")
    monkeypatch.setattr(devices, "processor", lambda: {"flags": "avx2 avx512_bf16"})
    assert check(study, options) == []
    monkeypatch.setattr(devices, "processor", lambda: {"flags": "avx2"})
    with pytest.raises(InputError, match=r"arm 'dense\+bf16': precision bf16: this CPU has no bfloat16"):
        check(study, options)


def test_activations_compares_the_whole_catalogue_in_one_network() -> None:
    study = load_preset("activations")
    # five layers that square each other's outputs need a norm
    assert {arm.spec.act[0].name for arm in study.arms} == {*Activation.names()} & OWN - {"relu2"}
    assert study.varied() == ["act"]


def test_schedules_compares_the_whole_catalogue_on_one_budget() -> None:
    study = load_preset("schedules")
    assert {arm.spec.schedule.name for arm in study.arms} == set(Schedule.names()) & OWN
    assert set(study.varied()) == {"schedule", "warmup"}


def test_lecture_shows_the_published_numbers() -> None:
    study = load_preset("lecture")
    assert published(study) == PUBLISHED
    assert study.baseline == "constant" and study.metric == "val_acc" and len(study.seeds) == 5


def test_lecture_trains_what_was_published() -> None:
    common = {"data": "fashion-mnist", "val": 0.3, "hidden": "2x50", "act": "relu", "init": "glorot", "scale": "unit",
              "optimizer": "sgd", "lr": 0.01, "batch_size": 16, "early_stop": 5}  # fmt: skip
    study = load_preset("lecture")
    for arm in study.arms:
        assert arm.spec.settings().items() >= common.items()
        assert arm.spec.epochs == (20 if arm.name == "early-stopping" else 10)
    rows = settings(study, "schedule", "bn", "clipvalue", "dropout")
    assert rows == {
        "constant": ("constant", False, None, None),
        "power": ("power", False, None, None),
        "exponential-as-coded": ("exponential:s=3281.25", False, None, None),
        "exponential-as-intended": ("exponential:s=52500", False, None, None),
        "performance": ("performance", False, None, None),
        "batch-norm": ("constant", True, None, None),
        "clipvalue": ("constant", False, 1.0, None),
        "early-stopping": ("constant", False, None, None),
        "case-study": ("performance", True, None, None),
        "dropout": ("constant", False, 1.0, 0.2),
    }


def test_a_preset_is_found_by_name_or_path(tmp_path: Path) -> None:
    assert find_preset("vanishing") == find_preset("vanishing.yaml") == shipped_presets()["vanishing"]
    own = tmp_path / "own.yaml"
    own.write_text("factors: {a: {lr: 0.1}}", encoding="utf-8")
    assert load_preset(str(own)).name == "own"


# Designs


def test_one_in_is_the_baseline_each_factor_alone_and_the_combinations() -> None:
    study = read("""
        base: {act: sigmoid, lr: 0.1}
        factors: {relu: {act: relu}, bn: {bn: true}, slow: {lr: 0.01}}
        combinations: [[relu, bn], [relu, bn, slow]]
    """)
    assert study.design == "one-in" and study.baseline == "baseline"
    assert settings(study, "act", "bn", "lr") == {
        "baseline": ("sigmoid", False, 0.1),
        "relu": ("relu", False, 0.1),
        "bn": ("sigmoid", True, 0.1),
        "slow": ("sigmoid", False, 0.01),
        "relu+bn": ("relu", True, 0.1),
        "relu+bn+slow": ("relu", True, 0.01),
    }


def test_one_out_is_everything_and_everything_but_one() -> None:
    study = read("{design: one-out, factors: {relu: {act: relu}, bn: {bn: true}, clip: {clipnorm: 1}}}")
    assert study.baseline == "all"
    assert settings(study, "bn", "clipnorm") == {
        "all": (True, 1.0),
        "no relu": (True, 1.0),
        "no bn": (False, 1.0),
        "no clip": (True, None),
    }


def test_factorial_of_factors_that_are_off_or_on() -> None:
    study = read("{design: factorial, factors: {bn: {bn: true}, clip: {clipnorm: 1}}}")
    assert study.baseline == "none"
    assert settings(study, "bn", "clipnorm") == {
        "none": (False, None),
        "clip": (False, 1.0),
        "bn": (True, None),
        "bn+clip": (True, 1.0),
    }


def test_factorial_of_named_levels_beside_a_factor_that_is_off_or_on() -> None:
    study = read("""
        design: factorial
        factors:
          units: {few: {hidden: 8}, many: {hidden: 64}}
          rate: {slow: {}, fast: {lr: 0.1}}
          norm: {bn: true}
    """)
    assert settings(study, "hidden", "lr", "bn") == {
        "few+slow": ("8", 0.01, False),
        "few+slow+norm": ("8", 0.01, True),
        "few+fast": ("8", 0.1, False),
        "few+fast+norm": ("8", 0.1, True),
        "many+slow": ("64", 0.01, False),
        "many+slow+norm": ("64", 0.01, True),
        "many+fast": ("64", 0.1, False),
        "many+fast+norm": ("64", 0.1, True),
    }
    assert study.baseline == "few+slow"


def test_list_is_the_factors_as_they_stand() -> None:
    study = read("{design: list, factors: {plain: {}, fast: {lr: 0.1}}}")
    assert settings(study, "lr") == {"plain": (0.01,), "fast": (0.1,)}
    assert study.baseline == "plain"


def test_a_sweep_is_an_arm_for_each_value_and_the_baseline_has_the_name_of_the_base_s_own() -> None:
    study = read("{base: {lr: 0.01}, sweep: {lr: [0.1, 0.01, 1e-3], act: [elu, selu], bn: {bn: true}}}")
    assert (study.design, study.baseline) == ("one-in", "lr=0.01")
    assert settings(study, "lr", "act", "bn") == {
        "lr=0.01": (0.01, "relu", False),
        "lr=0.1": (0.1, "relu", False),
        "lr=0.001": (0.001, "relu", False),
        "act=elu": (0.01, "elu", False),
        "act=selu": (0.01, "selu", False),
        "bn": (0.01, "relu", True),
    }
    assert read("sweep: {lr: [0.1, 0.2]}").baseline == "baseline"
    assert read("sweep: {lr: [0.1, 0.01], act: [relu, elu]}").baseline == "lr=0.01+act=relu"
    named = read("{baseline: usual, factors: {lr: [0.1, 0.01], dropout: ['off', 0.5]}}")
    assert [arm.name for arm in named.arms] == ["usual", "lr=0.1", "dropout=0.5"]


def test_a_grid_is_every_combination_of_the_values() -> None:
    study = read("grid: {lr: [0.1, 0.01], bn: [off, on], clip: {clipnorm: 1}}")
    assert (study.design, study.baseline) == ("factorial", "lr=0.1+bn=off")
    assert settings(study, "lr", "bn", "clipnorm") == {
        f"lr={lr}+bn={word}{clip}": (lr, word == "on", 1.0 if clip else None)
        for lr in (0.1, 0.01)
        for word in ("off", "on")
        for clip in ("", "+clip")
    }
    assert study.arms[-1].levels == {"lr": "lr=0.01", "bn": "bn=on", "clip": "clip"}


def test_named_levels_in_designs_without_cells() -> None:
    factors = "factors: {optimizer: {adam: {optimizer: adam, lr: 1e-3}, sgd: {}}, wide: {hidden: '500'}}"
    one_in = read(f"{factors}\ncombinations: [[adam, wide]]\ntune: {{l2: [1e-4, 1e-3]}}")
    assert settings(one_in, "optimizer", "lr", "hidden") == {
        "sgd": ("sgd", 0.01, "300,100"),
        "adam": ("adam", 0.001, "300,100"),
        "wide": ("sgd", 0.01, "500"),
        "adam+wide": ("adam", 0.001, "500"),
    }
    assert [arm.name for arm in read(f"{factors}\ndesign: list").arms] == ["adam", "sgd", "wide"]


@pytest.mark.parametrize(
    ("text", "baseline"),
    [
        ("{baseline: constant, factors: {a: {lr: 0.1}}}", "constant"),
        ("{baseline: a, design: list, factors: {b: {lr: 0.2}, a: {lr: 0.1}}}", "a"),
        ("{baseline: a, design: factorial, factors: {b: {bn: true}, a: {lr: 0.1}}}", "a"),
        ("{baseline: full, design: one-out, factors: {b: {bn: true}, a: {lr: 0.1}}}", "full"),
    ],
)
def test_the_baseline_is_the_arm_that_is_named(text: str, baseline: str) -> None:
    study = read(text)
    assert study.baseline == baseline
    assert [arm.name for arm in study.arms].count(baseline) == 1


def test_what_else_a_preset_says() -> None:
    study = read("""
        name: mine
        question: " Does it help? "
        note: a note
        metric: test_acc
        factors: {fast: {lr: 0.1}}
        published: {fast: {test_acc: 0.9, sd: 1}}
    """)
    assert (study.name, study.question, study.note, study.metric) == ("mine", "Does it help?", "a note", "test_acc")
    assert published(study) == {"baseline": {}, "fast": {"test_acc": {"mean": 0.9, "sd": 1}}}
    assert "name: mine" in study.source


FULL = {"mean": 0.88, "sd": 0.004, "n": 5}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("{val_acc: 0.88, sd: 0.004, n: 5}", {"val_acc": FULL}),
        ("{val_acc: {mean: 0.88, sd: 0.004, n: 5}, val_loss: 0.3}", {"val_acc": FULL, "val_loss": {"mean": 0.3}}),
        # among several metrics, the sd is that of what the study is judged by, and n that of all
        ("{val_loss: 0.3, test_acc: 0.88, sd: 0.004, n: 5}", {"val_loss": {"mean": 0.3, "n": 5}, "test_acc": FULL}),
        ("{val_acc: 0.88, n: 5}", {"val_acc": {"mean": 0.88, "n": 5}}),
    ],
)
def test_published_values_say_their_runs_and_deviation(given: str, meant: dict[str, Any]) -> None:
    study = read(f"factors: {{a: {{lr: 1}}}}\npublished: {{a: {given}}}\n")
    assert published(study)["a"] == meant
    again = StudyRecord.model_validate_json(study.to_record().to_json())
    assert again == study.to_record()


def test_an_old_study_file_has_its_published_values() -> None:
    arms = [{"name": "a", "published": {"val_acc": 0.88, "val_loss": 0.3, "sd": 0.004}}, {"name": "b", "published": {}}]
    study = StudyRecord.model_validate({"name": "old", "metric": "val_acc", "seeds": [0], "arms": arms})
    values = study.published_of(study.arms[0])
    assert {key: value.sd for key, value in values.items()} == {"val_acc": 0.004, "val_loss": None}
    assert study.content()["arms"] == arms  # written as it was read


# Values as people mean them


@pytest.mark.parametrize(
    ("value", "seeds"),
    [("3", (0, 1, 2)), ("[3, 7]", (3, 7)), ("3,7", (3, 7)), ("10-12", (10, 11, 12)), ("[5]", (5,)), ("'2'", (0, 1)),
     ("1,4-6", (1, 4, 5, 6))],
)  # fmt: skip
def test_seeds(value: str, seeds: tuple[int, ...]) -> None:
    assert read(f"seeds: {value}\nfactors: {{a: {{lr: 0.1}}}}").seeds == seeds


def test_five_seeds_where_none_are_given() -> None:
    assert read("factors: {a: {lr: 0.1}}").seeds == read_seeds(5) == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "0.001", "'1e-3'", "1E-3"])
def test_numbers(text: str) -> None:
    study = read(f"base: {{lr: {text}}}\nfactors: {{a: {{l2: {text}}}}}")
    assert settings(study, "lr", "l2") == {"baseline": (0.001, None), "a": (0.001, 0.001)}


@pytest.mark.parametrize("word", ["off", "no", "none", "false", "Off", "'off'", "~"])
def test_words_that_switch_off(word: str) -> None:
    study = read(f"base: {{clipnorm: 1, dropout: 0.2}}\nfactors: {{a: {{clipnorm: {word}, dropout: {word}}}}}")
    assert settings(study, "clipnorm", "dropout") == {"baseline": (1.0, 0.2), "a": (None, None)}


@pytest.mark.parametrize(("word", "on"), [("on", True), ("yes", True), ("true", True), ("off", False), ("no", False)])
def test_words_for_a_yes_or_no(word: str, on: bool) -> None:
    assert settings(read(f"factors: {{a: {{bn: {word}}}}}"), "bn")["a"] == (on,)


@pytest.mark.parametrize("widths", ["20x100", "'20x100'", "[" + ", ".join(["100"] * 20) + "]"])
def test_widths(widths: str) -> None:
    assert read(f"{{base: {{hidden: {widths}}}, factors: {{a: {{lr: 0.1}}}}}}").arms[0].spec.hidden == (100,) * 20


def test_overrides_change_the_base_and_leave_the_factors() -> None:
    study = read("{base: {lr: 0.1, epochs: 3}, factors: {fast: {lr: 0.5}}}", lr="0.2", hidden="50")
    assert settings(study, "lr", "epochs", "hidden") == {"baseline": (0.2, 3, "50"), "fast": (0.5, 3, "50")}


# Mistakes: (text, place, what the message says)

MISTAKES = {
    "no YAML": ("name: x\nbase: {lr: 0.1\nfactors: {}\n", "study.yaml:3", "no valid YAML"),
    "a tab": ("base:\n\tlr: 0.1\n", "study.yaml:2", "no valid YAML"),
    "a key twice": ("base:\n  lr: 0.1\n  epochs: 2\n  lr: 0.2\n", "study.yaml:4", "'lr' is given twice"),
    "a factor twice": ("factors:\n  a: {lr: 0.1}\n  a: {lr: 0.2}\n", "study.yaml:3", "'a' is given twice"),
    "an alias": ("base: &b {lr: 0.1}\nfactors:\n  a: *b\n", "study.yaml:3", "aliases (*b) are not allowed"),
    "an unknown key": ("name: x\nfactor: {a: {lr: 0.1}}\n", "study.yaml:2", "'factor'; did you mean 'factors'?"),
    "one in base": ("base:\n  epochs: 2\n  drpout: 0.2\n", "study.yaml:3", "base: unknown key 'drpout'; did you mean"),
    "one in a factor": (
        "factors:\n  a: {lr: 0.1}\n  b:\n    drpout: 0.2\n",
        "study.yaml:4",
        "factors.b: unknown key 'drpout'; did you mean 'dropout'?",
    ),
    "one in a level": (
        "design: factorial\nfactors:\n  a:\n    x: {}\n    y: {drpout: 0.2}\n",
        "study.yaml:5",
        "factors.a.y: unknown key 'drpout'; did you mean 'dropout'?",
    ),
    "a value out of bounds": (
        "base:\n  epochs: 2\n  lr: -1\n",
        "study.yaml:3",
        "base: lr '-1': must be greater than 0",
    ),
    "one in a factor, out of bounds": (
        "factors:\n  a: {lr: 0.1}\n  b: {dropout: 1.5}\n",
        "study.yaml:3",
        "factors.b: dropout '1.5': must be at most 0.99",
    ),
    "an unknown technique": ("factors:\n  a: {act: rellu}\n", "study.yaml:2", "did you mean 'relu'?"),
    "two clippings": (
        "base: {clipvalue: 1}\nfactors:\n  a: {clipnorm: 1}\n",
        "study.yaml:3",
        "clipvalue and clipnorm exclude each other",
    ),
    "factors in conflict": (
        "factors:\n  a: {lr: 0.1}\n  b: {lr: 0.2}\ncombinations:\n  - [a, b]\n",
        "study.yaml:4",
        "a and b both set lr, to 0.1 and 0.2",
    ),
    "factors in conflict, one-out": (
        "design: one-out\nfactors:\n  a: {lr: 0.1}\n  b: {lr: 0.2}\n",
        "study.yaml:3",
        "a and b both set lr, to 0.1 and 0.2",
    ),
    "an unknown factor": (
        "factors:\n  relu: {act: relu}\ncombinations:\n  - [relu, bm]\n",
        "study.yaml:3",
        "no factor 'bm'",
    ),
    "an unknown design": (
        "name: x\ndesign: one-inn\n",
        "study.yaml:2",
        "unknown design 'one-inn'; did you mean 'one-in'?",
    ),
    "an unknown baseline": (
        "design: list\nbaseline: relo\nfactors: {relu: {act: relu}}\n",
        "study.yaml:2",
        "no arm 'relo'; did you mean 'relu'?",
    ),
    "figures of an unknown arm": (
        "factors:\n  relu: {act: relu}\npublished:\n  relo: {val_acc: 0.9}\n",
        "study.yaml:4",
        "no arm 'relo'; did you mean 'relu'?",
    ),
    "an unknown figure": (
        "factors:\n  relu: {act: relu}\npublished:\n  relu: {accuracy: 0.9}\n",
        "study.yaml:4",
        "unknown metric 'accuracy'",
    ),
    "a figure that is no number": (
        "factors:\n  relu: {act: relu}\npublished:\n  relu: {val_acc: high}\n",
        "study.yaml:4",
        "val_acc must be a number, not 'high'",
    ),
    "an unknown metric": (
        "name: x\nmetric: val_ac\nfactors: {a: {lr: 1}}\n",
        "study.yaml:2",
        "did you mean 'val_acc'?",
    ),
    "bad seeds": ("name: x\nseeds: -1\nfactors: {a: {lr: 1}}\n", "study.yaml:2", "must be a count (5), or different"),
    "a seed twice": (
        "name: x\nseeds: [1, 1]\nfactors: {a: {lr: 1}}\n",
        "study.yaml:2",
        "must be a count (5), or different",
    ),
    "a seed in base": (
        "base:\n  lr: 0.1\n  seed: 3\nfactors: {a: {lr: 1}}\n",
        "study.yaml:3",
        "seed belongs under seeds",
    ),
    "seeds in base": ("base: {epochs: 2, seeds: 3}\n", "study.yaml:1", "base: seeds belongs under seeds, a key of the"),
    "arms": ("base: {epochs: 2}\narms: {a: {lr: 0.1}}\n", "study.yaml:2", "arms: a preset lists them as factors"),
    "a seed in a factor": ("factors:\n  a: {lr: 1}\n  b: {seed: 3}\n", "study.yaml:3", "seed belongs under seeds"),
    "a factor that is no mapping": ("factors:\n  a: relu\n", "study.yaml:2", "factors.a: must be settings like"),
    "a factor with a key tune": (
        "factors:\n  a:\n    act: elu\n    tune: {lr: [0.1, 1]}\n",
        "study.yaml:4",
        "at their setting: write lr: {tune: [0.1, 1]}",
    ),
    "factors that are a list": ("name: x\nfactors: [relu, bn]\n", "study.yaml:2", "must be keys with values"),
    "a base that is a word": ("name: x\nbase: relu\n", "study.yaml:2", "base: must be settings like"),
    "no factors": ("name: x\ndesign: list\n", "study.yaml", "no factors: a study needs at least one arm"),
    "an unsafe name": ("name: ../x\nfactors: {a: {lr: 1}}\n", "study.yaml:1", "must be of letters, digits"),
    "an unsafe arm": ("factors:\n  a/b: {lr: 1}\n", "study.yaml:2", "must be of letters, digits"),
    "a list": ("- a\n- b\n", "study.yaml", "like name, base and factors"),
    "a word": ("hello", "study.yaml", "like name, base and factors"),
    "nothing": ("", "study.yaml", "like name, base and factors"),
    "only a comment": ("# nothing yet\n", "study.yaml", "like name, base and factors"),
    "a foreign tag": ("base: !!python/object/apply:os.getcwd []\n", "study.yaml:1", "no valid YAML"),
    "combined in a number": (
        "factors: {a: {lr: 1}}\ncombinations: 5\n",
        "study.yaml:2",
        "must be lists of factors",
    ),
    "combined in a list": (
        "factors: {a: {lr: 1}}\ncombinations: [[a, [b]]]\n",
        "study.yaml:2",
        "no factor '['b']'",
    ),
    "a twice": (
        "factors: {a: {lr: 1}}\ncombinations: [[a, a]]\n",
        "study.yaml:2",
        "two different factors",
    ),
    "published as a number": (
        "factors: {a: {lr: 1}}\npublished: {a: 0.9}\n",
        "study.yaml:2",
        "must be metrics with values like",
    ),
    "published nan": ("factors: {a: {lr: 1}}\npublished: {a: {val_acc: .nan}}\n", "study.yaml:2", "must be a number"),
    "published with a deviation of which metric": (
        "factors: {a: {lr: 1}}\npublished:\n  a: {val_acc: 0.9, val_loss: 1, sd: 0.1}\n",
        "study.yaml:3",
        "sd could be that of val_acc or val_loss; write val_acc: {mean: 0.87, sd: 0.004, n: 5}",
    ),
    "published with a deviation twice": (
        "factors: {a: {lr: 1}}\npublished:\n  a: {val_acc: {mean: 0.9, sd: 0.1}, sd: 0.1}\n",
        "study.yaml:3",
        "sd must belong to a metric",
    ),
    "published without a mean": (
        "factors: {a: {lr: 1}}\npublished: {a: {val_acc: {n: 2}}}\n",
        "study.yaml:2",
        "val_acc: no mean",
    ),
    "published over half a run": (
        "factors: {a: {lr: 1}}\npublished: {a: {val_acc: 0.9, n: 0.5}}\n",
        "study.yaml:2",
        "n must be a number of runs, not '0.5'",
    ),
    "the deviation of one published run": (
        "factors: {a: {lr: 1}}\npublished: {a: {val_acc: 0.9, sd: 0.1, n: 1}}\n",
        "study.yaml:2",
        "sd needs an n of 2 or more",
    ),
    "a factor as baseline": ("baseline: a\nfactors: {a: {lr: 1}}\n", "study.yaml:1", "is a factor's name"),
    "two keys with factors": (
        "factors: {a: {lr: 1}}\nsweep: {act: [elu, relu]}\n",
        "study.yaml:2",
        "not with factors",
    ),
    "the design of a sweep": ("design: list\nsweep: {act: [elu, relu]}\n", "study.yaml:1", "not with sweep"),
    "a grid as design": ("factors: {a: {lr: 1}}\ndesign: grid\n", "study.yaml:2", "write grid: {…} instead of"),
    "a list under no setting": (
        "sweep:\n  act: [elu]\n  ratio: [1, 2]\n",
        "study.yaml:3",
        "sweep.ratio: a list holds the values of a setting: unknown key 'ratio'",
    ),
    "a value twice": ("sweep: {lr: [0.1, 0.10]}\n", "study.yaml:1", "sweep.lr: 0.10 is listed twice"),
    "a bad value in a list": ("grid:\n  lr: [0.1, -1]\n", "study.yaml:2", "grid.lr: lr '-1'"),
    "a list in a list": ("sweep: {hidden: [[300, 100]]}\n", "study.yaml:1", "lists values like"),
    "a list of nothing": ("sweep: {lr: []}\n", "study.yaml:1", "lists no values"),
    "a value under a setting's name": ("sweep: {lr: 0.1}\n", "study.yaml:1", "like {lr: 0.1}, or a list"),
    "several values in an arm": (
        "factors:\n  a: {lr: [0.1, 0.2]}\n",
        "study.yaml:2",
        "lr must be one value; for an arm of each, write sweep: {lr: [0.1, 0.2]}",
    ),
    "levels of what is on or off": (
        "design: one-out\nfactors:\n  bn: {bn: true}\n  lr: [0.1, 1]\n",
        "study.yaml:4",
        "has 2 levels, but in design one-out a factor is on or off",
    ),
    "two arms of one name": (
        "design: factorial\nfactors:\n  none: {lr: 0.1}\n  b: {act: elu}\n",
        "study.yaml:3",
        "two arms would be called 'none'",
    ),
    "a merge key": ("base: {<<: {lr: 1}}\nfactors: {a: {lr: 1}}\n", "study.yaml:1", "merge keys"),
    "a list as question": ("question: [x]\nfactors: {a: {lr: 1}}\n", "study.yaml:1", "must be text"),
    "comparisons within, where there are no cells": (
        "factors: {a: {lr: 1}}\nwithin: a\n",
        "study.yaml:2",
        "within: needs design: factorial, with at least two",
    ),
    "comparisons within a factor that is not there": (
        "design: factorial\nfactors: {norm: {bn: true}, rate: {lr: 1}}\nwithin: rates\n",
        "study.yaml:3",
        "no factor 'rates'; did you mean 'rate'",
    ),
    "comparisons within a factor of one level": (
        "design: factorial\nfactors:\n  norm: {none: {}}\n  rate: {lr: 1}\nwithin: norm\n",
        "study.yaml:5",
        "factor 'norm' has one level",
    ),
    "comparisons within nothing": (
        "design: factorial\nfactors: {norm: {bn: true}, rate: {lr: 1}}\nwithin: ''\n",
        "study.yaml:3",
        "no factor ''; known: norm, rate",
    ),
    "an order of one arm": ("factors: {a: {lr: 1}}\norder: a\n", "study.yaml:2", "must be a list of arms"),
    "an order of two arms": ("factors: {a: {lr: 1}}\norder: [a, baseline]\n", "study.yaml:2", "at least three arms"),
    "an order with an arm twice": (
        "factors: {a: {lr: 1}}\norder: [a, a, baseline]\n",
        "study.yaml:2",
        "'a' is named twice",
    ),
    "an order with an unknown arm": (
        "factors: {elu: {lr: 1}}\norder: [baseline, eluu]\n",
        "study.yaml:2",
        "no arm 'eluu'; did you mean 'elu'",
    ),
    "a depth without end": ("base: " + "[" * 600 + "]" * 600, "study.yaml:1", "nested more than 10 deep"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_place(mistake: str) -> None:
    text, place, what = MISTAKES[mistake]
    told = message(text)
    assert told.startswith(f"{place}: ")
    assert what in told


def test_more_runs_than_can_be_meant_are_refused_before_they_are_laid_out() -> None:
    factors = ", ".join(f"f{i}: {{lr: 0.{i + 1}}}" for i in range(60))
    assert f"at most {MOST_RUNS}" in message(f"{{design: factorial, factors: {{{factors}}}}}")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\x00\xff", b"a: \x00\x01", b"\xff\xfen\x00a\x00"])
def test_a_binary_file_is_no_preset(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "binary.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"binary\.yaml: (cannot be read|no valid YAML)"):
        load_preset(str(path))


def test_a_huge_file_is_no_preset(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(InputError, match="no preset"):
        load_preset(str(path))


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="no preset 'vanishin'; did you mean 'vanishing'"):
        load_preset("vanishin")


def test_comparisons_within_and_an_order_are_recorded_and_not_asked_of_the_tuning() -> None:
    text = (
        "design: factorial\nfactors: {norm: {bn: true}, unit: {act: elu}}\nwithin: norm\n"
        "order: [norm+unit, unit, none]\ntune: {lr: [0.01, 0.1]}\n"
    )
    study = read(text)
    assert study.tuning
    recorded, tuned = (
        study.to_record(),
        tuned_study(study, study.tuning, {arm.name: 0.1 for arm in study.arms}).to_record(),
    )
    assert (recorded.within, recorded.order) == (tuned.within, tuned.order) == ("norm", ["norm+unit", "unit", "none"])
    values = tuning_study(study, study.tuning)
    assert (values.within, values.order) == ("", ())
    plain = read("factors: {a: {lr: 1}}\n")
    assert not {"within", "order"} & plain.to_record().content().keys()
    assert replace(plain, order=("a", "b", "c")).resolves_together and not plain.resolves_together


def test_a_changed_base_is_a_study_of_its_own() -> None:
    text = "name: own\nbase: {epochs: 3}\nfactors: {bn: {bn: true}}\n"
    assert read_preset(text, "p.yaml").name == "own"
    assert read_preset(text, "p.yaml", {"lr": "0.1"}).name == "own,lr=0.1"
    schedule = "piecewise:at=1ep/2ep,factors=1/0.5/0.1"
    changed = read_preset(text, "p.yaml", {"schedule": schedule, "hidden": "300,100,300,100,300,100,300,100"})
    assert check_name(changed.name, "name") == changed.name
    assert changed.name.startswith("own,schedule=piecewise:at=1ep_2ep")


def test_a_note_says_that_it_speaks_of_other_settings() -> None:
    assert load_preset("vanishing", {"lr": 0.5}).note.endswith("preset as it is; this study has lr=0.5.)")
    assert "as it is" not in load_preset("vanishing").note


def test_every_technique_is_in_a_preset() -> None:
    specs = [arm.spec for name in shipped_presets() for arm in load_preset(name).arms]
    used = {technique.name for spec in specs for technique in techniques_of(spec)}
    used |= {spec.net.name for spec in specs} | {spec.init.name for spec in specs if spec.init}
    assert used >= OWN
