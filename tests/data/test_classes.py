"""`--classes`: names come first, and what is wrong with other classes does not matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnntrain import data
from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation, Dataset
from dnntrain.data.dataset import class_numbers
from dnntrain.errors import InputError
from dnntrain.utils.fields import as_names
from tests.data.test_user_data import SCALED, make_folder

CASES = Path(__file__).parents[1] / "cases"


def load(path: Path, **options: Any) -> Dataset:
    return data.load_dataset(str(path), DataLocation(path.parent / "home"), **options)


@pytest.mark.parametrize(
    ("chosen", "classes", "numbers"),
    [
        ("sandal,SHIRT", ("Shirt", "Sandal", "Bag"), [1, 0]),
        ("2, 0", ("Shirt", "Sandal", "Bag"), [2, 0]),
        ("2,7", ("1", "2", "3", "5", "7"), [1, 4]),
        ("1,0", ("0", "1"), [1, 0]),
        ("a,b", ("A", "a", "b"), [1, 2]),
        ("A,B", ("A", "a", "b"), [0, 2]),
        ('"cat, big",dog', ("cat", "cat, big", "dog"), [1, 2]),
        ("b,a", (" a", "b"), [1, 0]),
        ("strasse,weg", ("Straße", "Weg"), [0, 1]),
    ],
)
def test_names_come_first(chosen: str, classes: tuple[str, ...], numbers: list[int]) -> None:
    assert class_numbers(chosen, classes) == numbers


@pytest.mark.parametrize(
    ("chosen", "classes", "reason"),
    [
        ("2,4", ("1", "2", "3", "5", "7"), "no class '4'; known: 1, 2, 3, 5, 7"),
        ("2,0", ("1", "2", "other"), "no class '0'; known: 1, 2, other"),
        ("ab,c", ("AB", "Ab", "c"), "'ab' matches 'AB' and 'Ab'"),
        ("a,5", ("a", "b"), "no class '5' at position 5, they are 0 to 1; known: a, b"),
        ("a,A", ("a", "b"), "'A' is given twice"),
        ("cat,dog", ("cat", "dogs"), "no class 'dog'; did you mean 'dogs'?"),
        ("a,-1", ("a", "b"), "no class '-1'"),
    ],
)
def test_what_is_no_class_is_refused(chosen: str, classes: tuple[str, ...], reason: str) -> None:
    with pytest.raises(InputError) as caught:
        class_numbers(chosen, classes)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("sandal, shirt", "sandal,shirt"),
        (["sandal", "shirt"], "sandal,shirt"),
        ([2, 7], "2,7"),
        (["cat, big", "dog"], '"cat, big",dog'),
        ('"cat, big", dog', '"cat, big",dog'),
        ("  ", None),
        (None, None),
    ],
)
def test_one_text_for_each_choice(value: object, text: str | None) -> None:
    assert as_names(value) == text
    assert as_names(text) == text
    assert RunSpec.parse({"classes": value}).source.classes == text


def test_classes_of_arrays() -> None:
    loaded = load(CASES / "lab.npz", classes="2,7")
    with np.load(CASES / "lab.npz") as file:
        labels = file["y"]
    assert loaded.classes == ("2", "7")
    counts = np.bincount(np.r_[loaded.train_targets, loaded.test_targets])
    assert counts.tolist() == [(labels == 2).sum(), (labels == 7).sum()]
    with pytest.raises(InputError, match="no class '4'; known: 1, 2, 3, 5, 7"):
        load(CASES / "lab.npz", classes="2,4")


def test_classes_of_a_table() -> None:
    loaded = load(CASES / "Aa.csv", target="y", classes="a,b")
    assert loaded.classes == ("a", "b")
    counts = np.bincount(np.r_[loaded.train_targets, loaded.test_targets])
    words = [line.split(",")[1] for line in (CASES / "Aa.csv").read_text().splitlines()[1:]]
    assert counts.tolist() == [words.count("a"), words.count("b")]


def test_the_choice_moves_no_example_to_another_part(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "it.npz", x=rng.normal(size=(90, 3)), y=np.arange(90) % 3)
    root = make_folder(tmp_path / "pets", {"cat": 20, "dog": 20, "owl": 20})
    for path, chosen in ((tmp_path / "it.npz", "2,1"), (root, "owl,dog")):
        whole, some = load(path).only(chosen), load(path, classes=chosen)
        for part in ("train_inputs", "train_targets", "test_inputs", "test_targets", "classes"):
            np.testing.assert_array_equal(getattr(whole, part), getattr(some, part))


def test_other_classes_may_be_wrong(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3))
    labels = np.r_[np.arange(60) % 2, np.arange(30) + 100.5]
    labels[-1] = np.nan
    x[-2] = np.inf
    np.savez(tmp_path / "it.npz", x=x, y=labels)
    loaded = load(tmp_path / "it.npz", classes="0,1")
    assert loaded.classes == ("0", "1")
    assert len(loaded.train_inputs) + len(loaded.test_inputs) == 60
    assert loaded.notes == ()  # of rare classes, missing values: nothing that concerns these two
    with pytest.raises(InputError, match="1 of 90 values are missing"):
        load(tmp_path / "it.npz")


def test_copies_of_other_classes_do_not_matter(tmp_path: Path) -> None:
    x = np.arange(80.0)[:, None]
    x[:4] = x[44:48]  # rows 44 to 47, of class 2, are in the test part
    labels = np.r_[np.arange(40) % 2, np.arange(40) % 2]
    labels[44:48] = 2
    np.savez(tmp_path / "it.npz", x_train=x[:40], y_train=labels[:40], x_test=x[40:], y_test=labels[40:])
    assert "8 rows have equal inputs but different labels" in load(tmp_path / "it.npz").notes
    loaded = load(tmp_path / "it.npz", classes="0,1")
    assert len(loaded.train_inputs) == 40 and loaded.notes == ()


def test_other_classes_of_a_table_may_be_wrong(tmp_path: Path) -> None:
    lines = [f"{number},{'ab'[number % 2]}" for number in range(40)] + ["inf,c", "7,d"]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines]))
    loaded = load(tmp_path / "t.csv", target="y", classes="a,b")
    assert len(loaded.train_inputs) + len(loaded.test_inputs) == 40 and loaded.notes == ()
    with pytest.raises(InputError, match="row 41 is infinite"):
        load(tmp_path / "t.csv", target="y")


def test_other_folders_may_be_wrong(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "pets", {"cat": 9, "dog": 9, "owl": 0, "rat": 2, "yak": 0})
    for number in range(20):
        (root / "yak" / f"{number}.png").write_bytes(b"no image")
    loaded = load(root, classes="dog,cat")
    assert loaded.classes == ("dog", "cat") and loaded.notes == (SCALED,)
    assert len(loaded.train_inputs) + len(loaded.test_inputs) == 18
    for chosen, reason in (("cat,owl", "owl: no image in it"), ("cat,rat", "rat: 2 training images"),
                           ("cat,yak", "20 unreadable images")):  # fmt: skip
        with pytest.raises(InputError, match=reason):
            load(root, classes=chosen)


def test_the_classes_decode_apart(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "pets", {"cat": 9, "dog": 9, "owl": 9})
    for _ in range(2):  # read, then kept decoded
        assert load(root, classes="cat,dog").classes == ("cat", "dog")
        assert load(root, classes="owl,cat").classes == ("owl", "cat")
        assert load(root).classes == ("cat", "dog", "owl")
