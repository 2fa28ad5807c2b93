"""Predicted times follow from what studies took on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.executors import speed
from dnntrain.executors.speed import MEMORY_SECONDS, Speed, TrainingTime, known_speed, priced_on, relative_time
from dnntrain.studies.feasibility import START_SECONDS, predicted_duration
from dnntrain.studies.study import Arm, Study
from tests.support.command import succeeds


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_mean_is_weighted_by_time_and_forgets() -> None:
    first = Speed(1.0, 0.0).with_study(10, 30)
    assert first == Speed(3.0, 30.0)
    assert first.with_study(30, 30) == Speed(2.0, 60.0)
    assert Speed(1.0, MEMORY_SECONDS).with_study(100, 600) == Speed(3.5, MEMORY_SECONDS)


def test_a_speed_is_kept_for_the_processor_and_corrects_predictions(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study("s", (Arm("only", RunSpec(epochs=2)),), (0, 1))
    before = predicted_duration(study, 1, DataLocation())
    assert relative_time() == 1 and priced_on() == speed.PRICED_ELSEWHERE
    TrainingTime(predicted=2, measured=1.9).learn()  # too little
    assert not cache.exists()
    TrainingTime(predicted=2, measured=5).learn()
    assert predicted_duration(study, 1, DataLocation()) == pytest.approx(START_SECONDS + 2.5 * (before - START_SECONDS))
    assert priced_on() == speed.PRICED_HERE
    monkeypatch.setattr(speed, "processor_name", lambda: "another")
    assert known_speed() is None


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"x": 3}', '{"NAME": ["a", "b"]}'])
def test_a_damaged_file_is_no_speed(content: str, cache: Path) -> None:
    (cache / "dnntrain").mkdir(parents=True)
    (cache / "dnntrain" / "speed.json").write_text(content.replace("NAME", speed.processor_name()))
    assert known_speed() is None
    TrainingTime(predicted=2, measured=4).learn()
    assert known_speed() == Speed(2.0, 4.0)


def test_a_study_teaches(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "LEAST_SECONDS", 0.0)
    flags = ("--hidden", "16", "--epochs", "2", "--train-size", "500", "--val", "500", "--data", "fashion-mini")
    succeeds("train", *flags, cwd=tmp_path)
    [(ratio, seconds)] = json.loads((cache / "dnntrain" / "speed.json").read_text()).values()
    record = json.loads(next(tmp_path.glob("runs/store/*/run.json")).read_text())
    assert round(seconds, 4) == record["cpu_seconds"] and 0.1 < ratio < 100
    assert "at the speed of this machine's last studies" in succeeds(
        "train", *flags, "--lr", "0.1", "--plan", cwd=tmp_path
    )
