"""Runs as users name them: by id, by its first digits, by folder, and by a study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dnntrain.errors import InputError
from dnntrain.store.run_names import best_run, resolve_run, run_of_lowest_loss
from dnntrain.store.run_store import RunStore
from dnntrain.store.study_files import read_study
from tests.support.records import made_record
from tests.support.studies import DIVERGED, FAILED, write_study

RUNS = ("0123456789ab", "0123999999ab", *(f"beef0000000{digit}" for digit in "0123456"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    store = RunStore(tmp_path_factory.mktemp("named") / "runs")
    for run in RUNS:
        store.write(made_record(run), {"w": np.zeros(1, np.float32)})
    write_study(store.root / "feed", {"a": {"test_acc": [0.5, 0.6], "val_acc": [0.7, 0.6]}})
    return store


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("0123456789ab", "0123456789ab"),
        ("01234", "0123456789ab"),
        ("01239", "0123999999ab"),
        ("runs/store/0123456789ab", "0123456789ab"),
        ("runs/feed/01234", "0123456789ab"),
        ("runs/feed", "000000000000"),
        ("feed", "000000000000"),  # a study's name, although it could begin an id
    ],
)
def test_a_run_has_many_names(text: str, run: str, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store.root.parent)
    found, named = resolve_run(text, RunStore(Path("runs")))
    assert (found.root.resolve(), named) == (store.root, run)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0123", "'0123': 2 runs in .* begin like that: 0123456789ab, 0123999999ab; give more digits"),
        ("beef", "7 runs in .*: beef00000000, .*, beef00000004 and 2 more; give more digits"),
        ("beef00000009", "no study and no run 'beef00000009' in .*; near it: beef0000000"),
        ("012", "no study and no run '012' in .*; `dnntrain runs list --all --out .*` lists the runs"),
        ("feet", "no study and no run 'feet' in .*; near it: feed"),
        ("", "no study and no run ''"),
        ("a\0b", "no study and no run"),
    ],
)
def test_a_wrong_name_gets_at_most_five_near_ones(text: str, message: str, store: RunStore) -> None:
    with pytest.raises(InputError, match=message) as caught:
        resolve_run(text, store)
    assert sum(run in str(caught.value) for run in RUNS if run != text) <= 5


def test_the_best_run_is_of_the_best_arm_by_validation(tmp_path: Path) -> None:
    # a has the best single run and the best test score; b is better on average on the validation part
    columns = {
        "a": {"test_acc": [0.9, 0.9, 0.9], "val_acc": [0.95, 0.5, 0.5], "val_loss": [0.1, 0.9, 0.9]},
        "b": {"test_acc": [0.7, 0.7, 0.7], "val_acc": [0.8, 0.82, 0.81], "val_loss": [0.5, 0.4, 0.5]},
    }
    study = read_study(write_study(tmp_path / "study", columns))
    assert (best_run(study), run_of_lowest_loss(study)) == ("000000000004", "000000000000")


@pytest.mark.parametrize("end", [DIVERGED, FAILED])
def test_an_arm_gains_nothing_by_losing_runs(end: str, tmp_path: Path) -> None:
    columns = {
        "a": {"test_acc": [0.9, end, end], "val_acc": [0.9, end, end]},
        "b": {"test_acc": [0.8, 0.8, 0.8], "val_acc": [0.8, 0.85, 0.7]},
    }
    constants = {arm: {"val_acc": 0.1} for arm in columns}
    study = read_study(write_study(tmp_path / "study", columns, constants=constants))
    assert [*study.runs.where("run", best_run(study)).rows("arm", "seed")] == [("b", 1)]


def test_a_study_without_a_finished_run_has_no_best_one(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study", {"a": {"test_acc": [DIVERGED], "val_acc": [DIVERGED]}})
    with pytest.raises(InputError, match="study: none of its runs finished"):
        best_run(read_study(folder))
