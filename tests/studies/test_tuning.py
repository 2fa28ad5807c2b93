"""Each arm's own value, chosen on validation with seeds of its own."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path

import pytest

from dnntrain.errors import InputError
from dnntrain.studies.presets import read_preset
from dnntrain.studies.study import Study, Tuning
from dnntrain.studies.tuning import select_best, tuned_study, tuning_study
from tests.support.command import succeeds
from tests.support.inline import answer

PRESET = """
name: fair
base: {hidden: 8, train_size: 200, val: 200, epochs: 1}
factors: {elu: {act: elu}}
tune: {lr: [1e-4, 0.1, 1e6]}
tune_seeds: 2
seeds: 2
"""


def study() -> tuple[Study, Tuning]:
    read = read_preset(PRESET, "p.yaml")
    assert read.tuning
    return read, read.tuning


def test_tuning_seeds_are_not_those_of_the_comparison() -> None:
    made, tuning = study()
    tried = tuning_study(made, tuning)
    assert len(tried.arms) == 2 * 3
    assert not set(tried.seeds) & set(made.seeds)
    assert len(tried.seeds) == 2
    assert [arm.spec.lr for arm in tried.arms[:3]] == [1e-4, 0.1, 1e6]


def test_the_best_mean_wins_and_a_diverged_run_disqualifies() -> None:
    made, tuning = study()
    figures = {"baseline (0.0001)": [0.3, 0.5], "baseline (0.1)": [0.8, 0.1], "baseline (1000000)": [0.9, math.nan],
               "elu (0.0001)": [0.1, 0.1], "elu (0.1)": [0.6, 0.6], "elu (1000000)": [0.5, 0.6]}  # fmt: skip
    chosen = select_best(made, tuning, figures)
    assert chosen == {"baseline": 0.1, "elu": 0.1}
    tuned = tuned_study(made, tuning, chosen | {"baseline": 1e-4})
    assert [arm.spec.lr for arm in tuned.arms] == [1e-4, 0.1]
    assert tuned.baseline == made.baseline
    assert "edge of the list" in tuned.tuning_note
    assert tuned.tuning_note.endswith("baseline.")


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ("{lr: 0.1}", "must be a list"),
        ("{lr: [0.1]}", "must be a list"),
        ("{lr: [0.1, 0.1]}", "different values"),
        ("{lr: [0.1, -1]}", "greater than 0"),
        ("{lr: [1, 2], l2: [1, 2]}", "must be one field"),
        ("{act: [elu, relu]}", "is no number"),
        ("{lrr: [1, 2]}", "did you mean 'lr'"),
        ("[lr]", "must be settings"),
    ],
)
def test_a_tuning_that_cannot_be_is_refused_with_its_line(tune: str, message: str) -> None:
    with pytest.raises(InputError, match=r"p\.yaml:5: tune: ") as error:
        read_preset(PRESET.replace("{lr: [1e-4, 0.1, 1e6]}", tune), "p.yaml")
    assert message in str(error.value)


def test_what_a_factor_sets_cannot_be_tuned() -> None:
    with pytest.raises(InputError, match="it is what elu sets"):
        read_preset(PRESET.replace("{act: elu}", "{act: elu, lr: 0.1}"), "p.yaml")


OWN = """
name: own
base: {hidden: 8, train_size: 200, val: 200, epochs: 1, lr: 0.1}
design: factorial
factors:
  setting:
    low: {}
    high: {lr: 1}
  clipping:
    none: {}
    value: {clipvalue: {tune: [0.001, 0.01, 0.1]}}
    norm: {clipnorm: {tune: [0.5, 1]}}
seeds: 2
"""


def test_an_arm_can_tune_what_its_own_factor_sets() -> None:
    read = read_preset(OWN, "p.yaml")
    assert read.tuning and not read.tuning.has_fixed
    tried = tuning_study(read, read.tuning)
    assert [arm.name for arm in tried.arms[:5]] == [
        "low+value (0.001)", "low+value (0.01)", "low+value (0.1)", "low+norm (0.5)", "low+norm (1)"
    ]  # fmt: skip
    assert len(tried.arms) == 2 * 5 and {arm.spec.lr for arm in tried.arms[5:]} == {1}
    figures = {arm.name: [0.5 + number / 100] for number, arm in enumerate(tried.arms)}
    chosen = select_best(read, read.tuning, figures)
    assert chosen == {"low+value": 0.1, "low+norm": 1, "high+value": 0.1, "high+norm": 1}
    tuned = tuned_study(read, read.tuning, chosen)
    thresholds = [arm.spec.clipping and arm.spec.clipping.threshold for arm in tuned.arms]
    assert thresholds == [None, 0.1, 1, None, 0.1, 1]
    assert tuned.name == "own"  # without a comparison of fixed values there is no other
    assert "low+value clipvalue 0.1, low+norm clipnorm 1" in tuned.tuning_note
    assert tuned.tuning_note.endswith("may lie beyond: low+value, high+value.")  # a list of two has edges only
    assert [arm.tuned for arm in tuned.to_record().arms] == ["", "clipvalue", "clipnorm"] * 2


def test_arms_without_a_list_of_their_own_take_the_studys() -> None:
    read = read_preset(OWN + "tune: {batch_size: [16, 32]}\ntune_seeds: 1\n", "p.yaml")
    assert read.tuning and read.tuning.seeds == 1
    keys = {arm: tried.key for arm, tried in read.tuning.candidates.items()}
    assert keys == {
        "low+none": "batch_size", "low+value": "clipvalue", "low+norm": "clipnorm",
        "high+none": "batch_size", "high+value": "clipvalue", "high+norm": "clipnorm",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[0.5, 1]", "[0.5]", r"p\.yaml:12: factors\.clipping\.norm: clipnorm must be a list of different values"),
        ("[0.5, 1]", "[0.5, -1]", r"p\.yaml:12: factors\.clipping\.norm: clipnorm '-1': must be greater than 0"),
        ("high: {lr: 1}", "high: {act: {tune: [elu, relu]}}", r"p\.yaml:8: factors\.setting\.high: act is no number"),
        ("high: {lr: 1}", "high: {lr: {tune: [1, 2]}}", r"clipvalue would both be tuned in arm 'high\+value'"),
        ("lr: 0.1", "lr: {tune: [1, 2]}", r"p\.yaml:3: base: lr must be a value, or in a factor values to tune"),
        (
            "{tune: [0.5, 1]}",
            "{tunes: [0.5, 1]}",
            r"p\.yaml:12: .*clipnorm must be a value, or in a factor values to tune",
        ),
    ],
)
def test_a_list_of_an_arm_that_cannot_be_is_refused_with_its_line(old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_preset(OWN.replace(old, new), "p.yaml")


def test_ablate_compares_arms_with_their_own_tuned_values_at_once(tmp_path: Path) -> None:
    preset = tmp_path / "own.yaml"
    preset.write_text(OWN.replace("    high: {lr: 1}\n", "").replace("tune: [0.001, 0.01, 0.1]", "tune: [0.01, 0.1]"))
    planned = answer(["ablate", "own.yaml", "--plan"], tmp_path)
    assert "first clipvalue is tuned for low+value over 0.01, 0.1; clipnorm is tuned for low+norm" in planned.out
    assert "clipvalue=tuned" in planned.out
    all_arms = "factors:\n  a: {lr: {tune: [0.01, 0.1]}}\n  b: {act: elu, lr: {tune: [0.01, 0.1]}}\n  c: {lr: 0.01}\n"
    (tmp_path / "lr.yaml").write_text(f"base: {{train_size: 100, epochs: 1}}\ndesign: list\n{all_arms}")
    lines = [" ".join(line.split()) for line in answer(["ablate", "lr.yaml", "--plan"], tmp_path).out.splitlines()]
    assert {"a act=relu, lr=tuned", "b act=elu, lr=tuned", "c lr=0.01"} <= {*lines}
    assert not [line for line in lines if line.startswith("common: ") and "lr=" in line]
    made = answer(["ablate", "own.yaml"], tmp_path, seconds=300)
    assert made.code == 0, made.err
    words = " ".join(made.out.split())
    assert "Tuning: Tuned arms got their values on validation, over other seeds: low+value clipvalue 0." in words
    assert "The preset's note" not in words
    assert sorted(path.name for path in (tmp_path / "runs").glob("own*")) == ["own", "own-tuning"]
    rows = list(csv.DictReader(answer(["report", "runs/own", "--csv", "-"], tmp_path).out.splitlines()))
    assert [row["tuned"] for row in rows] == ["", "clipvalue", "clipnorm"]
    assert [float(row["tuned_value"] or 0) > 0 for row in rows] == [False, True, True]
    proposed = answer(["runs", "thresholds", "own"], tmp_path)
    assert proposed.code == 0, proposed.err
    for words in ("low+norm: 2 healthy runs, ", "--global-clipnorm", " clips 0 %", "{tune: ["):
        assert words in proposed.out
    numbers = re.findall(r"tune: \[(.*)\]", proposed.out)[0].split(", ")
    assert len(set(numbers)) == len(numbers)  # as a preset's list must be, though quantiles may round to one number
    kinds = json.loads(answer(["runs", "thresholds", "own", "--json"], tmp_path).out)["low+none"]["by_kind"]
    assert list(kinds) == ["clipvalue", "clipnorm", "global_clipnorm"] and kinds["clipnorm"][-1]["clips"] == 0


def test_ablate_reports_the_fixed_and_the_tuned_comparison(tmp_path: Path) -> None:
    preset = tmp_path / "fair.yaml"
    preset.write_text(PRESET)
    planned = succeeds("ablate", preset, "--plan")
    assert "then lr is tuned for each arm over 0.0001, 0.1, 1000000, and all arms train again" in planned
    assert "at what was chosen: 16 more runs" in planned
    shown = succeeds("ablate", preset, cwd=tmp_path)
    assert "fair-tuned" in shown
    assert "lr was chosen for each arm" in " ".join(shown.split())
    table = shown.split("fair-tuned")[1]
    assert "tuned lr" in table
    runs = tmp_path / "runs"
    arms = json.loads((runs / "fair-tuned" / "study.json").read_text())["arms"]
    assert {arm["settings"]["lr"] for arm in arms} == {0.1}
    exported = csv.DictReader(succeeds("report", runs / "fair-tuned", "--csv", "-").splitlines())
    assert {(row["tuned"], row["tuned_value"]) for row in exported} == {("lr", "0.1")}
    with (runs / "fair-tuning" / "results.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 12
