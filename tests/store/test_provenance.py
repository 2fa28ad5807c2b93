"""Reports say where a study's runs come from: what was left out of the data, and which environments trained them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dnntrain.config.spec import RunSpec
from dnntrain.data import Dataset
from dnntrain.engine.splits import validation_notes
from dnntrain.store.provenance import Provenance, data_notes, environments_line
from dnntrain.store.study_record import ArmRecord, StudyRecord
from tests.support.inline import answer
from tests.support.records import made_record

TABLE = "".join(f"{i},1,{'ab'[i % 2]},{3 * i % 5}\n" for i in range(60))
NOTE = "table.csv: 1 column left out, the same in every training row: same"
STUDY = """
base: {data: table.csv, target: kind, hidden: 4, epochs: 1, batch_size: 16}
factors: {elu: {act: elu}}
seeds: 2
tune: {lr: [0.01, 0.1]}
tune_seeds: 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "table.csv").write_text(f"x,same,kind,y\n{TABLE}")
    (tmp_path / "other.csv").write_text(f"x,constant,kind,y\n{TABLE}")
    (tmp_path / "small.yaml").write_text(STUDY)
    return tmp_path


def test_every_note_on_the_data_is_printed_once_by_every_training_command(folder: Path) -> None:
    run = ["train", "--data", "table.csv", "--target", "kind", "--hidden", "4", "--epochs", "1", "--json"]
    for words in (["ablate", "small.yaml"], ["ablate", "small.yaml"], run, run):  # the second time all is recorded
        done = answer(words, folder)
        assert done.code == 0, done.err
        assert done.err.count(NOTE) == 1
    [record] = json.loads(done.out)
    assert record["data"]["notes"] == [NOTE.removeprefix("table.csv: ")]


def test_notes_stand_in_the_report_and_in_every_document(folder: Path) -> None:
    assert answer(["ablate", "small.yaml"], folder).code == 0
    shown = answer(["report", "runs/small", "--md", "small.md", "--html", "small.html"], folder).out
    for text in (shown, (folder / "small.md").read_text(), (folder / "small.html").read_text()):
        assert text.count(NOTE) == 1
    [study] = json.loads(answer(["report", "runs/small", "--json"], folder).out)["studies"]
    assert [data["notes"] for data in study["datasets"]] == [[NOTE.removeprefix("table.csv: ")]]


def test_every_data_set_of_a_study_has_its_own(folder: Path) -> None:
    (folder / "both.yaml").write_text(
        "base: {data: table.csv, target: kind, hidden: 4, epochs: 1}\n"
        "factors: {second: {data: other.csv}}\nvaries: [data]\nseeds: 1\n"
    )
    done = answer(["ablate", "both.yaml"], folder)
    assert NOTE in done.err and "other.csv: 1 column left out" in done.err
    assert "data: table.csv (48 training and 12 test examples), arms baseline" in done.out
    assert "data: other.csv (48 training and 12 test examples), arms second" in done.out
    (folder / "runs/both/study.json").write_text(
        json.dumps({k: v for k, v in json.loads((folder / "runs/both/study.json").read_text()).items()
                    if k not in ("datasets", "environments")})
    )  # fmt: skip
    assert NOTE in answer(["report", "runs/both"], folder).out  # as older versions wrote it


def test_runs_of_several_environments_say_so(folder: Path) -> None:
    (folder / "small.yaml").write_text(STUDY.split("tune")[0])
    assert "environments" not in answer(["ablate", "small.yaml"], folder).out
    path = next((folder / "runs/store").glob("*/run.json"))
    record = json.loads(path.read_text())
    del record["checksums"], record["environment"]["cpu"]  # a run of an older version
    path.write_text(
        json.dumps(record | {"environment": record["environment"] | {"torch": "1.0", "device": "cuda (H1)"}})
    )
    shown = answer(["ablate", "small.yaml"], folder).out
    assert "Runs come from 2 environments, and their bits may differ: " in shown
    assert "torch 1.0, cpu unknown, device cuda (H1) (1 run)" in shown and "(3 runs)" in shown
    recorded = json.loads((folder / "runs/small/study.json").read_text())["environments"]
    assert sorted(each["runs"] for each in recorded) == [1, 3]
    assert {"engine", "torch", "cpu", "device"} <= recorded[0].keys()


def test_a_class_that_does_not_validate_is_noted() -> None:
    x, labels = np.zeros((20, 2), np.float32), np.array([2, 1] + [0, 1] * 9)
    made = Dataset("made", x, labels, x, labels, ("a", "b", "c"), "", "")
    assert validation_notes(made, RunSpec(val=0.5)) == ["class 'c' has no validation example"]
    assert validation_notes(made, RunSpec(val=1)) == ["2 classes have no validation example: a, c"]
    assert validation_notes(made, RunSpec(val=2, val_from="first")) == [
        "class 'c' has no training example",
        "class 'a' has no validation example",
    ]


def test_notes_of_other_splits_make_no_other_data_set() -> None:
    provenance = Provenance()
    for arm, notes in (("a", ["1"]), ("b", ["1", "2"])):
        provenance.add(arm, made_record(data={"name": "made", "notes": notes}))
    [dataset] = provenance.datasets
    assert (dataset.name, dataset.notes, dataset.arms) == ("made", ["1", "2"], ["a", "b"])


def test_only_what_differs_is_named() -> None:
    provenance = Provenance()
    data = {"name": "made", "notes": ["2 rows left out"]}
    for arm, engine, cpu in (("a", "4", "Xeon"), ("a", "4", "Xeon"), ("b", "5", "EPYC")):
        environment = {"torch": "2.13.0", "cpu": cpu, "platform": f"Linux of {cpu}"}
        provenance.add(arm, made_record(data=data, engine=engine, environment=environment))
    study = StudyRecord(name="made", metric="val_acc", seeds=[0], arms=[ArmRecord(name="a"), ArmRecord(name="b")])
    made = study.model_copy(update={"datasets": provenance.datasets, "environments": provenance.environments})
    assert [dataset.arms for dataset in made.datasets] == [["a", "b"]]
    assert data_notes(made) == ["made: 2 rows left out"]
    said = environments_line(made)
    assert said.endswith("differ: engine 4, cpu Xeon (2 runs); engine 5, cpu EPYC (1 run).")
    alone = study.model_copy(update={"environments": made.environments[:1]})
    assert environments_line(alone) == "" == environments_line(study)
