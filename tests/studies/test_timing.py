"""`runs time`: every arm is timed equally often and in turn, nothing recorded changes, and reports use the times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dnntrain.analysis.summary import summarize
from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.timing import ArmTimer
from dnntrain.reporting.exports.csv_json import to_json
from dnntrain.reporting.footer import footer
from dnntrain.reporting.gates import GateStatus, judge
from dnntrain.reporting.tables import runs_table
from dnntrain.store.records import EnvironmentRecord
from dnntrain.store.study_files import read_study
from dnntrain.store.timing import FILE_NAME, ArmTimes, StudyTimes
from tests.support.inline import answer
from tests.support.studies import write_study
from tests.support.trial import furnish

ROUNDS = 8


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("timing")
    furnish(folder)
    return folder


def test_every_arm_is_timed_in_every_round_and_no_record_changes(furnished: Path) -> None:
    study = furnished / "runs" / "small"
    before = {path: path.read_bytes() for path in (furnished / "runs").rglob("*") if path.is_file()}
    given = answer(["runs", "time", "small", "--rounds", "6", "--steps", "3", "--json"], furnished)
    assert given.code == 0, given
    assert all(path.read_bytes() == content for path, content in before.items())
    times = StudyTimes.read(study)
    assert times is not None and times.content() == json.loads(given.out)
    assert times.members == 2 and [*times.arms] == ["baseline", "elu", "bn"]
    assert all(len(arm.step) == len(arm.test) == 6 and min(arm.step + arm.test) > 0 for arm in times.arms.values())
    assert answer(["runs", "verify"], furnished).code == 0


def test_what_cannot_be_timed_is_refused(furnished: Path) -> None:
    for words, said in (
        (["small", "--rounds", "5"], "rounds 5: the interval of a median needs at least 6"),
        (["small", "--seeds", "0"], "seeds 0: must be at least 1"),
        (["smal"], "no study 'smal' in runs; did you mean 'small'"),
    ):
        given = answer(["runs", "time", *words], furnished)
        assert given.code == 2 and said in given.err
    assert answer(["transfer", "--from", "small", "--classes", "sandal,shirt", "--epochs", "2", "--seeds", "1",
                   "--val", "200", "--train-size", "40", "--name", "moved"],
                  furnished).code == 0  # fmt: skip
    given = answer(["runs", "time", "moved"], furnished)
    assert given.code == 2 and "arm transfer: reuses a network" in given.err


def test_a_timer_takes_the_steps_of_training_and_counts_them(mini: Dataset) -> None:
    """13 steps are two epochs of 5 and 3 more; the schedule goes around with them."""
    spec = RunSpec.parse({"hidden": "4", "train_size": 100, "val": 60, "batch_size": 20, "schedule": "1cycle"})
    timer = ArmTimer([spec, spec.model_copy(update={"seed": 1})], mini)
    first = {name: tensor.clone() for name, tensor in timer.population.network.parameters.items()}
    timer.step_seconds(13)
    timer.test_seconds()
    assert timer.steps_per_epoch == 5 and timer.population.steps == 13
    assert all((tensor != first[name]).any() for name, tensor in timer.population.network.parameters.items())


@pytest.fixture
def timed(tmp_path: Path) -> Path:
    """A study of three arms, of which the last was trained anew after it had been timed."""
    folder = write_study(tmp_path / "made", {arm: {"test_acc": [0.8, 0.81, 0.82]} for arm in ("relu", "bn", "new")})
    base = [1e-3 * (1 + n) for n in range(ROUNDS)]
    arms = {
        arm: ArmTimes(run=run, steps_per_epoch=50, step=[factor * t for t in base], test=[t / 100 for t in base])
        for arm, run, factor in (("relu", f"{0:012x}", 1.0), ("bn", f"{3:012x}", 1.5), ("new", "other", 9.0))
    }
    StudyTimes(members=3, steps=20, environment=EnvironmentRecord(), arms=arms).write(folder)
    return folder


def test_reports_show_ratios_instead_of_seconds(timed: Path) -> None:
    summary = summarize(read_study(timed))
    table = runs_table(summary)
    assert [*table.headings[2:4]] == ["step ×", "test ×"] and "s/run" not in table.headings
    assert [row[2:4] for row in table.rows] == [["1", "1"], ["1.50 [1.50, 1.50]", "1"], ["", ""]]
    assert any(line.startswith("Times: processor time of one run in a population of 3") for line in footer(summary))
    costs = json.loads(to_json([summary]))["studies"][0]["times"]["costs"]
    assert costs["bn"]["step_ratio"] == pytest.approx({"mean": 1.5, "low": 1.5, "high": 1.5})
    assert costs["bn"]["epoch"] == pytest.approx(50 * 1.5 * 4.5e-3) and "new" not in costs


def test_requirements_are_on_the_ratios_of_a_round(timed: Path) -> None:
    study = [read_study(timed)]
    for requirement, answered in (
        ("bn.step_time <= 1.6 * base", GateStatus.HOLDS),
        ("bn.step_time <= 1.4 * relu.step_time", GateStatus.FAILS),
        ("bn.test_time <= base", GateStatus.HOLDS),
        ("bn.step_time < 1", GateStatus.HOLDS),
        ("bn.step_time < 0.006", GateStatus.INCONCLUSIVE),
    ):
        [result] = judge(requirement, study)
        assert result.answer is answered, result


def test_a_study_or_an_arm_without_times_says_how_to_get_them(timed: Path) -> None:
    given = answer(["report", str(timed), "--require", "new.step_time < base"], timed)
    assert given.code == 2 and "new of made was not timed; `dnntrain runs time` does" in given.err
    (timed / FILE_NAME).write_text('{"arms": {}}')
    given = answer(["report", str(timed)], timed)
    assert given.code == 2 and f"{FILE_NAME}: no times of a study" in given.err
    (timed / FILE_NAME).unlink()
    given = answer(["report", str(timed), "--require", "bn.step_time < base"], timed)
    assert given.code == 2 and "made was not timed; `dnntrain runs time made` does" in given.err
