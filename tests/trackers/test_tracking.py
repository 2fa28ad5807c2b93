"""How studies come to trackers, live and afterwards, with a tracker in memory; and what is an error."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import dnntrain as dt
from dnntrain.studies.callbacks import StudyCallback
from dnntrain.trackers.base import RunLog, TrackedRun, Tracker
from dnntrain.trackers.registry import TRACKERS, create_tracker, read_trackers
from tests.support.command import error_of, succeeds
from tests.support.tracked import Logged, assert_same
from tests.trackers.conftest import SETTINGS


class Memory(Tracker):
    """Keeps what it is sent. `fails` names a method that raises an error."""

    name, summary, needs, default = "memory", "a dictionary", "memory", "here"

    def __init__(self, fails: str = "", where: str | None = None) -> None:
        super().__init__(where)
        self.fails = fails
        self.runs: dict[TrackedRun, MemoryLog] = {}
        self.opened: list[TrackedRun] = []
        self.studies: list[str] = []

    def may_fail(self, method: str) -> None:
        if method == self.fails:
            raise OSError("no space left")

    def logged(self, study: str) -> set[TrackedRun]:
        self.may_fail("logged")
        return {run for run, log in self.runs.items() if log.is_whole and run.study == study}

    def open(self, run: TrackedRun) -> RunLog:
        self.may_fail("open")
        self.opened.append(run)
        log = self.runs[run] = MemoryLog(self, run)
        return log

    def log_study(self, result: dt.StudyResult) -> None:
        self.may_fail("log_study")
        self.studies.append(result.name)

    def content(self) -> dict[tuple[str, int], Logged]:
        return {(run.arm, run.seed): log.content for run, log in self.runs.items()}


class MemoryLog(RunLog):
    def __init__(self, tracker: Memory, run: TrackedRun) -> None:
        self.tracker, self.content, self.is_whole, self.is_closed = tracker, Logged(run.names), False, False
        self.settings = run.settings

    def log_epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        self.tracker.may_fail("log_epoch")
        for series, value in values.items():
            self.content.add(series, epoch, value)

    def finish(self, results: Mapping[str, float], outcome: Mapping[str, str]) -> None:
        self.content.results = {name.removeprefix("results/"): value for name, value in results.items()}
        self.content.names = self.content.names | dict(outcome)
        self.is_whole = True

    def close(self) -> None:
        self.is_closed = True


class Interrupt(StudyCallback):
    """Interrupts a study when so many epochs were trained."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def progress(self, event: Any) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_a_recorded_study_and_one_in_training_are_logged_alike(recorded: dt.StudyResult, runs: Path) -> None:
    afterwards, live = Memory(), Memory()
    assert dt.track(recorded, afterwards) == 6
    assert_same(afterwards.content(), recorded.folder)
    trained = dt.ablate(**SETTINGS, out=runs, track=live)
    assert_same(live.content(), trained.folder)
    assert live.studies == afterwards.studies == ["tracked"]
    settings = {run: log.settings for run, log in live.runs.items()}
    assert settings == {run: log.settings for run, log in afterwards.runs.items()}
    assert {each["act"] for each in settings.values()} == {"relu", "elu"}


def test_epochs_appear_while_the_study_trains(runs: Path) -> None:
    tracker = Memory()

    class Looks(StudyCallback):
        epochs: list[int] = []

        def progress(self, event: Any) -> None:
            # before the trackers' turn
            self.epochs.append(max((log.epochs for log in tracker.runs.values()), default=0))

    dt.train(hidden="4", epochs=3, train_size=60, val=60, out=runs, progress=Looks(), track=tracker)
    assert Looks.epochs == [0, 1, 2]


@pytest.mark.parametrize("checkpoint_every", [1, None], ids=["with a checkpoint", "without one"])
def test_an_interrupted_study_is_continued_without_twofold_epochs(runs: Path, checkpoint_every: int | None) -> None:
    tracker = Memory()
    more = {"out": runs, "track": tracker, "checkpoint_every": checkpoint_every}
    with pytest.raises(KeyboardInterrupt):
        dt.ablate(**SETTINGS, **more, progress=Interrupt(3))
    left = [log for log in tracker.runs.values() if not log.is_whole]
    assert left and all(log.epochs == 2 and log.is_closed for log in left)
    trained = dt.ablate(**SETTINGS, **more)
    assert_same(tracker.content(), trained.folder)
    assert len(tracker.opened) == 6 + len(left)


def test_runs_that_are_there_are_not_logged_again(runs: Path) -> None:
    tracker, settings = Memory(), SETTINGS | {"out": runs}
    dt.ablate(**settings | {"seeds": 1})  # recorded earlier, without the tracker
    study = dt.ablate(**settings, track=[tracker])
    assert_same(tracker.content(), study.folder)
    dt.ablate(**settings, track=[tracker])
    assert dt.track(study.folder, tracker) == 0
    assert len(tracker.opened) == 6 and tracker.studies == ["tracked"] * 3


def test_arms_with_the_same_settings_are_logged_one_by_one(runs: Path) -> None:
    tracker = Memory()
    settings: dict[str, Any] = {"hidden": "4", "epochs": 1, "train_size": 60, "val": 60, "seeds": 1, "out": runs}
    with pytest.warns(UserWarning, match="have the same settings"):
        study = dt.ablate(arms={"same": {}}, track=tracker, **settings)
    assert study.runs["run"].nunique() == 1
    assert {run.arm for run in tracker.runs} == {"base", "same"}
    assert_same(tracker.content(), study.folder)


def test_the_stages_of_a_transfer_are_one_run(runs: Path) -> None:
    tracker, small = Memory(), {"train_size": 60, "val": 60, "epochs": 2, "out": runs}
    source = dt.train(hidden="8,6", **small)
    study = dt.transfer(source, seeds=1, unfreeze_layers="all", freeze_epochs=1, scratch=False, track=tracker, **small)
    assert_same(tracker.content(), study.folder)
    [log] = tracker.runs.values()
    assert [*log.content.curves["grad_norm/1"]] == [2], "frozen in the first epoch"


@pytest.mark.parametrize("method", ["logged", "open", "log_epoch", "log_study"])
def test_a_tracker_that_fails_costs_no_run(method: str, runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    failing, other = Memory(fails=method), Memory(where="elsewhere")
    study = dt.ablate(**SETTINGS, out=runs, track=[failing, other])
    assert_same(other.content(), study.folder)
    warning = capfd.readouterr().err
    assert warning.count("warning: memory failed") == 1 and "OSError: no space left" in warning
    assert "`dnntrain runs track tracked --to memory`" in warning
    failing.fails = ""
    dt.track(study, failing)
    assert_same(failing.content(), study.folder)


def test_a_tracker_that_fails_afterwards_is_an_error(recorded: dt.StudyResult) -> None:
    with pytest.raises(dt.DnntrainError, match="tracker memory: OSError: no space left"):
        dt.track(recorded, Memory(fails="open"))


@pytest.mark.extras
def test_a_place_that_is_a_file_is_named(recorded: dt.StudyResult, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(dt.DnntrainError, match=r"tracker tensorboard: .*file/\w+: Not a directory"):
        dt.track(recorded, "tensorboard", tmp_path / "file")


def test_a_study_without_its_runs_is_an_error(recorded: dt.StudyResult, tmp_path: Path) -> None:
    alone = tmp_path / "tracked"
    alone.mkdir()
    for name in ("study.json", "results.csv", "history.csv"):
        (alone / name).write_bytes((recorded.folder / name).read_bytes())
    with pytest.raises(dt.InputError, match=r"the record of run \w+ is not in"):
        dt.track(alone, Memory())


@pytest.mark.parametrize(
    ("track", "message"),
    [
        ("tensorbord", "unknown tracker 'tensorbord'; did you mean 'tensorboard'?"),
        ("mlflow:", "track 'mlflow:': names no place after the colon"),
        (3, "track [3]: must be text, a Tracker, or a list"),
    ],
)
def test_wrong_trackers_are_errors_before_anything_is_trained(track: Any, message: str, runs: Path) -> None:
    with pytest.raises(dt.InputError) as caught:
        dt.train(out=runs, hidden="4", track=[track])
    assert message in str(caught.value) and not runs.exists()


def test_trackers_have_folders_of_their_own(recorded: dt.StudyResult, runs: Path) -> None:
    first, second = Memory(), Memory()
    with pytest.raises(dt.InputError, match="trackers memory and memory: both log to here"):
        dt.train(out=runs, hidden="4", track=[first, second])
    first.where = str(runs)
    with pytest.raises(dt.InputError, match="is where runs are recorded; name another folder"):
        dt.train(out=runs, hidden="4", track=first)
    assert not runs.exists()
    first.where = str(recorded.folder.parent)
    with pytest.raises(dt.InputError, match="is where runs are recorded; name another folder"):
        dt.track(recorded, first)


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_package_is_an_error_before_anything_is_trained(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for loaded in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    install = f"pip install 'dnntrain[{name}]'"
    assert install in error_of("train", "--hidden", "4", "--track", f"{name}:logs", cwd=tmp_path)
    assert install in error_of("ablate", "vanishing", "--track", name, cwd=tmp_path)
    assert install in error_of("transfer", "transfer-ladder", "--track", name, cwd=tmp_path)
    with pytest.raises(dt.InputError, match="its package cannot be imported"):
        read_trackers(name)
    assert not [*tmp_path.iterdir()]


def test_the_command_names_what_it_does_not_know(recorded: dt.StudyResult, tmp_path: Path) -> None:
    assert "unknown tracker 'mlflo'; did you mean 'mlflow'?" in error_of("runs", "track", "tracked", "--to", "mlflo")


def test_the_command_logs_studies_by_name(
    recorded: dt.StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = Memory()
    monkeypatch.setitem(TRACKERS, "memory", lambda where: tracker)  # type: ignore[arg-type]
    runs = ("--runs", recorded.folder.parent)
    assert succeeds("runs", "track", "tracked", "--to", "memory", *runs).startswith("tracked: 6 of 6 runs logged")
    assert_same(tracker.content(), recorded.folder)
    assert "0 of 6 runs logged to memory (here); 6 were there" in succeeds(
        "runs", "track", recorded.folder, "--to", "memory", cwd=tmp_path
    )
    assert "no study 'trackd' in" in error_of("runs", "track", "trackd", "--to", "memory", *runs)


def test_a_tracker_has_a_name_a_summary_and_a_default_place() -> None:
    for name, tracker in TRACKERS.items():
        assert tracker.name == name and tracker.summary and tracker.default and tracker.needs == f"dnntrain[{name}]"
    with pytest.raises(dt.InputError, match="where logs: the tracker has a place of its own, here"):
        dt.track("nowhere", Memory(), where="logs")
    with pytest.raises(dt.InputError, match="unknown tracker 'aim'"):
        create_tracker("aim")
