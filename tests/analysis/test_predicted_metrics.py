"""Studies judged by metrics that their runs did not record, computed from predictions without training."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

import dnntrain as dt
from dnntrain.analysis.predicted_metrics import with_metric
from dnntrain.analysis.summary import summarize
from dnntrain.metrics import METRICS, TargetInfo
from dnntrain.reporting.figures import FIGURE_KINDS, read_history
from dnntrain.store.predictions import Predictions
from dnntrain.store.run_store import RunStore
from dnntrain.store.study_files import read_study
from tests.support.command import error_of, succeeds
from tests.support.inline import answer

ROWS = random.Random(0)
TABLE = "x,z,y\n" + "".join(f"{ROWS.gauss(0, 1):.3f},{i % 5},{20 + i % 7 * 2 + i % 5 / 3:.3f}\n" for i in range(120))
RARE = "x,z,y\n" + "".join(f"{ROWS.gauss(0, 1):.3f},{i % 7},{'sick' if i % 100 == 7 else 'well'}\n" for i in range(600))
STUDIES = {
    "classes": "base: {hidden: 8, epochs: 2, train_size: 300, val: 100, lr: 0.1}\n"
    "factors: {elu: {act: elu}, wild: {lr: 1e6, hidden: 3x8}, two: {classes: 'sandal,shirt'}}\nseeds: 3\n"
    "varies: [act, lr, hidden, classes]\n",
    "rare": "base: {data: rare.csv, target: y, hidden: 4, epochs: 2, val: 100}\nfactors: {elu: {act: elu}}\nseeds: 3\n",
    "numbers": "base: {data: t.csv, target: y, hidden: 8, epochs: 2, lr: 0.05, val: 20}\n"
    "factors: {wild: {lr: 1e6, hidden: 3x8}}\nseeds: 3\n",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies of classes (with an arm that diverges and one of two classes), of a rare class, and of numbers."""
    folder = tmp_path_factory.mktemp("metrics")
    (folder / "t.csv").write_text(TABLE)
    (folder / "rare.csv").write_text(RARE)
    for name, text in STUDIES.items():
        (folder / f"{name}.yaml").write_text(f"name: {name}\n{text}")
        succeeds("ablate", f"{name}.yaml", cwd=folder)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def report(folder: Path, *words: str) -> dict[str, Any]:
    shown = answer(["report", *words, "--json"], folder)
    assert shown.code == 0, shown.err
    [study] = json.loads(shown.out)["studies"]
    return dict(study)


def predicted(folder: Path, study: str, arm: str) -> list[Predictions]:
    runs = read_study(folder / "runs" / study).runs
    found = [RunStore(folder / "runs").predictions(run) for run in runs.where("arm", arm)["run"]]
    return [each for each in found if each]


def age(folder: Path, study: str) -> None:
    """Leaves out of the study's predictions what older versions did not write."""
    store = RunStore(folder / "runs")
    for run in read_study(folder / "runs" / study).runs["run"]:
        path = store.predictions_file(run)
        if path.exists():
            with np.load(path) as arrays:
                kept = {name: arrays[name] for name in arrays.files if not name.startswith("train.")}
            np.savez(path, **kept)


def test_a_study_of_accuracies_by_macro_f1_and_class(trained: Path) -> None:
    # a process of its own: it imports neither torch nor scikit-learn, and writes nothing
    before = {path: path.stat().st_mtime_ns for path in (trained / "runs").rglob("*")}
    words = ("report", "runs/classes", "--metric", "macro_f1", "--per-class")
    shown = succeeds(*words, cwd=trained)
    assert {path: path.stat().st_mtime_ns for path in (trained / "runs").rglob("*")} == before
    assert "test_macro_f1 %" in shown and "val_macro_f1 %" in shown
    assert "per class, on the test part" in shown and "predictions of each class (mean over 3 runs)" in shown

    study = report(trained, *words[1:])
    assert study["metric"] == "test_macro_f1" and study["margin"] == "0.3pp"
    arms = {arm["arm"]: arm for arm in study["arms"]}
    for name in ("baseline", "elu", "two"):
        runs = predicted(trained, "classes", name)
        pairs = [(run.targets["test"], run.outputs["test"].argmax(axis=1)) for run in runs]
        assert arms[name]["mean"] == pytest.approx(np.mean([f1_score(*pair, average="macro") for pair in pairs]))
        [own] = (arm for arm in study["per_class"] if arm["arm"] == name)
        assert [row["class"] for row in own["classes"]] == (
            ["Sandal", "Shirt"] if name == "two" else [row["class"] for row in study["per_class"][0]["classes"]]
        )
        figures = np.array([precision_recall_fscore_support(*pair, zero_division=np.nan) for pair in pairs])
        for place, figure in enumerate(("precision", "recall")):
            of_runs = figures[:, place]
            expected = [
                np.mean(column[~np.isnan(column)]) if (~np.isnan(column)).any() else np.nan for column in of_runs.T
            ]
            measured = [row[figure] for row in own["classes"]]
            np.testing.assert_allclose(np.array(measured, float), expected)
        assert np.sum(own["confusion"]) == pytest.approx(len(pairs[0][0]))
    assert "wild" not in {arm["arm"] for arm in study["per_class"]}  # it never finishes


def test_lost_runs_count_as_the_training_parts_majority_class(trained: Path) -> None:
    study = report(trained, "runs/classes", "--metric", "test_balanced_acc")
    wild = next(arm for arm in study["arms"] if arm["arm"] == "wild")
    worst = min(float(v) for a in study["arms"] if a["arm"] != "wild" for v in a["values"].split())
    assert wild["verdict"] == "never finishes: worse" and wild["lost_value"] == pytest.approx(min(0.1, worst))
    assert not wild["lost_value_is_assumed"]
    by_error = report(trained, "runs/classes", "--metric", "ece")
    assert next(arm for arm in by_error["arms"] if arm["arm"] == "wild")["lost_value"] == 1.0
    shown = answer(["report", "runs/classes", "--metric", "ece"], trained).out
    assert "they count as the worst value (100.00 %)" in shown  # chance is well calibrated


def test_the_exports_have_the_classes(trained: Path, tmp_path: Path) -> None:
    answered = answer(["report", "runs/classes", "--per-class", "--csv", "-"], trained)
    rows = list(csv.DictReader(io.StringIO(answered.out)))
    assert len(rows) == 10 + 10 + 2 and rows[0].keys() >= {"arm", "class", "precision", "recall_sd", "predicted Sandal"}
    sandals = [row for row in rows if row["class"] == "Sandal" and row["arm"] == "two"]
    assert float(sandals[0]["predicted Sandal"]) + float(sandals[0]["predicted Shirt"]) == float(sandals[0]["examples"])
    assert sandals[0]["predicted Bag"] == ""
    files = ["--md", str(tmp_path / "x.md"), "--html", str(tmp_path / "x.html")]
    assert answer(["report", "runs/classes", "--metric", "auc", "--per-class", *files], trained, seconds=100).code == 0
    for name in ("x.md", "x.html"):
        text = (tmp_path / name).read_text()
        assert "per class, on the test part" in text and "most frequent" not in text
    assert "per class" not in answer(["report", "runs/classes"], trained).out


def test_confusion_is_drawn_and_an_auc_has_no_learning_curve(trained: Path) -> None:
    study = read_study(trained / "runs" / "classes")
    history = read_history(study.folder)
    for metric, curves in (("test_auc", False), ("test_acc", True)):  # an AUC is not measured by epoch
        summary = summarize(study, metric)
        assert FIGURE_KINDS["confusion"].draw(summary, history)
        assert (FIGURE_KINDS["curves"].draw(summary, history) is not None) is curves


def test_an_accuracy_of_99_percent_is_no_success_with_594_and_6_examples(trained: Path) -> None:
    shown = answer(["report", "runs/rare"], trained).out
    guess = "Predicting the training class shares for every example (always the most frequent class) gives test_acc"
    assert f"{guess} 99.17 %, and no arm is shown to be better than that." in shown
    assert "The classes are unbalanced, which test_acc hides; see --metric balanced_acc or macro_f1 or auc." in shown
    by_class = answer(["report", "runs/rare", "--metric", "balanced_acc", "--per-class"], trained).out
    assert "gives test_balanced_acc 50.00 %, and no arm" in by_class and "hides" not in by_class
    # where classes are as frequent as each other, and arms learn something, there is nothing to say
    assert "Predicting the training" not in answer(["report", "runs/classes", "--baseline", "elu"], trained).out
    assert (
        "Predicting the training mean for every example gives test_rmse"
        in answer(["report", "runs/numbers"], trained).out
    )


def test_requirements_name_any_metric(trained: Path) -> None:
    words = [
        "--require",
        "elu.macro_f1 >= 1%",
        "--require",
        "elu.test_auc >= base - 0.9",
        "--require",
        "elu.val_brier <= 2",
    ]
    answered = answer(["report", "runs/classes", *words], trained)
    assert answered.code == 0 and answered.out.count("HOLDS") == 3, answered.out + answered.err
    assert answer(["report", "runs/classes", "--require", "elu.log_loss >= 0"], trained).out.count("HOLDS") == 1
    wrong = answer(["report", "runs/numbers", "--require", "wild.macro_f1 >= 1%"], trained)
    assert wrong.code == 2 and "has no metric test_macro_f1; it has" in wrong.err


def test_studies_without_predictions_say_how_to_make_them(folder: Path) -> None:
    store = RunStore(folder / "runs")
    runs = read_study(folder / "runs/classes").runs
    one = runs.where("arm", "elu")["run"][0]
    store.predictions_file(one).unlink()
    remedy = "`dnntrain runs evaluate classes --out runs` makes them without training"
    some = answer(["report", "runs/classes", "--metric", "macro_f1", "--per-class"], folder)
    assert some.code == 0 and f"1 of {len(runs)} runs have no predictions: {remedy}." in some.out
    assert "Finished without a value of test_macro_f1, and not counted: elu 1 of 3 runs." in some.out
    assert "Per class: finished runs without predictions are left out (elu 1)." in some.out
    for run in runs["run"]:
        store.predictions_file(run).unlink(missing_ok=True)
    for words in (["--metric", "macro_f1"], ["--per-class"], ["--require", "elu.macro_f1 >= 1%"]):
        none = answer(["report", "runs/classes", *words], folder)
        assert none.code == 2 and remedy in none.err and not none.out, none.err
    assert answer(["report", "runs/classes"], folder).code == 0
    succeeds("runs", "evaluate", "classes", cwd=folder)
    assert answer(["report", "runs/classes", "--metric", "macro_f1"], folder).code == 0


def test_predictions_of_an_older_version(folder: Path) -> None:
    """They do not have the class counts of the training part, nor the mean of the targets."""
    age(folder, "classes")
    age(folder, "numbers")
    study = report(folder, "runs/classes", "--metric", "macro_f1")
    wild = next(arm for arm in study["arms"] if arm["arm"] == "wild")
    assert wild["lost_value_is_assumed"] and wild["lost_value"] == pytest.approx(2 / 11 / 10, abs=0.01)
    assert report(folder, "runs/numbers", "--metric", "mae")["arms"][0]["mean"] > 0
    told = answer(["report", "runs/numbers", "--metric", "mape"], folder)
    assert (
        told.code == 2 and "the predictions of an older version lack what it needs; `dnntrain runs evaluate" in told.err
    )
    said = succeeds("runs", "evaluate", "numbers", "classes", cwd=folder)
    assert "0 of" not in said
    arms = report(folder, "runs/numbers", "--metric", "mape")["arms"]
    assert 0 < arms[0]["mean"] < 1 and arms[1]["lost_value"] > 0
    renewed = report(folder, "runs/classes", "--metric", "macro_f1")["arms"]
    assert not next(arm for arm in renewed if arm["arm"] == "wild")["lost_value_is_assumed"]


def test_errors_in_a_targets_own_unit(trained: Path) -> None:
    [run, *_] = predicted(trained, "numbers", "baseline")
    results = with_metric(read_study(trained / "runs/numbers"), "test_mape")
    info = run.info["test"]
    truth = info.mean + info.deviation * run.targets["test"]
    column = np.array([float(line.split(",")[2]) for line in TABLE.split("\n")[1:-1]])
    assert all(np.abs(column - value).min() < 1e-4 for value in truth)
    guess = info.mean + info.deviation * run.outputs["test"][:, 0]
    expected = np.mean(np.abs(guess - truth) / truth)
    assert results.runs["test_mape"][0] == pytest.approx(expected, rel=1e-6)
    summary = summarize(results, "test_mape")
    constant = np.mean(np.abs(info.mean - truth) / truth)
    assert summary.results.record.constants["baseline"]["test_mape"] == pytest.approx(constant, rel=1e-6)


def test_metrics_that_a_study_cannot_have(trained: Path) -> None:
    cases = {
        ("classes", "mae"): "has no metric test_mae; it has",
        ("classes", "train_macro_f1"): "metric train_macro_f1: macro_f1 is computed from predictions, of the parts val",
        ("rare", "top5"): "test_top5 is not defined for these data: it needs more than 5 classes",
        ("numbers", "macro_f"): "unknown metric 'macro_f'",
    }
    for (study, metric), expected in cases.items():
        told = answer(["report", f"runs/{study}", "--metric", metric], trained)
        assert told.code == 2 and expected in told.err, told.err
    assert "is a regression, which has no classes" in answer(["report", "runs/numbers", "--per-class"], trained).err
    table = answer(["report", "runs/classes", "--against", "classes", "classes", "--per-class"], trained)
    assert table.code == 2 and "--per-class: not with --against" in table.err
    known = answer(["report", "runs/classes", "--metric", "mae"], trained).err
    assert "test_acc" in known and "test_macro_f1" in known and "mc_test" not in known and "rmse" not in known
    # with two classes, the top five are all; that arm has no value, and the others do
    study = report(trained, "runs/classes", "--metric", "top5")
    assert {arm["arm"]: arm["not_measured"] for arm in study["arms"]} == {"baseline": 0, "elu": 0, "wild": 0, "two": 3}


def test_compare_takes_them_too(folder: Path) -> None:
    shutil.copytree(folder / "runs/classes", folder / "runs/again")
    description = json.loads((folder / "runs/again/study.json").read_text())
    names = {arm["name"]: f"{arm['name']}-2" for arm in description["arms"]}
    text = json.dumps(description | {"name": "again", "checksum": ""})
    table = (folder / "runs/again/results.csv").read_text()
    for name, other in names.items():
        text, table = text.replace(f'"{name}"', f'"{other}"'), table.replace(f",{name},", f",{other},")
    (folder / "runs/again/study.json").write_text(text)
    (folder / "runs/again/results.csv").write_text(table)
    both = ["compare", "runs/classes", "runs/again", "--value", "macro_f1", "--json"]
    answered = answer(both, folder)
    assert answered.code == 0, answered.err
    [merged] = json.loads(answered.out)["studies"]
    arms = {arm["arm"]: arm for arm in merged["arms"]}
    assert merged["metric"] == "test_macro_f1" and len(arms) == 8
    assert (
        arms["elu-2"]["mean"]
        == arms["elu"]["mean"]
        == report(folder, "runs/classes", "--metric", "macro_f1")["arms"][1]["mean"]
    )
    one = answer(["compare", "runs/classes", "--value", "val_auc"], folder)
    assert one.code == 0 and "val_auc" in one.out
    against = answer(["report", "runs", "--against", "classes", "classes", "--metric", "macro_f1"], folder)
    assert against.code == 0 and "3/3" in against.out
    assert dt.report(folder / "runs/rare", metric="weighted_f1", per_class=True).studies[0].metric == "test_weighted_f1"


def test_damaged_predictions_are_named(folder: Path) -> None:
    run = read_study(folder / "runs/classes").runs["run"][0]
    RunStore(folder / "runs").predictions_file(run).write_bytes(b"PK" * 90)
    assert "predictions.npz: damaged" in error_of("report", "runs/classes", "--metric", "macro_f1", cwd=folder)


def test_a_study_judged_by_such_a_metric(tmp_path: Path) -> None:
    """An ablation by macro F1, with values tuned by it, and the requirement that predictions are kept."""
    text = "name: f1\nbase: {hidden: 8, epochs: 1, train_size: 200, val: 100}\nfactors: {elu: {act: elu}}\nseeds: 2\n"
    text += "metric: macro_f1\ntune: {lr: [0.01, 0.2]}\ntune_seeds: 2\n"
    (tmp_path / "f1.yaml").write_text(text)
    refused = answer(["ablate", "f1.yaml", "--no-predictions"], tmp_path)
    assert (
        refused.code == 2
        and "metric test_macro_f1: is computed from predictions, which --no-predictions" in refused.err
    )
    made = answer(["ablate", "f1.yaml"], tmp_path, seconds=300)
    assert made.code == 0 and "test_macro_f1 %" in made.out, made.err
    tuned = read_study(tmp_path / "runs/f1-tuning").record
    assert (
        tuned.metric == "val_macro_f1" and "lr was chosen" in read_study(tmp_path / "runs/f1-tuned").record.tuning_note
    )
    assert "test_macro_f1" not in read_study(tmp_path / "runs/f1").runs.columns  # results.csv is as it always was


def test_the_constant_of_predictions_is_exact() -> None:
    targets = {"val": np.array([0, 1, 1]), "test": np.array([0, 0, 1])}
    outputs = {part: np.zeros((3, 2), np.float32) for part in targets}
    made = Predictions(outputs, targets, dict.fromkeys(targets, TargetInfo(2)), np.array([1, 9]))
    train = np.repeat([0, 1], [1, 9])
    for name in ("macro_f1", "brier", "loss"):
        expected = METRICS[name].of_constant(train, targets["test"], TargetInfo(2))
        assert made.constant(f"test_{name}") == pytest.approx(expected)
    older = Predictions(outputs, targets, made.info)
    assert np.isnan(older.constant("test_macro_f1")) and not older.is_complete and made.is_complete
