"""The user's own code in workers, in records, and where it must not run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.errors import InputError
from dnntrain.executors.jobs import Event, Job, JobFailed, RunsFinished
from dnntrain.executors.local import LocalExecutor
from dnntrain.store.code import PICKLE, read_kept_code, runnable_code, unused_code, write_code
from dnntrain.store.records import CodeRecord
from dnntrain.store.run_store import RunStore
from dnntrain.studies.presets import load_preset
from dnntrain.utils.user_code.reference import CodeReference, code_of, pinned
from dnntrain.utils.user_code.sources import UserCode
from tests.support.command import dnntrain, error_of, succeeds

DATA = """
import numpy as np
from helper import marked
marked()
def load(classes=2):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 4)).astype(np.float32)
    y = np.arange(120) % classes
    x[:, 0] += y
    return x[:80], y[:80], x[80:], y[80:]
"""
HELPER = """
import pathlib
def marked():
    file = pathlib.Path({marker!r})
    file.write_text(str(int(file.read_text() or 0) + 1) if file.exists() else "1")
"""
PRESET = (
    "base: {data: 'module:code/mydata.py:load', hidden: 4, epochs: 2, val: 20}\n"
    "factors: {three: {data: 'module:code/mydata.py:load:classes=3'}, elu: {act: elu}}\nseeds: 2\n"
    "varies: [data, act]\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A preset in p/, its code in p/code/, and a marker that counts how often that is imported."""
    (tmp_path / "p" / "code").mkdir(parents=True)
    (tmp_path / "p" / "study.yaml").write_text(PRESET)
    (tmp_path / "p" / "code" / "mydata.py").write_text(DATA)
    (tmp_path / "p" / "code" / "helper.py").write_text(HELPER.format(marker=str(tmp_path / "marker")))
    return tmp_path


def imported(folder: Path) -> int:
    return int((folder / "marker").read_text()) if (folder / "marker").exists() else 0


def trained(job: Job) -> list[Event]:
    events: list[Event] = []
    LocalExecutor(1).run([job], events.append)
    return events


def test_a_worker_runs_the_code_that_the_job_carries(folder: Path) -> None:
    file = folder / "p" / "code" / "mydata.py"
    spec = RunSpec.parse({"data": f"module:{file}:load", "hidden": 4, "epochs": 1, "val": 20})
    codes = code_of(spec.references())
    assert [sorted(code.files) for code in codes] == [["helper.py", "mydata.py"]]
    file.write_text("raise ValueError('edited')\n")
    job = Job((spec,), DataLocation(folder / "cache"), "cpu", code=codes)
    finished = [event for event in trained(job) if isinstance(event, RunsFinished)]
    assert finished and imported(folder) == 1
    assert finished[0].job.code == ()  # events stay small
    without = trained(Job((spec,), DataLocation(folder / "other cache"), "cpu"))
    assert isinstance(without[-1], JobFailed) and "ValueError: edited" in without[-1].message
    assert without[-1].exit_code == 2


def test_a_study_records_its_code_once_per_version(folder: Path) -> None:
    cwd = folder / "elsewhere"
    cwd.mkdir()
    flags = ("--data-dir", folder / "cache", "--workers", 1)
    succeeds("ablate", "../p/study.yaml", *flags, cwd=cwd)
    store = RunStore(cwd / "runs")
    records = [store.read(run) for run in store.run_ids()]
    references = {code.reference.split("/")[-1] for record in records for code in record.code}
    assert len(records) == 6 and references == {"mydata.py:load", "mydata.py:load:classes=3"}
    assert len({code.identity for record in records for code in record.code}) == 2
    [kept] = store.code.iterdir()
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == {
        path.name: path.read_bytes() for path in (folder / "p" / "code").iterdir()
    }
    calls = imported(folder)
    assert "6 of 6 runs are whole" in succeeds("runs", "verify", cwd=cwd)
    for words in (
        ("report", "runs"),
        ("runs", "list"),
        ("runs", "list", "--all"),
        ("techniques",),
        ("--help",),
        ("ablate", "--help"),
    ):
        succeeds(*words, cwd=cwd)
    completing = {"_DNNTRAIN_COMPLETE": "complete_bash", "COMP_WORDS": "dnntrain ablate ../p/s", "COMP_CWORD": "2"}
    dnntrain(cwd=cwd, process=True, **completing)
    assert imported(folder) == calls
    (kept / "helper.py").write_text("edited\n")
    assert "changed since it was written" in dnntrain("runs", "verify", cwd=cwd).stdout
    succeeds("runs", "gc", "--yes", cwd=cwd)
    assert kept.is_dir()
    shutil.rmtree(cwd / "runs" / "study")
    succeeds("runs", "gc", "--yes", cwd=cwd)
    assert not store.code.exists()


def test_recorded_code_runs_if_it_is_the_same_or_trusted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "p")
    flags = ("--data-dir", folder / "cache", "--workers", 1, "--hidden", 4, "--epochs", 1, "--val", 20)
    succeeds("train", "--data", "module:code/mydata.py:load", *flags, cwd=folder / "p")
    store = RunStore(folder / "p" / "runs")
    record = store.read(store.run_ids()[0])
    [local] = runnable_code(store.code, record, trust_code=False)
    assert local.folder == str(folder / "p" / "code")
    (folder / "p" / "code" / "helper.py").write_text("def marked(): raise ValueError('edited')\n")
    with pytest.raises(InputError, match=r"code/mydata.py, which is different now; look at .*--trust-code"):
        runnable_code(store.code, record, trust_code=False)
    reference = CodeReference.parse(record.code[0].reference)
    shutil.rmtree(folder / "cache")
    store.predictions_file(record.run).unlink()
    assert "--trust-code" in error_of("runs", "evaluate", cwd=folder / "p")
    evaluated = succeeds("runs", "evaluate", "--trust-code", "--data-dir", folder / "cache", cwd=folder / "p")
    assert evaluated == "1 of 1 runs evaluated\n"
    with pinned(runnable_code(store.code, record, trust_code=True)):
        assert reference.identity() == record.code[0].identity
        assert len(reference.call({}, {})) == 4
    shutil.rmtree(folder / "p" / "code")
    with pytest.raises(InputError, match="which is not here"):
        runnable_code(store.code, record, trust_code=False)
    shutil.rmtree(store.code)
    with pytest.raises(InputError, match="the code of this run is missing"):
        runnable_code(store.code, record, trust_code=True)


def test_a_record_without_own_code_does_not_mention_it(tmp_path: Path) -> None:
    succeeds("train", "--hidden", 4, "--epochs", 1, "--train-size", 100, "--val", 100, cwd=tmp_path)
    [run] = (tmp_path / "runs" / "store").glob("[!.]*/run.json")
    assert "code" not in json.loads(run.read_text()) and not (tmp_path / "runs" / "store" / ".code").exists()


def test_kept_code_is_read_back_with_its_pickle(tmp_path: Path) -> None:
    code = UserCode("__main__@01234567", "/gone", "__main__.py", {"__main__.py": b"1\n"}, b"pickled")
    other = UserCode("net.py", "/gone", "net.py", {"lib/a.py": b"2\n", "net.py": b"3\n"})
    write_code(tmp_path, [code, other, code])
    assert (tmp_path / code.digest / PICKLE).read_bytes() == b"pickled"
    record = CodeRecord(reference="net.py:Net", identity="", digest=other.digest, entry="net.py")
    back = read_kept_code(tmp_path, record)
    assert (back.files, back.digest, back.module) == (other.files, other.digest, "net.py")
    assert unused_code(tmp_path, []) == sorted(tmp_path.iterdir())


def test_files_of_a_preset_are_found_from_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cwd = folder / "elsewhere"
    cwd.mkdir()
    monkeypatch.chdir(cwd)
    home = DataLocation(folder / "cache")
    study = load_preset("../p/study.yaml", home=home)
    assert {arm.spec.data for arm in study.arms} == {
        "module:../p/code/mydata.py:load",
        "module:../p/code/mydata.py:load:classes=3",
    }
    shutil.copytree(folder / "p" / "code", cwd / "code")
    study = load_preset("../p/study.yaml", {"data": "module:code/mydata.py:load"}, home)
    changed = next(arm.spec.data for arm in study.arms if arm.name == "elu")
    assert changed == "module:code/mydata.py:load"  # a flag's is found from the working directory
