"""What the API returns: studies, their arms, figures and requirements, and comparisons of DataFrames."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import dnntrain as dt
from dnntrain.reporting.figures import FIGURE_KINDS
from tests.support.studies import DIVERGED, NOT_RUN, write_study

NOISE = np.array([0.0, 0.004, -0.003, 0.002, -0.004])
VALUES: dict[str, Any] = {
    "base": {"test_acc": [*(0.80 + NOISE)]},
    "bn": {"test_acc": [*(0.85 + NOISE[::-1])]},
    "mixup": {"test_acc": [0.80, 0.81, 0.79, 0.8, DIVERGED]},
}


@pytest.fixture
def study(tmp_path: Path) -> dt.StudyResult:
    return dt.load(write_study(tmp_path / "made", VALUES))


def test_an_arm_has_the_numbers_of_the_table(study: dt.StudyResult) -> None:
    bn, row = study["bn"], study.summary.frame.set_index("arm").loc["bn"]
    assert (bn.verdict, bn.n, bn.health) == ("better", 5, {"healthy": 5})
    assert (bn.difference, bn.interval, bn.p) == (row["difference"], (row["low"], row["high"]), row["p"])
    assert (bn.mean, bn.std) == (row["mean"], row["sd"])
    pd.testing.assert_series_equal(
        bn.values, pd.Series(VALUES["bn"]["test_acc"], index=pd.RangeIndex(5, name="seed"), name="test_acc"),
        check_index_type=False,
    )  # fmt: skip
    assert bn.runs["seed"].tolist() == [0, 1, 2, 3, 4] and {*bn.runs["arm"]} == {"bn"}
    assert repr(bn).startswith("<ArmResult bn: test_acc % 84.98") and repr(bn).endswith("better>")
    assert "bn</td>" in bn._repr_html_() and "base</td>" in bn._repr_html_() and "mixup" not in bn._repr_html_()


def test_a_baseline_and_an_arm_with_lost_runs(study: dt.StudyResult) -> None:
    base, mixup = study["base"], study["mixup"]
    assert (base.verdict, base.difference, base.interval, base.p) == ("", None, None, None)
    assert mixup.n == 5 and mixup.health == {"healthy": 4, "exploding": 1} and len(mixup.runs) == 5


def test_a_study_is_a_collection_of_arms(study: dt.StudyResult) -> None:
    assert [*study] == ["base", "bn", "mixup"] and len(study) == 3
    assert "bn" in study and "nb" not in study and 3 not in study
    with pytest.raises(dt.InputError, match="no arm 'mixupp' in made; did you mean 'mixup'"):
        study["mixupp"]
    with pytest.raises(dt.InputError, match="no arm 3 in made; known: base, bn, mixup"):
        study[3]  # type: ignore[index]


def test_results_are_compared_by_identity(study: dt.StudyResult) -> None:
    again = dt.load(study.folder)
    assert study == study and study != again and len({study, again, study.summary, study["bn"]}) == 4
    assert dt.report(study.folder).summary.frame.equals(study.summary.frame)


def test_a_summary_needs_a_single_study(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_study(tmp_path / name, VALUES)
    with pytest.raises(dt.InputError, match=r"summary: there are 2 studies \(one, two\); use studies\[0\].summary"):
        _ = dt.report(tmp_path).summary


def test_requirements_are_true_only_if_they_hold(study: dt.StudyResult) -> None:
    held = study.require("bn >= base + 0.5pp")
    assert held and repr(held).startswith("<GateResult holds: bn >= base + 0.5pp")
    several = study.require(["bn >= base", "base >= bn", "mixup >= base + 0.01pp"])
    assert isinstance(several, list)
    assert [gate.answer.name for gate in several] == ["HOLDS", "FAILS", "INCONCLUSIVE"]
    assert [bool(gate) for gate in several] == [True, False, False]
    assert not several and study.require(["bn >= base", "bn >= base - 1pp"])
    assert len({held, *several}) == 4
    wrong_ones = {
        "bn > > 3": "require 'bn > > 3'",
        "nb >= base": "no arm 'nb'",
        3: "requirement 3: must",
        (): "is none",
    }
    for wrong, said in wrong_ones.items():
        with pytest.raises(dt.InputError, match=said):
            study.require(wrong)  # type: ignore[arg-type]


def test_requirements_on_unfinished_studies_are_inconclusive(tmp_path: Path) -> None:
    values = VALUES | {"bn": {"test_acc": [0.85, 0.86, 0.85, 0.86, NOT_RUN]}}
    study = dt.load(write_study(tmp_path / "made", values))
    assert not study.require("bn >= base")
    assert study.require("bn >= base", allow_partial=True)


def test_figures_are_drawn_by_kind(study: dt.StudyResult) -> None:
    figure = study.plot("effects")
    assert isinstance(figure, Figure) and figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    with pytest.raises(dt.InputError, match=f"kind 'bars': must be one of {', '.join(FIGURE_KINDS)}, learning-curves"):
        study.plot("bars")
    with pytest.raises(dt.InputError, match="did you mean 'gradient-flow'"):
        study.plot("gradientflow")
    with pytest.raises(dt.InputError, match="kind 3: must be text"):
        study.plot(3)  # type: ignore[arg-type]
    assert not study.plot("effects", titles=False).texts
    for kind in {*FIGURE_KINDS, *(kind.file for kind in FIGURE_KINDS.values())} - {"effects", "time"}:
        with pytest.raises(dt.InputError, match=f"kind '{kind}'"):
            study.plot(kind)


FRAME = pd.DataFrame(
    {
        "model": pd.Categorical([name for name in VALUES for _ in range(5)]),
        "seed": [0, 1, 2, 3, 4] * 3,
        "f1": [value if isinstance(value, float) else None for arm in VALUES.values() for value in arm["test_acc"]],
    }
)


def test_a_frame_is_compared_as_its_csv_is(tmp_path: Path) -> None:
    columns: dict[str, Any] = {
        "arm": "model",
        "seed": "seed",
        "value": "f1",
        "baseline": "base",
        "lost_value": {"f1": 0},
    }
    compared = dt.compare(FRAME, **columns)
    path = tmp_path / "runs.csv"
    FRAME.to_csv(path, index=False)
    table = dt.compare(path, **columns).summary.frame.drop(columns="study")
    pd.testing.assert_frame_equal(compared.summary.frame.drop(columns="study"), table)
    assert compared.studies[0]["bn"].verdict == "better" and compared.studies[0].require("bn >= base + 0.01")
    halves = [FRAME[:7], path]
    with pytest.raises(dt.InputError, match="DataFrame 1: row 0"):
        dt.compare(halves, **columns)
    assert pd.read_csv(io.StringIO(compared.to_csv()))["arm"].tolist() == ["base", "bn", "mixup"]


@pytest.mark.parametrize(
    ("frame", "changes", "said"),
    [
        (FRAME, {"arm": ""}, "arm: needed to read a DataFrame"),
        (FRAME, {"value": "f2"}, "value f2: no such column"),
        (FRAME[:0], {}, "DataFrame 1: no rows"),
        (FRAME.assign(f1="x"), {}, "DataFrame 1: row 0: f1 'x' is not a number"),
        (FRAME.set_axis(["model", "seed", "seed"], axis=1), {}, "two columns are named 'seed'"),
        (FRAME, {"lost_value": {"f1": "a"}}, "lost_value {'f1': 'a'}: must be a dict"),
    ],
)
def test_wrong_frames_are_errors(frame: pd.DataFrame, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(dt.InputError, match=said):
        dt.compare(frame, **{"arm": "model", "seed": "seed", "value": "f1"} | changes)


def test_settings_that_are_numbers_are_numeric_columns(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"train_size": 60, "val": 60, "seeds": 1, "epochs": 1, "out": tmp_path}
    study = dt.ablate(factors={"lr": [0.1, 0.02], "hidden": ["4", "4,3"], "dropout": [0.2]}, **settings)
    assert study.runs["lr"].max() == 0.1 and study.runs["dropout"].max() == 0.2
    assert "4,3" in set(study.runs["hidden"])
