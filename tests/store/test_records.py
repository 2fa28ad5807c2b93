"""Records are typed, keep the bytes of the files that they are read from, and need no reading back after training."""

from __future__ import annotations

import hashlib
import io
import json
import math
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dnntrain import __version__
from dnntrain.analysis.summary import summarize
from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.probe import RunProbes
from dnntrain.engine.run import ENGINE_VERSION, Run
from dnntrain.errors import InputError
from dnntrain.reporting.exports.csv_json import to_json
from dnntrain.reporting.terminal import study_report
from dnntrain.store import run_store
from dnntrain.store.records import LayerNames, RunRecord, checksum
from dnntrain.store.run_store import RunRecords, RunStore
from dnntrain.store.study_files import StudyFiles, read_study
from dnntrain.store.study_record import StudyRecord
from dnntrain.studies.presets import load_preset
from dnntrain.studies.runner import StudyRunner
from dnntrain.studies.trained_study import TrainedStudy
from dnntrain.utils.finite import nan_to_none
from tests.support.inline import Inline, answer
from tests.support.records import made_record

RECORDED = Path(__file__).parent / "recorded"
"""A store, without weights, that version 0.1.0 wrote before records were typed; one of its three runs diverged."""
RUNS = sorted(path.name for path in (RECORDED / "store").iterdir())
PRESET = """
base: {hidden: "8,8", epochs: 3, batch_size: 16, train_size: 96, val: 64}
factors: {"rate, too high": {lr: 1e6, hidden: 3x8}}
seeds: 2
"""


# The bytes of earlier versions


@pytest.mark.parametrize("run", RUNS)
def test_a_record_of_an_earlier_version_is_written_as_it_was(run: str) -> None:
    path = RECORDED / "store" / run / "run.json"
    record = RunRecord.read(path, run)
    assert record.to_json() == path.read_text(encoding="utf-8")
    assert record.checksums and record.checksums.record == checksum(record.content())


def test_the_files_of_a_study_are_those_of_an_earlier_version() -> None:
    folder = RECORDED / "recorded"
    written = read_study(folder)
    runs = list(zip(written.runs["arm"], written.runs["run"], strict=True))
    asked = {"name", "question", "design", "baseline", "metric", "note", "seeds", "arms"}
    study = StudyRecord.model_validate({k: v for k, v in written.record.content().items() if k in asked})
    varied = [key for key in study.arms[0].settings if len({arm.settings[key] for arm in study.arms}) > 1]
    preset = (folder / "preset.yaml").read_text(encoding="utf-8")
    records = {run: RunStore(RECORDED).read(run) for run in RUNS}
    settings = {run: {key: record.settings[key] for key in varied} for run, record in records.items()}
    files = StudyFiles.build(study, runs, records, settings, preset)
    made = {name: "".join(parts) for name, parts in files.contents().items()}
    before = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    before["history.csv"] = before["history.csv"].replace("0.009999999776482582", "0.01")  # as it was typed
    assert made == before
    assert not written.is_changed


def test_a_new_record_has_the_text_and_checksum_of_an_untyped_one(mini: Dataset) -> None:
    layers: dict[str, Any] = {"grad_norm": [0.1, math.nan, math.inf], "dead": [], "saturated": [0.0]}
    figures = dict.fromkeys(("train_loss", "train_acc", "val_loss", "val_acc"), 1.0) | {"lr": 0.1}
    history = [{"epoch": 1} | figures | layers, {"epoch": 2} | figures | layers | {"val_loss": math.nan}]
    spec = RunSpec.parse({"val": 0.2, "dropout": 0.5, "hidden": "3", "seed": 2**53 + 1})
    names = LayerNames(weights=["1", "2", "output"], activations=["1"], unobserved=[])
    results = {"test_loss": 0.1, "test_acc": 0.25}
    started = datetime(2026, 11, 27, 10, tzinfo=UTC)
    run = Run(spec, 0, "finished", history, names, 1, {}, results, 1.23456, cpu_seconds=1.0, started=started)
    run.probes = RunProbes({"grad_norm": [0.1, math.nan]}, [{"step": 1}], {"clipvalue": [math.inf, 2.0]}, 7)
    environment = {"python": "3.11", "threads": 1, "bit_for_bit": True, "new": [1, 2]}
    kept = {name: history[0].get(name) for name in ("train_loss", "train_acc", "val_loss", "val_acc")}
    old_names = {"n_validation": "own_validation", "license": "licence"}  # in files they keep their old names
    data = {old_names.get(name, name): value for name, value in mini.description().items()}
    record = run.to_record(RUNS[0], mini.description(), environment)
    untyped = nan_to_none(
        {
            "format": 1, "run": RUNS[0], "engine": ENGINE_VERSION, "dnntrain": __version__,
            "settings": spec.settings(),
            "data": data, "environment": environment, "status": "finished", "epochs": 2, "best_epoch": 1,
            "results": kept | {"test_loss": 0.1, "test_acc": 0.25, "mc_test_loss": None, "mc_test_acc": None},
            "constant": {}, "health": "exploding (layer output, epoch 1)", "layers": names.content(),
            "seconds": 1.2346, "cpu_seconds": 1.0, "started": "2026-11-27T10:00:00+00:00",
            "ended": record.content()["ended"], "history": history,
            "probes": {"start": {"grad_norm": [0.1, math.nan]}, "magnitudes": {"clipvalue": [math.inf, 2.0]},
                       "finite_steps": 7},
        }
    )  # fmt: skip
    content = json.dumps(untyped, sort_keys=True).encode()
    sums = {"record": hashlib.sha256(content).hexdigest(), "weights": hashlib.sha256(b"weights").hexdigest()}
    assert record.with_checksums(b"weights").to_json() == json.dumps(untyped | {"checksums": sums}, indent=1)


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: [], r"not the record of run \w+; remove its folder, and it is trained again"),
        (lambda content: content | {"run": "f" * 12}, "not the record of run"),
        (lambda content: content | {"history": []}, "not the record of run"),
        (lambda content: {key: content[key] for key in content if key != "results"}, "not the record of run"),
        (lambda content: content | {"format": 2}, r"written by a newer dnntrain \(format 2\); update to read it"),
        (lambda content: content | {"epochs": 9}, "changed since it was written; remove its folder"),
        (lambda content: content | {"checksums": []}, "changed since it was written; remove its folder"),
        (
            lambda content: unsigned(content) | {"seconds": "long"},
            r"not the record .* \(seconds 'long': must be",
        ),
    ],
)
def test_what_is_no_record_is_named(change: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    content = json.loads((RECORDED / "store" / RUNS[0] / "run.json").read_text())
    path.write_text(json.dumps(change(content)))
    with pytest.raises(InputError, match=message) as caught:
        RunRecord.read(path, RUNS[0])
    assert str(path) in str(caught.value)


def unsigned(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != "checksums"}


def test_old_records_without_checksums_and_with_unknown_fields_are_read(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    content = json.loads((RECORDED / "store" / RUNS[0] / "run.json").read_text())
    old = unsigned(content) | {"host": {"name": "here"}}
    del old["environment"]["cpu"], old["engine"], old["format"]
    path.write_text(json.dumps(old))
    record = RunRecord.read(path, RUNS[0])
    assert record.checksums is None and record.environment.cpu is None and record.content() == old


# Printed from memory


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files of records and results that are read from now on."""
    paths: list[str] = []
    read_text, read_bytes = Path.read_text, Path.read_bytes

    def reading(read: Any) -> Any:
        def counted(path: Path, *arguments: Any, **more: Any) -> Any:
            if path.name in ("run.json", "results.csv"):
                paths.append(path.name)
            return read(path, *arguments, **more)

        return counted

    monkeypatch.setattr(Path, "read_text", reading(read_text))
    monkeypatch.setattr(Path, "read_bytes", reading(read_bytes))
    return paths


def trained(folder: Path) -> TrainedStudy:
    (folder / "small.yaml").write_text(PRESET)
    study = load_preset(str(folder / "small.yaml"))
    return StudyRunner(study, RunStore(folder / "runs")).run(Inline())


def test_a_fresh_study_reads_no_record_back(tmp_path: Path, reads: list[str]) -> None:
    (tmp_path / "small.yaml").write_text(PRESET)
    printed = answer(["ablate", "small.yaml"], tmp_path)
    assert printed.code == 0 and reads == []
    assert answer(["ablate", "small.yaml"], tmp_path).out == printed.out
    assert reads == ["run.json"] * 4  # once each
    report = answer(["report", "runs/small"], tmp_path).out
    assert printed.out.startswith(report.rstrip("\n")) and reads == ["run.json"] * 4 + ["results.csv"]


def test_a_study_keeps_the_command_that_made_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "runs" / "small" / "study.json"
    for words in (["ablate", "small.yaml"], ["ablate", "small.yaml", "--workers", "1"]):  # the second trains nothing
        monkeypatch.setattr(sys, "argv", ["dnntrain", *words])
        trained(tmp_path)
        record = StudyRecord.read(path)
        assert record.command == "dnntrain ablate small.yaml"
    assert record.training and record.training.runs == 4 and record.training.dnntrain == [__version__]
    assert record.training.cpu_seconds and record.training.started < record.training.ended


def test_results_in_memory_are_those_on_disk(tmp_path: Path) -> None:
    ours = trained(tmp_path).results
    theirs = read_study(tmp_path / "runs" / "small")
    assert {"finished", "diverged"} == set(theirs.runs["status"])
    pd.testing.assert_frame_equal(ours.runs.frame(), theirs.runs.frame(), check_exact=True)
    assert (ours.folder, ours.record.content()) == (theirs.folder, theirs.record.content())
    for metric in ("val_acc", "val_loss"):
        assert summarize(ours, metric).metric == metric
        assert to_json([summarize(ours, metric)]) == to_json([summarize(theirs, metric)])
        for mine, other in zip(*(r.validation_curves(metric).items() for r in (ours, theirs)), strict=True):
            assert mine[0] == other[0]
            np.testing.assert_allclose(mine[1], other[1], rtol=1e-14)
    from rich.console import Console

    texts = []
    for results in (ours, theirs):
        console = Console(width=100, record=True, file=io.StringIO())
        console.print(study_report(summarize(results), wide=True))
        texts.append(console.export_text())
    assert texts[0] == texts[1]


def test_a_study_without_a_history_has_no_curves(tmp_path: Path) -> None:
    shutil.copytree(RECORDED / "recorded", tmp_path / "recorded")
    (tmp_path / "recorded" / "history.csv").unlink()
    assert read_study(tmp_path / "recorded").validation_curves("val_acc") == {}


def test_records_beyond_the_limit_of_memory_are_read_when_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    monkeypatch.setattr(run_store, "MOST_EPOCHS_IN_MEMORY", 4)
    store, runs = RunStore(tmp_path), ["1" * 12, "2" * 12]
    records = RunRecords(store, runs)
    for run in runs:
        records.add(store.write(made_record(run), {"w": np.zeros(1, np.float32)}))
    assert [record.run for record in (*records.values(), *records.values())] == runs * 2
    assert reads == ["run.json"] * 2
