"""Predictions on disk: a file for each run, shared targets, damage that is named, and making what is missing."""

from __future__ import annotations

import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from dnntrain.errors import InputError
from dnntrain.metrics import HELD_OUT, METRICS, TargetInfo, recorded_metrics
from dnntrain.store.predictions import Predictions
from dnntrain.store.run_store import RunStore
from dnntrain.studies import execution
from tests.support.command import QUICK, dnntrain, error_of, succeeds
from tests.support.inline import answer
from tests.support.records import made_record

RUN = "0123456789ab"
TABLE = "x,z,y\n" + "".join(f"{i % 7},{i % 5},{i % 7 * 2 + i % 5 / 3:.3f}\n" for i in range(90))
BASE = "hidden: '8,6', epochs: 3, train_size: 96, val: 64, batch_size: 16"
STUDIES = {
    "classes": f"base: {{{BASE}, lr: 0.1, early_stop: 1}}\nfactors: {{bn: {{bn: on, dropout: 0.1}}}}\nseeds: 2\n",
    "sigmoid": f"base: {{{BASE}, classes: 'sandal,shirt', output: sigmoid}}\n"
    "factors: {wild: {lr: 1e6, hidden: 3x8}}\nseeds: 2\n",
    "numbers": "base: {data: t.csv, target: y, hidden: 8, epochs: 2, lr: 0.05}\n"
    "factors: {l2: {l2: 0.01}, 'no': {scale: raw, select: 'best:val_rmse'}}\nseeds: 2\n",
    "transfer": f"base: {{{BASE}}}\npretrain: {{hidden: '8,6', epochs: 1, train_size: 96, val: 64, scale: standard}}\n"
    "factors:\n  frozen: {reuse_from: pretrain, transfer_layers: 1, scale: standard}\n"
    "  unfrozen: {reuse_from: pretrain, freeze_epochs: 1, unfreeze_layers: 1, scale: standard}\nseeds: 2\n",
}


def predictions(rows: int = 5, units: int = 3, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    outputs = {part: rng.normal(size=(rows, units)).astype(np.float32) for part in ("val", "test")}
    targets = {"val": np.arange(rows) % units, "test": np.arange(rows)[::-1] % units}
    return Predictions(outputs, targets, {"val": TargetInfo(units), "test": TargetInfo(units, 2.5, 0.1 + 0.2)})


def stored(folder: Path, run: str = RUN, made: Predictions | None = None) -> RunStore:
    store = RunStore(folder)
    store.write(made_record(run), {"w": np.zeros(1, np.float32)}, made or predictions())
    return store


def files(folder: Path, pattern: str) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in (folder / "runs/store").glob(pattern)}


# The files


def test_what_is_written_is_read(tmp_path: Path) -> None:
    store, made = stored(tmp_path), predictions()
    found = store.predictions(RUN)
    assert found is not None and found.info == made.info
    for part in ("val", "test"):
        assert found.outputs[part].dtype == np.float32
        np.testing.assert_array_equal(found.outputs[part], made.outputs[part])
        np.testing.assert_array_equal(found.targets[part], made.targets[part])
        assert found.targets[part].dtype == np.int64
    assert store.has(RUN)


def test_a_run_without_predictions_is_recorded_all_the_same(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.write(made_record(), {"w": np.zeros(1, np.float32)})
    assert store.predictions(RUN) is None and store.has(RUN) and store.problem(RUN) == ""
    assert not store.targets.exists()


def test_runs_share_the_targets_of_a_split(tmp_path: Path) -> None:
    for number in range(3):
        store = stored(tmp_path, f"{number:012x}", predictions(seed=number))
    assert len([*store.targets.iterdir()]) == 2
    same = predictions()
    stored(tmp_path, "f" * 12, Predictions(same.outputs, dict.fromkeys(same.targets, same.targets["val"]), same.info))
    assert len([*store.targets.iterdir()]) == 2
    stored(tmp_path, "e" * 12, predictions(rows=6))
    assert len([*store.targets.iterdir()]) == 4
    assert len(store.unused_targets([f"{0:012x}"])) == 2 and not store.unused_targets(store.run_ids())


def test_every_damaged_byte_is_named_or_does_no_harm(tmp_path: Path) -> None:
    store, made = stored(tmp_path), predictions()
    path = store.predictions_file(RUN)
    whole = path.read_bytes()
    named, is_named = 0, True
    for place, mask in product(range(0, len(whole), 2), (0x55, 0x01)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
        try:
            found = store.predictions(RUN)
        except InputError as error:
            named += 1
            found, said = made, str(error)
            is_named = is_named and (str(path) in said or str(store.targets) in said)
        assert found is not None and found.info == made.info
        assert all(np.array_equal(found.outputs[part], made.outputs[part]) for part in made.outputs)
    assert is_named and named > len(whole) / 10
    for damaged in (b"", whole[:100], whole[:-30], b"PK" * 90):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"predictions.npz: damaged \(.*; `dnntrain runs evaluate` makes it again"):
            store.predictions(RUN)
        assert store.has(RUN) and "damaged" in store.problem(RUN)


def test_targets_that_are_gone_or_changed_are_named(tmp_path: Path) -> None:
    store = stored(tmp_path)
    target = sorted(store.targets.iterdir())[0]
    whole = target.read_bytes()
    target.write_bytes(whole[:-1] + b"\1")
    with pytest.raises(InputError, match=f"{target.name}: changed since it was written"):
        store.predictions(RUN)
    target.unlink()
    with pytest.raises(InputError, match=f"{target.name}: No such file"):
        store.predictions(RUN)
    stored(tmp_path)
    assert target.read_bytes() == whole


def test_predictions_of_other_weights_are_found_out(tmp_path: Path) -> None:
    made = predictions(200)
    right = METRICS["acc"].from_predictions(made.outputs["val"], made.targets["val"], made.info["val"])
    store, weights = RunStore(tmp_path), {"w": np.zeros(1, np.float32)}
    store.write(made_record(results={"val_acc": right, "train_acc": 0.1, "val_loss": None}), weights, made)
    assert store.problem(RUN) == ""
    store.write(made_record(results={"val_acc": right + 0.05}), weights, made)
    assert f"predictions.npz: val_acc is {right + 0.05:.6g} in the record and {right:.6g} by" in store.problem(RUN)


# The commands


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a study of each kind of data and output, of a transfer, and with runs that diverged."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "t.csv").write_text(TABLE)
    for name, text in STUDIES.items():
        (folder / f"{name}.yaml").write_text(text)
        done = answer(["ablate", f"{name}.yaml"], folder, seconds=120)
        assert done.code == 0, done
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def test_every_finished_run_has_predictions_with_its_metrics(trained: Path) -> None:
    store, statuses = RunStore(trained / "runs"), []
    for run in store.run_ids():
        record, found = store.read(run), store.predictions(run)
        statuses.append(record.status)
        assert (found is None) == (record.status == "diverged")
        for column in (f"{part}_{m.name}" for part in HELD_OUT for m in recorded_metrics(record.data.task)):
            assert found is None or found.metric(column) == pytest.approx(record.results[column], rel=1e-5, abs=1e-6), (
                run,
                column,
            )
    assert 1 <= statuses.count("diverged") <= 2 and len(statuses) == 21
    # classes, sigmoid and numbers have a validation and a test part each; the transfer's are those of the classes
    assert len([*store.targets.iterdir()]) == 6
    said = succeeds("runs", "verify", cwd=trained)
    assert "21 of 21 runs are whole" in said


def test_missing_predictions_are_made_again_without_training(folder: Path) -> None:
    before = files(folder, "*/predictions.npz") | files(folder, ".targets/*")
    records = files(folder, "*/*.json")
    for path in (folder / "runs/store").glob("*/predictions.npz"):
        path.unlink()
    shutil.rmtree(folder / "runs/store/.targets")
    assert "already" in dnntrain("ablate", "classes.yaml", cwd=folder).stderr  # nothing is trained for want of them
    assert succeeds("runs", "evaluate", "classes", cwd=folder) == "4 of 4 runs evaluated\n"
    finished = len([name for name in before if name.endswith(".npz")])
    rest = f"{finished - 4} of 21 runs evaluated; 4 had predictions; {21 - finished} diverged\n"
    assert succeeds("runs", "evaluate", cwd=folder) == rest
    assert f"0 of 21 runs evaluated; {finished} had predictions" in succeeds("runs", "evaluate", cwd=folder)
    assert files(folder, "*/predictions.npz") | files(folder, ".targets/*") == before
    assert files(folder, "*/*.json") == records


def test_monte_carlo_averages_are_made_once(folder: Path) -> None:
    """Weight scaling, Monte Carlo and ensembles of recorded runs; a second call has the same answer from the files."""
    first = answer(["runs", "evaluate", "classes", "--mc", "3", "--json"], folder)
    assert first.code == 0 and "2 of 4 runs evaluated; 2 without dropout" in first.err
    made = files(folder, "*/mc-3.npz")
    second = answer(["runs", "evaluate", "classes", "--mc", "3", "--json"], folder)
    assert second.out == first.out and "2 had predictions" in second.err and files(folder, "*/mc-3.npz") == made
    [study] = json.loads(first.out)["studies"]
    scores = {(each["arm"], each["prediction"], each["metric"]): each for each in study["scores"]}
    ways = ["weight scaling", "Monte Carlo", "ensemble of 2", "ensemble of 2, Monte Carlo"]
    assert [way for arm, way, metric in scores if (arm, metric) == ("bn", "val_ece")] == ways
    assert [way for arm, way, metric in scores if (arm, metric) == ("baseline", "test_loss")] == ways[::2]
    store, runs = RunStore(folder / "runs"), [path.split("/")[2] for path in made]
    values = [[store.predictions(run, samples).metric("test_loss") for run in runs] for samples in (None, 3)]  # type: ignore[union-attr]
    averaged = scores["bn", "Monte Carlo", "test_loss"]
    assert averaged["mean"] == pytest.approx(np.mean(values[1])) and averaged["n"] == 2
    assert averaged["difference"]["mean"] == pytest.approx(np.mean(values[1]) - np.mean(values[0]))
    table = answer(["runs", "evaluate", "classes", *runs[:1], "--mc", "3"], folder).out
    assert "classes, 3 passes with dropout on" in table and "runs, 3 passes" in table and "Δ test_ece [95 %]" in table
    assert f"{runs[0]}   Monte Carlo      1" in table
    assert "0 folders" in succeeds("runs", "gc", "--yes", cwd=folder)
    (folder / next(iter(made))).write_bytes(b"PK")
    assert "mc-3.npz: damaged" in dnntrain("runs", "verify", cwd=folder).stdout


def test_runs_without_dropout_are_not_averaged(folder: Path) -> None:
    refused = answer(["runs", "evaluate", "numbers", "--mc", "3"], folder)
    assert refused.code == 2 and "--mc: none of these runs has dropout, so all passes" in refused.err
    assert not files(folder, "*/mc-3.npz")
    assert "needs the names of studies or runs" in answer(["runs", "evaluate", "--mc", "3"], folder).err
    assert "--json: is for the table of --mc" in answer(["runs", "evaluate", "--json"], folder).err


def test_damaged_predictions_are_made_again(folder: Path) -> None:
    path = next((folder / "runs/store").glob("*/predictions.npz"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert dnntrain("runs", "verify", cwd=folder).returncode == 1
    assert "1 of 1 runs evaluated" in succeeds("runs", "evaluate", path.parent.name, cwd=folder)
    assert path.read_bytes() == whole


def test_a_run_whose_weights_do_not_give_its_metrics_is_named_and_gets_none(folder: Path) -> None:
    good, bad = sorted(path.parent for path in (folder / "runs/store").glob("*/predictions.npz"))[:2]
    (first, second) = (json.loads((path / "run.json").read_text())["run"] for path in (good, bad))
    study = json.loads((folder / "runs/classes/study.json").read_text())
    assert study["seeds"] == [0, 1]
    runs = [line.split(",")[3] for line in (folder / "runs/classes/results.csv").read_text().splitlines()[1:3]]
    first, second = (folder / "runs/store" / run for run in runs)
    shutil.copy(first / "weights.safetensors", second / "weights.safetensors")
    for path in (first, second):
        (path / "predictions.npz").unlink()
    said = error_of("runs", "evaluate", *runs, cwd=folder)
    assert f"run {second.name}: its weights do not give the recorded metrics: " in said and first.name not in said
    assert (first / "predictions.npz").exists() and not (second / "predictions.npz").exists()


def test_data_that_have_changed_or_gone_are_a_reason(folder: Path) -> None:
    for path in (folder / "runs/store").glob("*/predictions.npz"):
        path.unlink()
    (folder / "t.csv").write_text(TABLE.replace("1", "2"))
    said = error_of("runs", "evaluate", "numbers", cwd=folder)
    assert said.count("the data set t.csv is not the one that it was trained on") == 6
    (folder / "t.csv").unlink()
    assert error_of("runs", "evaluate", "numbers", cwd=folder).count("t.csv: no such file") == 6
    assert "no study and no run 'numbrs'" in error_of("runs", "evaluate", "numbrs", cwd=folder)


def test_what_no_run_uses_any_longer_is_removed(folder: Path) -> None:
    succeeds("runs", "rm", "numbers", "--yes", cwd=folder)
    assert "6 folders and 2 files" in succeeds("runs", "gc", "--yes", cwd=folder)
    assert "0 folders" in succeeds("runs", "gc", "--yes", cwd=folder)
    assert "15 of 15 runs are whole" in succeeds("runs", "verify", cwd=folder)
    for study in ("classes", "sigmoid", "transfer", "transfer-base"):
        succeeds("runs", "rm", study, "--yes", cwd=folder)
    succeeds("runs", "gc", "--yes", cwd=folder)
    assert not [*(folder / "runs/store").iterdir()]


def test_predictions_may_be_left_out(tmp_path: Path) -> None:
    succeeds("train", *QUICK, "--no-predictions", cwd=tmp_path)
    store = tmp_path / "runs/store"
    assert not [*store.glob("*/predictions.npz")] and not (store / ".targets").exists()
    assert "1 of 1 runs evaluated" in succeeds("runs", "evaluate", cwd=tmp_path)
    assert len([*store.glob("*/predictions.npz")]) == 1


def test_a_note_says_how_large_the_predictions_of_a_big_study_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s.yaml").write_text(STUDIES["classes"])
    assert "--no-predictions" not in answer(["ablate", "s.yaml", "--out", "small"], tmp_path).err
    # 4 runs × 2,064 examples × 10 units × 4 bytes are .33 MB
    monkeypatch.setattr(execution, "LARGE_PREDICTIONS", 0.1)
    note = "s: the predictions of 4 runs will take 0 MB in runs; --no-predictions leaves them out"
    assert answer(["ablate", "s.yaml"], tmp_path).err.count(note) == 1
    size = sum(path.stat().st_size for path in (tmp_path / "runs/store").glob("*/predictions.npz"))
    assert size == pytest.approx(4 * 2_064 * 10 * 4, rel=0.05)
    assert note not in answer(["ablate", "s.yaml", "--out", "other", "--no-predictions"], tmp_path).err
    assert note not in answer(["ablate", "s.yaml"], tmp_path).err  # nothing is left to train
