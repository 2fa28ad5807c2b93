"""Recorded runs predict raw data: as they predicted their own test part, whatever the order of columns or the form."""

from __future__ import annotations

import io
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.special import softmax

import dnntrain as dt
from dnntrain import data
from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.data.preprocessing import Preprocessing
from dnntrain.data.source import FileSource
from dnntrain.inference.recorded import RecordedModel
from tests.inference.recorded_studies import (
    NET,
    Trained,
    write_table,
)
from tests.support.command import dnntrain, error_of, succeeds


@pytest.fixture(autouse=True)
def in_the_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)


@pytest.mark.parametrize("trained", ["table", "photos", "module", "transfer"], indirect=True)
def test_raw_test_examples_get_the_recorded_probabilities(trained: Trained) -> None:
    best = trained.record
    frame = dt.predict(best.run, trained.test, proba=True, out="runs", data_dir="home")
    expected = softmax(trained.outputs.astype(np.float64), axis=1)
    classes = best.data.classes
    np.testing.assert_allclose(frame[[f"p_{name}" for name in classes]], expected, atol=1e-5)
    assert frame["prediction"].tolist() == [classes[k] for k in expected.argmax(1)]
    np.testing.assert_allclose(frame["confidence"], expected.max(1), atol=1e-5)


@pytest.mark.parametrize("trained", ["table", "photos", "module", "transfer"], indirect=True)
def test_the_command_prints_the_predictions_and_the_recorded_accuracy(trained: Trained) -> None:
    done = dnntrain("predict", trained.record.run, trained.test, "--data-dir", "home")
    assert done.returncode == 0, done.stderr
    frame = pd.read_csv(io.StringIO(done.stdout))
    assert frame.columns[0] == ("file" if trained.test.is_dir() else "row") and len(frame) == len(trained.outputs)
    accuracy = trained.record.results["test_acc"]
    assert accuracy is not None and f"accuracy {100 * accuracy:.2f} %" in done.stderr
    assert f"predicted by run {trained.record.run}" in done.stderr


def test_a_regression_is_predicted_in_the_targets_unit(numbers: Trained) -> None:
    record = numbers.record
    predictions = numbers.store.predictions(record.run)
    assert predictions and record.target
    info = predictions.info["test"]
    assert (record.target.mean, record.target.deviation) == (pytest.approx(info.mean), pytest.approx(info.deviation))
    frame = dt.predict(record.run, numbers.test)
    np.testing.assert_allclose(frame["prediction"], numbers.outputs[:, 0] * info.deviation + info.mean, rtol=1e-5)
    assert list(frame) == ["row", "prediction"] and 3000 < frame["prediction"].mean() < 20_000
    said = dnntrain("predict", record.run, numbers.test).stderr
    assert f"{record.results['test_rmse']:.4g}"[:4] in said.replace(",", "")
    with pytest.raises(dt.InputError, match=r"^proba: the run predicts a number"):
        numbers.predict(proba=True)


def test_a_study_means_its_best_run_by_validation_or_all_seeds_of_an_arm(table: Trained, numbers: Trained) -> None:
    runs = dt.load(Path("runs/table")).runs
    each = [dt.predict(run, table.test, proba=True) for run in runs["run"]]
    together = table.predict(ensemble=True, proba=True)
    mean = np.mean([frame["p_yes"] for frame in each], axis=0)
    np.testing.assert_allclose(together["p_yes"], mean, atol=1e-6)
    chosen = np.where(mean > 0.5, "yes", "no")
    assert together["prediction"].tolist() == chosen.tolist()
    of_chosen = [[frame[f"p_{c}"][k] for k, c in enumerate(chosen)] for frame in each]
    np.testing.assert_allclose(together["spread"], np.std(of_chosen, axis=0, ddof=1), atol=1e-6)
    alone = table.predict()
    assert any(np.allclose(alone["confidence"], frame["confidence"]) for frame in each) and "spread" not in alone
    spread = numbers.predict(ensemble=True)["spread"]
    several = [dt.predict(run, numbers.test)["prediction"] for run in dt.load(Path("runs/numbers")).runs["run"]]
    np.testing.assert_allclose(spread, np.std(several, axis=0, ddof=1), rtol=1e-6)


def test_a_data_frame_is_read_as_its_file(table: Trained) -> None:
    frame = pd.read_csv(table.test)  # typed columns: numbers, booleans, text
    pd.testing.assert_frame_equal(table.predict(frame), table.predict())
    as_text = pd.read_csv(table.test, dtype=str)
    pd.testing.assert_frame_equal(table.predict(as_text), table.predict())


def test_what_differs_from_training_is_noted(table: Trained, tmp_path: Path) -> None:
    rows = [
        {"number": 1, "age": "41,5", "city": "Paris", "member": "perhaps", "extra": 1},
        {"number": "", "age": "old", "city": "Rome", "member": "True", "extra": 2},
    ]
    new = write_table(tmp_path / "new.csv", ["extra", "member", "age", "city", "number"], rows)
    done = dnntrain(*table.command(new))
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 3
    first = done.stdout.splitlines()[1].split(",")[1]
    for note in (
        "columns that the training data did not have are ignored: extra",
        "column 'city': not a category of the training rows, so all of its inputs are 0: 'Paris' in line 2",
        "column 'member': neither True nor False, so missing: 'perhaps' in line 2",
        "column 'number': missing in line 3, but in no training row; replaced by the training mean",
        "column 'age': 1 cell is not a number and counts as missing: 'old' in line 3",
        "numbers with a decimal comma: age",
    ):
        assert note in done.stderr
    assert done.stderr.count("column 'age'") == 1
    write_table(
        new, ["age", "city", "member", "number"], [{"number": "abc", "age": 1, "city": "Paris", "member": "True"}]
    )
    done = dnntrain(*table.command(new))
    expected = (
        "column 'number': 1 cell is not a number and counts as missing: 'abc' in line 2; replaced by the training"
    )
    assert expected in done.stderr and done.stderr.count("column 'number'") == 1
    pattern = r"(?s)are ignored: extra.*column 'city'.*: 'Paris' in row 1"
    with pytest.warns(UserWarning, match=pattern) as warned:
        frame = dt.predict(table.folder / "runs" / table.study, pd.DataFrame(rows[:1]), data_dir="home")
    assert [each.filename for each in warned] == [__file__]  # the user's line, not one of dnntrain
    assert frame["prediction"].tolist() == [first]


def test_the_runs_own_data_are_named(table: Trained, tmp_path: Path) -> None:
    spec, record = RunSpec.from_record(table.record.settings), table.record.data
    assert isinstance(spec.source, FileSource)
    copy = tmp_path / "copy.csv"
    copy.write_bytes((table.folder / spec.source.path).read_bytes())
    n_all = record.train_examples + record.test_examples
    seen = f"{record.train_examples} of its {n_all} examples are the run's training data, validation included"
    with pytest.warns(UserWarning, match=rf"copy.csv: the run was trained on this; {seen}"):
        table.predict(copy)
    copy.write_text(copy.read_text().rsplit("\n", 2)[0] + "\n")  # other data, without the last row
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        table.predict(copy)
    assert not [each for each in warned if "trained on this" in str(each.message)]


def test_arrays_come_as_files_tensors_or_one_example(module: Trained) -> None:
    pixels, expected = np.load(module.test)["x"], module.predict()["confidence"]
    for given in (pixels, torch.from_numpy(pixels), pixels.astype(np.int64)):
        np.testing.assert_array_equal(module.predict(given)["confidence"], expected)
    np.testing.assert_allclose(module.predict(pixels[0])["confidence"], expected[:1], atol=1e-6)


def test_images_come_as_a_folder_a_list_or_one_file(photos: Trained) -> None:
    files, expected = sorted(photos.test.rglob("*.png")), photos.predict()
    assert expected["file"].tolist() == [file.relative_to(photos.test).as_posix() for file in files]
    listed = photos.predict([str(file) for file in files])
    assert listed["file"].tolist() == [str(file) for file in files]
    np.testing.assert_allclose(listed["confidence"], expected["confidence"], atol=1e-6)
    np.testing.assert_allclose(photos.predict(files[3])["confidence"], expected["confidence"][3], atol=1e-6)


def test_a_run_on_arrays_of_images_reads_image_files(module: Trained, tmp_path: Path) -> None:
    for number, image in enumerate(np.load(module.test)["x"]):
        Image.fromarray(image).save(tmp_path / f"{number:02}.png")
    found = module.predict(tmp_path)
    assert found["file"].tolist() == [f"{number:02}.png" for number in range(20)]
    np.testing.assert_array_equal(found["confidence"], module.predict()["confidence"])


def test_a_named_data_set_is_predicted_from_an_array() -> None:
    succeeds("train", "--hidden", "8", "--epochs", "1", "--train-size", "200", "--val", "200", "--name", "mini")
    dataset = data.load_dataset("fashion-mini")
    np.savez("mini.npz", images=dataset.test_inputs, labels=dataset.test_targets)
    record = Trained(Path.cwd(), "mini", Path("mini.npz")).record
    done = dnntrain("predict", "runs/mini", "mini.npz", "--out", "mini.csv")
    assert f"accuracy {100 * (record.results['test_acc'] or 0):.2f} % (2,000 examples" in done.stderr
    assert pd.read_csv("mini.csv").columns.tolist() == ["row", "prediction", "confidence"] and not done.stdout
    assert done.stderr.endswith("wrote 2,000 rows to mini.csv\n")


BAD = [
    ("table", "age,city,member\n1,Rome,True\n", "new.csv: no column 'number', which the run was trained on"),
    ("table", "numbr,age,city,member\n1,1,Rome,True\n", "which the run was trained on; did you mean 'numbr'?"),
    (
        "table",
        "number,age,city,member\n1,1e99,Rome,True\n",
        "column 'age': row 1 is infinite, or too large for float32",
    ),
    ("table", "number,age,city,member\n", "new.csv: a header, but no rows"),
    ("table", "number,age,city,member\n1,2\n", "new.csv: line 2: 2 fields, but the header has 4"),
    ("photos", "number,age\n1,2\n", "new.csv: the run was trained on images; give an image, a folder of images"),
]


@pytest.mark.parametrize(("name", "content", "said"), BAD)
def test_tables_that_do_not_fit_are_refused(
    name: str, content: str, said: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text(content)
    out = tmp_path / "out.csv"
    assert said in error_of(*request.getfixturevalue(name).command(tmp_path / "new.csv", "--out", out))
    assert not out.exists()


def test_the_first_missing_column_is_named(table: Trained, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("other\n1\n")
    first = table.record.data.preprocessing["columns"][0]["name"]  # type: ignore[index]
    assert f"no column '{first}'" in error_of(*table.command(tmp_path / "new.csv"))


def test_a_file_that_cannot_be_written_is_named_as_it_was_given(table: Trained, tmp_path: Path) -> None:
    said = error_of(*table.command(table.test, "--out", tmp_path / "none" / "out.csv"), code=1)
    assert f"cannot write to {tmp_path / 'none' / 'out.csv'}: No such file" in said


def test_levels_of_another_depth_than_in_training_are_noted(module: Trained) -> None:
    assert module.record.data.preprocessing
    preprocessing = Preprocessing.parse(module.record.data.preprocessing)
    assert not preprocessing.read(np.full((2, 8, 8), 10)).notes
    [note] = preprocessing.read(np.full((2, 8, 8), 300)).notes
    assert "levels up to 300, read as 16-bit images" in note


def test_other_data_that_do_not_fit_are_refused(
    table: Trained, photos: Trained, module: Trained, tmp_path: Path
) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "broken.png").write_bytes(b"no image")
    (tmp_path / "empty").mkdir()
    for trained, given, said in (
        (photos, tmp_path, r"1 unreadable images: cat/broken.png: not an image"),
        (photos, tmp_path / "empty", "empty: no image in it"),
        (photos, tmp_path / "nothing", "nothing: no such file or folder"),
        (photos, module.test, r"new.npz: x: examples of shape \(8, 8\); the run was trained on \(3, 10, 10\)"),
        (module, np.zeros((2, 8, 8)), "data: float64; the run was trained on images of whole numbers"),
        (module, np.full((2, 8, 8), -1), "data: a level below 0"),
        (module, Path("digits.npz"), "digits.npz: x_train and x_test are inputs; give a file with one array"),
        (table, np.zeros((2, 4)), "data: ndarray; the run was trained on a table: give a DataFrame"),
        (table, photos.test, "test: the run was trained on a table"),
    ):  # fmt: skip
        with pytest.raises(dt.InputError, match=said):
            trained.predict(given)


def test_runs_and_arms_that_are_not_there_are_refused(table: Trained, photos: Trained) -> None:
    assert "--arm tabel: no such arm in runs/table; did you mean 'table'?" in error_of(
        *table.command(table.test, "--arm", "tabel")
    )
    assert "arm photos has 1 finished runs; an ensemble needs two" in error_of(
        *photos.command(photos.test, "--ensemble")
    )
    assert "--ensemble: needs a study" in error_of("predict", table.record.run, table.test, "--ensemble")
    assert "no study and no run 'tabel'" in error_of("predict", "tabel", table.test, "--ensemble")
    before = table.test.read_bytes()
    assert "would replace the data" in error_of(*table.command(table.test, "--out", table.test))
    assert table.test.read_bytes() == before


def test_code_that_changed_is_run_only_if_it_is_trusted(module: Trained, root: Path) -> None:
    expected = module.predict()
    (root / "net.py").write_text(NET.replace("ReLU", "Tanh"))
    try:
        with pytest.raises(dt.InputError, match=r"which is different now; look at .* with trust_code$"):
            module.predict()
        pd.testing.assert_frame_equal(module.predict(trust_code=True), expected)
    finally:
        (root / "net.py").write_text(NET)


def without(trained: Trained, folder: Path, *names: str) -> Trained:
    """The store as an older version would have written it: without these fields."""
    shutil.copytree("runs", folder / "runs")
    for path in (folder / "runs" / "store").glob("*/run.json"):
        content = json.loads(path.read_text())
        content.pop("checksums")
        for name in names:
            content.pop(name, None)
            content["data"].pop(name, None)
        path.write_text(json.dumps(content))
    return Trained(folder, trained.study, trained.test)


def test_old_records_predict_as_far_as_they_say_how(
    table: Trained, numbers: Trained, photos: Trained, module: Trained, tmp_path: Path
) -> None:
    old = without(table, tmp_path, "preprocessing", "target")
    with pytest.raises(dt.InputError, match="recorded by an older version, without how its data became inputs"):
        old.predict()
    for trained in (photos, module):
        found = Trained(tmp_path, trained.study, trained.test).predict()
        pd.testing.assert_frame_equal(found, trained.predict())
    model = RecordedModel.load(old.store, numbers.record.run, DataLocation())
    assert model.target and numbers.record.target
    assert model.target.mean == pytest.approx(numbers.record.target.mean)


def test_a_study_does_not_tell_old_records_from_new_ones(table: Trained, tmp_path: Path) -> None:
    from dnntrain.store.provenance import Provenance

    old, provenance = without(table, tmp_path, "preprocessing"), Provenance()
    for each in (table, old):
        provenance.add("arm", each.record)
    assert len(provenance.datasets) == 1 and table.record.data.preprocessing and not old.record.data.preprocessing
    assert "preprocessing" not in Path("runs/table/study.json").read_text()
