"""`runs time`: every arm is timed equally often and in turn, nothing recorded changes, and reports use the times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.timing import ArmTimer
from dnntrain.store.timing import StudyTimes
from tests.support.inline import answer
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
    narrow = answer(["runs", "time", "small", "--rounds", "6", "--steps", "1"], furnished, width=60)
    notes = narrow.out.partition("Times: ")[2].splitlines()
    assert len(notes) > 1 and max(map(len, notes)) <= 60


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
    assert timer.steps_per_epoch == 5 and next(timer._steps).number == 14
    assert all((tensor != first[name]).any() for name, tensor in timer.population.network.parameters.items())
