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

import numpy as np
import pytest

from dnntrain.metrics import TargetInfo
from dnntrain.reporting.gates.grammar import split_at_signs
from dnntrain.reporting.gates.scope import ABOUT_RUNS
from dnntrain.store.predictions import Predictions
from dnntrain.store.run_store import RunStore
from dnntrain.studies.presets import load_preset, shipped_presets
from tests.bench.lecture.declaration import Claim, Lecture, Reading, read_lecture
from tests.bench.lecture.judging import (
    CONTRADICTED,
    DEPENDS,
    NOT_RUN,
    SUPPORTED,
    UNDECIDED,
    JudgedClaim,
    JudgedReading,
    judge_reading,
)
from tests.bench.lecture.table import to_csv, to_json, to_markdown
from tests.bench.lecture.tables import COLUMNS, averaged_predictions

LECTURE = read_lecture()


def reading(**changes: Any) -> Reading:
    return Reading.model_validate({"name": "loss", "study": "made", "require": "elu > relu"} | changes)


def answer(word: str, estimate: float, low: float, high: float, seeds: int | None = None) -> dict[str, Any]:
    figure = f"elu - relu = {estimate:g} [{low:g}, {high:g}] (95 % interval)"
    reason = f"test_acc: {figure}, required > 0; elu: 0 of 5 runs lost, 5 of 5 planned"
    return {
        "answer": word, "reason": reason, "estimate": estimate, "low": low, "high": high, "bound": 0.0, "n": 5,
        "quantity": "test_acc", "seeds_to_decide": seeds, "arms": {"elu": {"made": 5}},
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
        columns = {*COLUMNS[table.figures]} if table else {*ABOUT_RUNS, "test_loss"}
        for requirement in each.require:
            sides = {s for sentence in split_at_signs(requirement) for s in (sentence.left, sentence.right)}
            named = {side.partition(" - ")[0] for side in sides} | sides
            measured = arms | ({f"{arm}, Monte Carlo" for arm in arms} if table else set())
            known = arms | {f"{arm}.{column}" for arm in measured for column in columns | {"test_acc"}}
            assert named & known, requirement


def test_an_unknown_study_is_refused() -> None:
    content = LECTURE.model_dump() | {"studies": {"knobs": "ablate knobs"}}
    with pytest.raises(ValueError, match="unknown study"):
        Lecture.model_validate(content)


# Verdicts


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [([HOLDS], SUPPORTED), ([FAILS], CONTRADICTED), ([OPEN], UNDECIDED), ([HOLDS, HOLDS], SUPPORTED),
     ([HOLDS, OPEN], UNDECIDED), ([HOLDS, OPEN, FAILS], CONTRADICTED)],
)  # fmt: skip
def test_a_reading_needs_all_of_its_requirements(answers: list[dict[str, Any]], verdict: str) -> None:
    judged = judge_reading(reading(), answers)
    assert judged.verdict == verdict
    assert judged.n == 5 and "[" in judged.figure and "required" not in judged.figure
    assert judged.seeds_to_decide == (34 if verdict == UNDECIDED else None)


def test_a_study_that_lacks_runs_counts_as_not_run() -> None:
    lacking = OPEN | {"reason": "unfinished: 4 of 5 planned runs were made; 0 values, but 3 are needed"}
    judged = judge_reading(reading(), [HOLDS, lacking])
    assert (judged.verdict, judged.figure) == (NOT_RUN, "unfinished: 4 of 5 planned runs were made")


def test_of_several_requirements_the_least_clear_one_is_shown() -> None:
    closer = answer("holds", 0.4, 0.1, 0.7)
    figure = judge_reading(reading(), [HOLDS, closer]).figure
    assert "relu = 0.4 [0.1, 0.7]; 2 of 2 such comparisons hold" in figure


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [([SUPPORTED, SUPPORTED], SUPPORTED), ([SUPPORTED, CONTRADICTED], DEPENDS),
     ([CONTRADICTED, UNDECIDED], CONTRADICTED), ([UNDECIDED, UNDECIDED], UNDECIDED),
     ([UNDECIDED, NOT_RUN], UNDECIDED), ([NOT_RUN], NOT_RUN)],
)  # fmt: skip
def test_a_claim_depends_where_its_readings_disagree(readings: list[str], verdict: str) -> None:
    assert claim_of(readings).verdict == verdict


def claim_of(verdicts: list[str]) -> JudgedClaim:
    declared = Claim(id="C1", says="ELU | ReLU.", readings=(reading(),))
    judged = (JudgedReading(reading(), v, "+1 [0, 2]", 5, 34, ("ablate made", "report made")) for v in verdicts)
    return JudgedClaim(declared, tuple(judged))


def test_the_table_has_figure_n_seeds_and_command() -> None:
    claims = [claim_of([UNDECIDED])]
    text = to_markdown(claims, ["a slip"], {"ablate made": (60.0, 100.0)})
    assert "| loss | undecided | +1 [0, 2]; n = 5; 34 seeds would tell |" in text
    assert "ELU &#124; ReLU." in text and "dnntrain report made" in text and "- a slip" in text
    [row] = csv.DictReader(io.StringIO(to_csv(claims)))
    assert (row["verdict"], row["n"]) == (UNDECIDED, "5")
    assert row["commands"] == "dnntrain ablate made && dnntrain report made"
    assert json.loads(to_json(claims, [], {}))["claims"][0]["readings"][0]["seeds_to_decide"] == 34


# Figures of single runs


def test_monte_carlo_predictions_are_an_arm_of_their_own(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    info = {part: TargetInfo(2) for part in ("val", "test")}
    targets = {part: np.array([0, 1]) for part in info}
    for run, passes, right in (("a1", None, 0.0), ("a1", 100, 3.0), ("b1", None, 1.0)):
        outputs = {part: np.array([[right, 0], [0, right]], np.float32) for part in info}
        store.folder(run).mkdir(parents=True, exist_ok=True)
        store.write_predictions(run, Predictions(outputs, targets, info, np.array([1, 1])), passes)
    study = tmp_path / "study"
    study.mkdir()
    (study / "results.csv").write_text("arm,seed,run\ndropout,0,a1\nnone,0,b1\n")
    rows = {row["arm"]: row["test_loss"] for row in averaged_predictions(study)}
    assert rows == pytest.approx({"dropout": math.log(2), "dropout, Monte Carlo": math.log(1 + math.exp(-3))})
