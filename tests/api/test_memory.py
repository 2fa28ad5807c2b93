"""Data that are in memory: arrays, tensors, torch data sets, and DataFrames, in every place that takes `data`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

import dnntrain as dt
from dnntrain.data import DataLocation, Dataset, find_source
from dnntrain.data.in_memory import keep
from dnntrain.data.table_preprocessing import TablePreprocessing

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
Y = np.arange(60) % 3
TRAIN, TEST = (X[:40], Y[:40]), (X[40:], Y[40:])
PARTS = (*TRAIN, *TEST)
SMALL: dict[str, Any] = {"hidden": "4", "epochs": 1, "val": 12}


def tensors(*arrays: np.ndarray) -> TensorDataset:
    return TensorDataset(*map(torch.from_numpy, arrays))


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Dataset]:
    """Keeps data and loads them again, as a worker does."""
    home = DataLocation(tmp_path)
    return lambda value, **options: find_source(keep(value, home), options).load(home)


@pytest.mark.parametrize(
    "same",
    [
        [(X, Y), [X, Y], {"y": Y, "x": X}, (torch.from_numpy(X), torch.from_numpy(Y)), tensors(X, Y),
         Subset(tensors(X, Y), range(60)), (np.asfortranarray(X), Y.astype(">i8")), (X, pd.Series(Y, dtype="int64"))],
        [PARTS, dict(zip(("x_train", "y_train", "x_test", "y_test"), PARTS, strict=True)),
         (tensors(*TRAIN), tensors(*TEST))],
        [(*PARTS, X[:9], Y[:9]), (tensors(*TRAIN), tensors(X[:9], Y[:9]), tensors(*TEST))],
        [(X, ["a", "bb", "c"] * 20), (X, np.array(["a", "bb", "c"] * 20, "U9")), (X, pd.Series(["a", "bb", "c"] * 20)),
         (X, pd.Series(["a", "bb", "c"] * 20, dtype="category")), (X, pd.Categorical(["a", "bb", "c"] * 20)),
         (X, pd.Index(["a", "bb", "c"] * 20))],
    ],
    ids=["one part", "two parts", "three parts", "text"],
)  # fmt: skip
def test_the_same_content_is_the_same_data(same: list[Any], tmp_path: Path) -> None:
    assert len({keep(value, DataLocation(tmp_path)) for value in same}) == 1
    assert len([*tmp_path.glob("memory/arrays-*/arrays.npz")]) == 1


def test_other_content_is_other_data(tmp_path: Path) -> None:
    others = [(X, Y), (X.astype(float), Y), (X, Y[::-1]), (X + 1, Y), (X, Y * 1.0), PARTS, (X.reshape(60, 2, 2), Y)]
    assert len({keep(value, DataLocation(tmp_path)) for value in others}) == len(others)


@pytest.mark.parametrize(
    ("x", "options", "kind", "shape"),
    [
        (X, {}, "numbers", (4,)),
        (np.ones((60, 1, 6, 5)), {}, "numbers", (1, 6, 5)),
        (np.arange(60 * 30).reshape(60, 6, 5) % 256, {}, "images", (6, 5)),
        (np.arange(60 * 30).astype(np.uint8).reshape(60, 6, 5, 1), {}, "images", (6, 5)),
        (np.arange(240).reshape(60, 4), {}, "numbers", (4,)),
        (np.arange(240).reshape(60, 4), {"inputs": "tokens"}, "tokens", (4,)),
    ],
)
def test_the_type_says_what_inputs_are(
    x: np.ndarray, options: dict[str, str], kind: str, shape: tuple[int, ...], load: Callable[..., Dataset]
) -> None:
    loaded = load((x, Y), **options)
    assert (loaded.kind, loaded.shape, loaded.classes) == (kind, shape, ("0", "1", "2"))
    assert (len(loaded.train_inputs), len(loaded.test_inputs)) == (48, 12)
    assert isinstance(loaded.train_inputs, np.memmap)  # shared by the workers


def test_floats_are_numbers_to_predict_and_the_share_of_the_test_part_is_chosen(load: Callable[..., Dataset]) -> None:
    loaded = load((X, Y * 1.0), test=0.5)
    assert loaded.outline.task == "regression" and len(loaded.test_inputs) == 30


FRAME = pd.DataFrame(
    {
        "number": X[:, 0],
        "code": ["007", "7", "08"] * 20,
        "level": pd.Categorical([1, 2] * 30),
        "flag": [True, False] * 30,
        "perhaps": pd.array([True, None, False] * 20, dtype="boolean"),
        "gap": [None, 1.0, 2.0] * 20,
        "object": pd.Series([1, 2] * 30, dtype=object),
        "objects": pd.Series([1, pd.NA, 2.5] * 20, dtype=object),
        "day": pd.to_datetime(["2020-01-01", "2021-01-01"] * 30),
        "kind": ["cat", "dog"] * 30,
    }
)


def test_the_columns_of_a_frame_keep_their_types(load: Callable[..., Dataset]) -> None:
    loaded = load(FRAME, target="kind")
    kinds = {column.name: (column.kind, column.inputs) for column in loaded.columns}
    assert kinds["number"] == ("number", ("number",))
    assert kinds["code"] == ("text", ("code = 007", "code = 08", "code = 7"))
    assert kinds["level"] == ("text", ("level = 1", "level = 2"))
    assert kinds["flag"] == ("yes or no", ("flag",))
    assert kinds["perhaps"] == ("number", ("perhaps", "perhaps is missing"))
    assert kinds["gap"] == ("number", ("gap", "gap is missing"))
    assert kinds["object"] == ("number", ("object",))
    assert kinds["objects"] == ("number", ("objects", "objects is missing"))
    assert kinds["day"] == ("text", ("day = 2020-01-01", "day = 2021-01-01"))
    assert loaded.classes == ("cat", "dog")
    assert load(FRAME, target="number").outline.task == "regression"


def test_a_frame_is_known_by_its_content(tmp_path: Path) -> None:
    home = DataLocation(tmp_path)
    names = [keep(frame, home) for frame in (FRAME, FRAME.copy().set_index(FRAME.index * 2), FRAME.assign(code="1"))]
    assert names[0] == names[1] != names[2]


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        yield 1, 1


REFUSED = {
    "inputs alone": (X, "float32 of shape (60, 4)"),
    "None": (None, "None"),
    "number": (3, "an int"),
    "loader": (DataLoader(tensors(X, Y)), "a DataLoader; give the data set that it loads"),
    "loaders": ((DataLoader(tensors(X, Y)),) * 2, "give the data set that it loads"),
    "stream": (Stream(), "its items have no numbers; give a map-style data set"),
    "generator": ((pair for pair in [(X, Y)]), "a generator; give all examples at once"),
    "three arrays": ((X, Y, X), "must be (x, y) or (x_train, y_train, x_test, y_test)"),
    "half": ({"x": X}, "a dict without y"),
    "unknown": ({"x": X, "z": Y}, "the key 'z'"),
    "lengths": ((X, Y[:5]), "x of shape (60, 4) and y of shape (5,)"),
    "targets": ((X, X), "several targets per example"),
    "masked": ((np.ma.masked_greater(X, 0), Y), "x is a masked array"),
    "meta": ((torch.empty(60, 4, device="meta"), Y), "x cannot become an array: Cannot copy out of meta tensor"),
    "frame with y": ((FRAME, Y), "data=x.assign(y=y)"),
    "no columns": (pd.DataFrame(), "without columns"),
    "no target": (FRAME, "which column is to be predicted? target COLUMN"),
    "kept elsewhere": ("memory:arrays-0123456789abcdef", "give them again in Python"),
}


@pytest.mark.parametrize(("value", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_data_is_an_error(
    value: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DNNTRAIN_DATA", str(tmp_path / "data"))
    with pytest.raises(dt.InputError) as caught:
        dt.train(data=value, out=tmp_path / "runs", **SMALL)
    assert said in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_a_frame_and_its_csv_file_are_predicted_alike(load: Callable[..., Dataset], tmp_path: Path) -> None:
    days = pd.to_datetime(["2020-01-01", "2021-01-01"] * 30)
    frame = FRAME.drop(columns="code").assign(day=days, empty=["", "a", "b"] * 20, objects=[True, False, None] * 20)
    frame.to_csv(tmp_path / "frame.csv", index=False)
    of_frame = load(frame.assign(empty=["c", "a", "b"] * 20), target="kind")
    of_csv = find_source(str(tmp_path / "frame.csv"), {"target": "kind"}).load(DataLocation(tmp_path))
    for made in (of_frame, of_csv):
        assert isinstance(made.preprocessing, TablePreprocessing)
        from_frame, from_csv = (made.preprocessing.read(each) for each in (frame, tmp_path / "frame.csv"))
        np.testing.assert_array_equal(*(np.float32(each.inputs) for each in (from_frame, from_csv)))
        assert from_frame.inputs[0].any() and from_frame.notes == [n.replace("line 2", "row 1") for n in from_csv.notes]
