"""Each arm's own value, chosen on validation with seeds of its own."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from dnntrain.errors import InputError
from dnntrain.studies.presets import read_preset
from dnntrain.studies.study import Study, Tuning
from dnntrain.studies.tuning import select_best, tuned_study, tuning_study
from tests.support.command import succeeds

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
    assert "edge of the list" in tuned.note
    assert tuned.note.endswith("baseline.")


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


def test_ablate_reports_the_fixed_and_the_tuned_comparison(tmp_path: Path) -> None:
    preset = tmp_path / "fair.yaml"
    preset.write_text(PRESET)
    assert "lr is tuned for each arm over 0.0001, 0.1, 1000000: 16 more runs" in succeeds("ablate", preset, "--plan")
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
