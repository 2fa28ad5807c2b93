"""TensorBoard, W&B and MLflow hold what results.csv and history.csv hold, as their own libraries read it. Offline."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import dnntrain as dt
from tests.support.command import environment, succeeds
from tests.support.tracked import Logged, assert_same
from tests.support.wandb_file import items, read_whole
from tests.trackers.conftest import SETTINGS
from tests.trackers.test_tracking import Interrupt

pytestmark = [
    pytest.mark.extras,
    pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning"),  # an artifact of W&B
]

NAMES = ("study", "arm", "seed", "run", "status", "health")
TRACKERS = ("tensorboard", "wandb", "mlflow")
FLOAT32 = 1e-6
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "WANDB_ERROR_REPORTING": "false"}
"""Nothing is to be sent."""


@pytest.fixture(autouse=True, scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """As for a user who is not logged in anywhere."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            *("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"),
            *("MLFLOW_TRACKING_URI", "MLFLOW_ALLOW_FILE_STORE"),
        ):
            patch.delenv(name, raising=False)
        for name, value in QUIET.items():
            patch.setenv(name, value)
        for name in ("HOME", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
            patch.setenv(name, str(home))
        yield
        if "wandb" in sys.modules:
            sys.modules["wandb"].teardown()


def named(found: dict[str, Any]) -> dict[str, str]:
    return {name: str(found[name]) for name in NAMES}


def split(curves: dict[str, dict[int, float]]) -> tuple[dict[str, dict[int, float]], dict[str, float]]:
    """Curves and final results, each of which is one point."""
    finals = {series: points for series, points in curves.items() if series.startswith("results/")}
    results = {}
    for series, points in finals.items():
        [results[series.removeprefix("results/")]] = points.values()
    return {series: points for series, points in curves.items() if series not in finals}, results


def read_tensorboard(where: Path) -> dict[tuple[str, int], Logged]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    runs = {}
    for folder in sorted(where.glob("tracked/*/seed-*")):
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()
        log = Logged()
        for tag in events.Tags()["scalars"]:
            for point in events.Scalars(tag):
                log.add(tag, point.step, point.value)
        log.curves, log.results = split(log.curves)
        [text] = events.Tensors("run")
        lines = text.tensor_proto.string_val[0].decode().splitlines()
        log.names = named(dict(line.removeprefix("- ").split(": ", 1) for line in lines))
        runs[folder.parent.name, int(folder.name.removeprefix("seed-"))] = log
    return runs


def read_mlflow(where: Path) -> dict[tuple[str, int], Logged]:
    from mlflow import MlflowClient

    assert "MLFLOW_ALLOW_FILE_STORE" not in os.environ, "the tracker left it as it was"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # for a client that reads a folder
        client, runs = MlflowClient(where.as_uri(), registry_uri=where.as_uri()), {}
    for run in client.search_runs([client.get_experiment_by_name("tracked").experiment_id]):
        if "dnntrain.study" in run.data.tags:
            continue
        log = Logged(named(run.data.tags))
        for key in run.data.metrics:
            for point in client.get_metric_history(run.info.run_id, key):
                log.add(key, point.step, point.value)
        log.curves, log.results = split(log.curves)
        key = log.names["arm"], int(log.names["seed"])
        assert run.info.status == "FINISHED" and key not in runs
        assert run.data.params["hidden"] == ("10" if key[0] == "elu, wide" else "8,6")
        runs[key] = log
    return runs


def read_wandb(where: Path) -> dict[tuple[str, int], Logged]:
    runs: dict[tuple[str, int], Logged] = {}
    for path in where.glob("wandb/offline-run-*/*.wandb"):
        log, config, summary = Logged(), {}, {}
        for record in read_whole(path):
            if record.WhichOneof("record_type") == "run":
                config |= items(record.run.config.update)
                project, group = record.run.project, record.run.run_group
            for series, value in items(record.history.item).items():
                if not series.startswith("_") and series != "epoch" and config.get("arm"):
                    log.add(series, record.history.step.num, value)
            summary |= items(record.summary.update)
        assert project == "dnntrain"
        if "arm" in config:
            log.names = named(config | summary)
            log.results = {key[8:]: value for key, value in summary.items() if key.startswith("results/")}
            key = config["arm"], config["seed"]
            assert group == f"tracked: {config['arm']}" and key not in runs and config["epochs"] == 3
            runs[key] = log
    return runs


READERS: dict[str, Callable[[Path], dict[tuple[str, int], Logged]]] = {
    "tensorboard": read_tensorboard,
    "wandb": read_wandb,
    "mlflow": read_mlflow,
}


def assert_holds(tracker: str, where: Path, study: dt.StudyResult) -> None:
    """Check all runs that a tracker holds, and the study's own files."""
    assert_same(READERS[tracker](where), study.folder, precision=FLOAT32 if tracker == "tensorboard" else 1e-15)
    table = study.summary.frame.to_csv(index=False)
    if tracker == "wandb":
        return assert_wandb_has_the_study(where, table)
    pattern = {"tensorboard": "tracked/summary.csv", "mlflow": "*/*/artifacts/summary.csv"}[tracker]
    [file] = where.glob(pattern)
    assert file.read_text() == table
    for name in ("study.json", "results.csv", "history.csv"):
        assert file.with_name(name).read_bytes() == (study.folder / name).read_bytes()
    return None


def assert_wandb_has_the_study(where: Path, table: str) -> None:
    [path] = where.glob("wandb/offline-run-*/files/summary.csv")
    assert path.read_text() == table
    [run] = path.parents[1].glob("*.wandb")
    records = read_whole(run)
    artifacts = [record.artifact for record in records if record.WhichOneof("record_type") == "artifact"]
    artifacts += [record.request.log_artifact.artifact for record in records if record.request.HasField("log_artifact")]
    [artifact] = [each for each in artifacts if each.type == "study"]  # W&B makes one of the table, too
    files = {entry.path for entry in artifact.manifest.contents}
    assert files == {"summary.csv", "study.json", "results.csv", "history.csv"}
    [shown] = [items(record.history.item) for record in records if record.history.item]
    assert shown["summary/nrows"] == len([*csv.reader(io.StringIO(table))]) - 1


@pytest.fixture(params=TRACKERS)
def tracker(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


def test_a_recorded_study_is_logged_once(tracker: str, recorded: dt.StudyResult, tmp_path: Path) -> None:
    assert dt.track(recorded, tracker, where=tmp_path) == 6
    assert_holds(tracker, tmp_path, recorded)
    assert dt.track(recorded.folder, tracker, where=tmp_path) == 0
    assert_holds(tracker, tmp_path, recorded)


def test_an_interrupted_study_is_logged_while_it_trains(tracker: str, tmp_path: Path) -> None:
    more = {"out": tmp_path / "runs", "track": f"{tracker}:{tmp_path / 'logs'}", "checkpoint_every": 1}
    with pytest.raises(KeyboardInterrupt):
        dt.ablate(**SETTINGS, **more, progress=Interrupt(3))
    study = dt.ablate(**SETTINGS, **more)
    assert_holds(tracker, tmp_path / "logs", study)


def test_tensorboard_shows_settings_and_the_summary(recorded: dt.StudyResult, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG, parse_session_start_info_plugin_data

    dt.track(recorded, "tensorboard", where=tmp_path)
    run = EventAccumulator(str(tmp_path / "tracked" / "elu, wide" / "seed-1")).Reload()
    content = run.SummaryMetadata(SESSION_START_INFO_TAG).plugin_data.content
    settings = parse_session_start_info_plugin_data(content).hparams
    assert settings["act"].string_value == "elu" and settings["seed"].number_value == 1 and settings["bn"].bool_value
    [summary] = EventAccumulator(str(tmp_path / "tracked")).Reload().Tensors("summary")
    assert "| elu, wide |" in summary.tensor_proto.string_val[0].decode()


def test_wandb_leaves_no_process_and_asks_for_nothing(recorded: dt.StudyResult, tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    mark = uuid.uuid4().hex
    command = [sys.executable, "-m", "dnntrain", "runs", "track", str(recorded.folder), "--to", "wandb"]
    env = environment(MARK=mark, PYTHONPATH=str(Path(__file__).parents[2]))
    env.pop("WANDB_SERVICE", None)  # the process of W&B that serves this one
    done = subprocess.run(command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout == "tracked: 6 of 6 runs logged to wandb (.)\n"
    deadline = time.monotonic() + 10
    while left := [process for process in psutil.process_iter() if is_marked(process, mark)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    assert_holds("wandb", tmp_path, recorded)


def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TRACKERS:
        pytest.importorskip(name)
    page = (Path(dt.__file__).parent / "docs" / "tracking.md").read_text()
    commands, code = (block.partition("\n")[2] for block in page.split("```")[1:4:2])
    (tmp_path / "study.yaml").write_text(
        "base: {hidden: 4, epochs: 1, train_size: 60, val: 60}\nfactors: {elu: {act: elu}}\nseeds: 1\n"
    )
    monkeypatch.chdir(tmp_path)
    for line in commands.strip().splitlines():
        words = line.split("#")[0].split()
        assert words[0] == "dnntrain"
        succeeds(*words[1:])
    exec(code, {})
    assert {"tensorboard", "mlruns", "wandb", "logs", "experiments"} <= {path.name for path in tmp_path.iterdir()}


def is_marked(process: psutil.Process, mark: str) -> bool:
    """Whether a process was started with this variable in its environment."""
    try:
        return process.environ().get("MARK") == mark
    except (psutil.Error, OSError):
        return False
