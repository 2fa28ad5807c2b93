"""The lecture's claims: each is put to a study that exists, and its verdict follows from the answers."""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dnntrain.reporting.gates.grammar import split_at_signs
from dnntrain.reporting.gates.scope import ABOUT_RUNS
from dnntrain.studies.presets import load_preset, shipped_presets
from tests.bench.lecture.declaration import Claim, Lecture, Reading, read_lecture
from tests.bench.lecture.judging import (
    CONTRADICTED,
    DEPENDS,
    NOT_RUN,
    SUPPORTED,
    UNTOLD,
    JudgedClaim,
    JudgedReading,
    judge_reading,
)
from tests.bench.lecture.table import to_csv, to_json, to_markdown
from tests.bench.lecture.tables import times_to_target

LECTURE = read_lecture()
TABLE_COLUMNS = {"sensitivity": {"factor", "slope", "weights"}, "time to target": {"epochs", "seconds"}}


def reading(**changes: Any) -> Reading:
    return Reading.model_validate({"name": "loss", "study": "made", "require": "elu > relu"} | changes)


def answer(word: str, estimate: float, low: float, high: float, seeds: int | None = None) -> dict[str, Any]:
    reason = f"test_acc: elu - relu = {estimate:g} (95 % interval), required > 0; elu: 0 of 5 runs lost, 5 of 5 planned"
    return {
        "answer": word, "reason": reason, "estimate": estimate, "low": low, "high": high, "bound": 0.0, "n": 5,
        "seeds_to_decide": seeds, "arms": {"elu": {"made": 5}},
    }  # fmt: skip


HOLDS, FAILS = answer("holds", 2.0, 1.0, 3.0), answer("fails", -2.0, -3.0, -1.0)
OPEN = answer("inconclusive", 0.5, -0.5, 1.5, seeds=34)


# What is declared


def test_all_26_claims_are_declared() -> None:
    assert [claim.id for claim in LECTURE.claims] == [f"C{n}" for n in range(1, 27)]


def arms_of(command: str) -> set[str]:
    verb, preset, *options = shlex.split(command)
    assert verb == "ablate" and preset in shipped_presets()
    sets = [value for flag, value in pairwise(options) if flag == "--set"]
    study = load_preset(preset, dict(text.split("=", 1) for text in sets))
    assert study.name == next(name for name, commands in LECTURE.studies.items() if command in commands).removesuffix(
        "-tuned"
    )
    return {arm.name for arm in study.arms}


@pytest.mark.parametrize("study", LECTURE.studies)
def test_every_requirement_names_arms_of_its_study(study: str) -> None:
    arms = arms_of(LECTURE.studies[study][0])
    readings = [r for claim in LECTURE.claims for r in claim.readings if LECTURE.study_of(r) == study]
    assert readings, "no claim needs it"
    for each in readings:
        table = LECTURE.tables.get(each.study)
        columns = TABLE_COLUMNS[table.figures] if table else {*ABOUT_RUNS, "test_loss", "mc_test_loss", "mc_test_acc"}
        for requirement in each.require:
            sides = {s for sentence in split_at_signs(requirement) for s in (sentence.left, sentence.right)}
            named = {side.partition(" - ")[0] for side in sides} | sides
            known = arms | {f"{arm}.{column}" for arm in arms for column in columns | {"test_acc"}}
            assert named & known, requirement


def test_an_unknown_study_is_refused() -> None:
    content = LECTURE.model_dump() | {"studies": {"knobs": "ablate knobs"}}
    with pytest.raises(ValueError, match="unknown study"):
        Lecture.model_validate(content)


# Verdicts


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [([HOLDS], SUPPORTED), ([FAILS], CONTRADICTED), ([OPEN], UNTOLD), ([HOLDS, HOLDS], SUPPORTED),
     ([HOLDS, OPEN], UNTOLD), ([HOLDS, OPEN, FAILS], CONTRADICTED)],
)  # fmt: skip
def test_a_reading_needs_all_of_its_requirements(answers: list[dict[str, Any]], verdict: str) -> None:
    judged = judge_reading(reading(), answers)
    assert judged.verdict == verdict
    assert judged.n == 5 and "(95 % interval)" in judged.figure
    assert judged.seeds_to_decide == (34 if verdict == UNTOLD else None)


def test_of_several_requirements_the_least_clear_one_is_shown() -> None:
    closer = answer("holds", 0.4, 0.1, 0.7)
    figure = judge_reading(reading(), [HOLDS, closer]).figure
    assert "relu = 0.4" in figure and "2 of 2 hold" in figure


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [([SUPPORTED, SUPPORTED], SUPPORTED), ([SUPPORTED, CONTRADICTED], DEPENDS), ([CONTRADICTED, UNTOLD], CONTRADICTED),
     ([UNTOLD, UNTOLD], UNTOLD), ([UNTOLD, NOT_RUN], UNTOLD), ([NOT_RUN], NOT_RUN)],
)  # fmt: skip
def test_a_claim_depends_where_its_readings_disagree(readings: list[str], verdict: str) -> None:
    assert claim_of(readings).verdict == verdict


def claim_of(verdicts: list[str]) -> JudgedClaim:
    declared = Claim(id="C1", says="ELU | ReLU.", readings=(reading(),))
    judged = (JudgedReading(reading(), v, "+1 [0, 2]", 5, 34, ("ablate made", "report made")) for v in verdicts)
    return JudgedClaim(declared, tuple(judged))


def test_the_table_has_figure_n_seeds_and_command() -> None:
    claims = [claim_of([UNTOLD])]
    text = to_markdown(claims, ["a slip"], {"ablate made": 60.0})
    assert "not told apart** (+1 [0, 2]; n = 5; 34 seeds would tell)" in text
    assert "ELU &#124; ReLU." in text and "dnntrain report made" in text and "- a slip" in text
    [row] = csv.DictReader(io.StringIO(to_csv(claims)))
    assert (row["verdict"], row["n"], row["commands"]) == (UNTOLD, "5", "dnntrain ablate made && dnntrain report made")
    assert json.loads(to_json(claims, [], {}))["claims"][0]["readings"][0]["seeds_to_decide"] == 34


# Figures of single runs


def test_time_to_target_is_the_first_epoch_as_good_as_the_baselines_last(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps({"baseline": "none"}))
    times = {arm: {"step": [0.1, 0.2, 0.9], "steps_per_epoch": 10} for arm in ("none", "bn", "slow")}
    (tmp_path / "timing.json").write_text(json.dumps({"arms": times}))
    values = {"none": (0.5, 0.6, 0.8), "bn": (0.7, 0.8, 0.9), "slow": (0.1, 0.2, 0.3)}
    rows = [f"{arm},0,{n},{value}" for arm, of in values.items() for n, value in enumerate(of, 1)]
    (tmp_path / "history.csv").write_text("\n".join(["arm,seed,epoch,val_acc", *rows]))
    epochs = {row["arm"]: (row["epochs"], row["seconds"]) for row in times_to_target(tmp_path)}
    assert {arm: n for arm, (n, _) in epochs.items()} == {"none": 3, "bn": 2, "slow": 4}
    assert math.isclose(epochs["bn"][1], 4.0)
