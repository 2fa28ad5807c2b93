"""What the arrays of an .npz file are read as: their shape decides, not their type; and copies among them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnntrain import data
from dnntrain.data import DataLocation, Dataset
from dnntrain.errors import InputError

CASES = Path(__file__).parents[1] / "cases"
LABELS = np.arange(40) % 2


def load(path: Path, **options: Any) -> Dataset:
    return data.load_dataset(str(path), DataLocation(path.parent / "home"), **options)


def saved(tmp_path: Path, **arrays: Any) -> Path:
    np.savez(tmp_path / "it.npz", **arrays)
    return tmp_path / "it.npz"


def levels(most: int, *shape: int) -> np.ndarray:
    """Random levels of which the first is 0 and the last is the highest."""
    found = np.random.default_rng(0).integers(0, most + 1, shape)
    found.flat[0], found.flat[-1] = 0, most
    return found


def everything(dataset: Dataset) -> np.ndarray:
    return np.concatenate([dataset.train_inputs, dataset.test_inputs])


def test_a_table_of_small_numbers_is_no_image() -> None:
    loaded = load(CASES / "u8b.npz")
    assert not loaded.is_image and loaded.train_inputs.dtype == np.float32
    assert not any("image" in note for note in loaded.notes)


def test_flat_images_are_columns_and_said(tmp_path: Path) -> None:
    loaded = load(saved(tmp_path, x=levels(255, 40, 784).astype(np.uint8), y=LABELS))
    assert not loaded.is_image
    assert loaded.notes == (
        "x: rows of 784 numbers, read as columns; images have the shape (height, width), (height, width, 3) or "
        "(3, height, width)",
    )


@pytest.mark.parametrize(
    ("most", "kind", "note"),
    [
        (255, np.uint8, None),
        (200, np.uint8, None),
        (255, np.int32, "int32, read as images with levels from 0 to 255"),
        (4095, np.uint16, "levels up to 4,095, read as 12-bit images, 0 to 4,095 scaled to 0 to 255"),
        (3000, np.int32, "levels up to 3,000, read as 12-bit images, 0 to 4,095 scaled to 0 to 255"),
        (65_535, np.int64, "levels up to 65,535, read as 16-bit images, 0 to 65,535 scaled to 0 to 255"),
        (15, np.uint8, "levels up to 15, read as 4-bit images, 0 to 15 scaled to 0 to 255"),
        (1, np.uint8, "levels up to 1, read as 1-bit images, 0 to 1 scaled to 0 to 255"),
        (1, np.bool_, "levels up to 1, read as 1-bit images, 0 to 1 scaled to 0 to 255"),
    ],
)
def test_images_of_any_depth(tmp_path: Path, most: int, kind: Any, note: str | None) -> None:
    images = levels(most, 40, 6, 5)
    loaded = load(saved(tmp_path, x=images.astype(kind), y=LABELS))
    full = next(bound for bound in (1, 15, 255, 4095, 65_535) if most <= bound)
    assert loaded.is_image and loaded.shape == (6, 5)
    assert loaded.notes == ((f"x: {note}",) if note else ())
    expected = np.sort((images * (255 / full)).round().ravel())
    np.testing.assert_array_equal(np.sort(everything(loaded).ravel()), expected)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (levels(255, 40, 6, 5) - 100, "x: whole numbers from -100 to 155, but image levels are 0 to 65,535"),
        (levels(70_000, 40, 6, 5), "x: whole numbers from 0 to 70,000, but image levels"),
        (levels(255, 40, 6, 5, 4), "images of shape (6, 5, 4); must be (height, width)"),
    ],
)
def test_what_can_be_no_image_is_refused_with_a_way_out(tmp_path: Path, images: np.ndarray, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        load(saved(tmp_path, x=images, y=LABELS))
    assert reason in str(caught.value) and "array.astype(float)" in str(caught.value)
    as_columns = load(saved(tmp_path, x=images.astype(float), y=LABELS))
    assert not as_columns.is_image and as_columns.notes == (
        "x: float64, read as columns of numbers; images are whole numbers from 0 to 255",
    )


def test_parts_that_mean_different_things_are_refused(tmp_path: Path) -> None:
    images = levels(255, 60, 6, 5)
    path = saved(
        tmp_path, x_train=images[:40].astype(np.uint8), y_train=LABELS, x_test=images[40:] / 255, y_test=LABELS[:20]
    )
    with pytest.raises(InputError, match="x_train, x_test: uint8, float64; images must be whole numbers in each part"):
        load(path)


FRACTIONS = np.random.default_rng(0).random((40, 64))
BYTES, WORDS = (levels(most, 40, 8, 8).astype(kind) for most, kind in ((255, np.uint8), (4080, np.uint16)))


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (WORDS, BYTES, "x_train has uint16 from 0 to 4,080, x_test has uint8 from 0 to 255"),
        (BYTES > 99, BYTES, "x_train has bool from 0 to 1, x_test has uint8 from 0 to 255"),
        (WORDS.reshape(40, 64), BYTES.reshape(40, 64), "x_train has uint16 from 0 to 4,080, x_test has uint8"),
        (BYTES.reshape(40, 64), FRACTIONS, "x_train has uint8 from 0 to 255, x_test has float64 from "),
        (BYTES.reshape(40, 64).astype(float), FRACTIONS, "x_train has float64 from 0 to 255, x_test has float64"),
        (FRACTIONS[:, :5] * 2 - 1, BYTES[:, 0, :5], "x_train has float64 from -"),
    ],
)
def test_parts_on_different_scales_are_refused(tmp_path: Path, train: np.ndarray, test: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match="parts on different scales") as caught:
        load(saved(tmp_path, x_train=train, y_train=LABELS, x_test=test, y_test=LABELS))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (WORDS, WORDS // 20),
        (BYTES, (255 - BYTES).astype(np.int64)),
        (BYTES, (BYTES // 2).astype(np.int8)),
        (WORDS[:, 0], BYTES[:, 0]),
        (BYTES[:, 0], BYTES[:, 1].astype(float)),
        (FRACTIONS, FRACTIONS > 0.5),
        (FRACTIONS * 3, FRACTIONS),
    ],
)
def test_parts_on_one_scale_are_joined(tmp_path: Path, train: np.ndarray, test: np.ndarray) -> None:
    loaded = load(saved(tmp_path, x_train=train, y_train=LABELS, x_test=test, y_test=LABELS))
    assert len(loaded.test_inputs) == 40


def test_time_stamps_keep_their_seconds(tmp_path: Path) -> None:
    stamps = 1_700_000_000 + np.arange(40)
    for x in (stamps, stamps.astype(np.float64), stamps.astype(np.uint32)):
        loaded = load(saved(tmp_path, x=x, y=LABELS))
        assert loaded.train_inputs.dtype == np.float64
        assert sorted(everything(loaded).ravel()) == stamps.tolist()
    single = load(saved(tmp_path, x=levels(9, 40, 3).astype(np.float32), y=LABELS))
    assert single.train_inputs.dtype == np.float32  # nothing to gain


def test_whole_labels_of_two_types_are_labels() -> None:
    loaded = load(CASES / "mix.npz")
    assert loaded.classes == tuple(map(str, range(100)))
    assert (
        "y_train, y_test: 100 different whole numbers, read as classes; --task regression predicts the number"
        in loaded.notes
    )


@pytest.mark.parametrize("kind", [np.int8, np.uint64, np.float16, np.float64])
def test_labels_of_any_type_are_the_same_classes(tmp_path: Path, kind: Any) -> None:
    labels = np.arange(200) % 25
    loaded = load(saved(tmp_path, x=levels(255, 200, 4).astype(float), y=labels.astype(kind)))
    assert loaded.classes == tuple(map(str, range(25)))


def test_labels_in_bytes_and_in_text(tmp_path: Path) -> None:
    x = levels(255, 60, 4).astype(float)
    words = np.array(["größer", "kleiner"] * 20)
    as_bytes = np.char.encode(words[:20], "utf-8")
    loaded = load(saved(tmp_path, x_train=x[:40], y_train=words, x_test=x[40:], y_test=as_bytes))
    assert loaded.classes == ("größer", "kleiner")


def test_blanks_at_the_ends_of_labels_make_no_class(tmp_path: Path) -> None:
    x, words = levels(255, 40, 4).astype(float), np.array([b"cat", b"cat ", b"dog", b"dog"] * 10)
    for labels in (words, words.astype("U")):
        loaded = load(saved(tmp_path, x=x, y=labels))
        assert loaded.classes == ("cat", "dog")
        assert loaded.notes == ("y: blanks around texts are dropped, which makes some of them equal",)


def test_one_hot_is_said(tmp_path: Path) -> None:
    loaded = load(saved(tmp_path, x=levels(255, 40, 4).astype(float), y=np.eye(2)[LABELS]))
    assert loaded.classes == ("0", "1")
    assert loaded.notes == ("y: one-hot rows of 2, read as classes by the column of the 1",)


def test_classes_that_a_part_lacks_are_said(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(80, 4))
    y = np.r_[LABELS, LABELS[:20], np.arange(20) % 4]
    arrays = {"x_train": x[:40], "y_train": y[:40], "x_val": x[40:60], "y_val": y[40:60]}
    assert load(saved(tmp_path, **arrays, x_test=x[60:], y_test=y[60:])).notes == (
        "2 classes have no training example: 2, 3",
        "2 classes have no validation example: 2, 3",
    )
    y[60:] = LABELS[0]
    assert "class '1' has no test example" in load(saved(tmp_path, **arrays, x_test=x[60:], y_test=y[60:])).notes


# Copies


def test_copies_stay_on_one_side() -> None:
    loaded = load(CASES / "dup.npz")
    train, test = ({row.tobytes() for row in part} for part in (loaded.train_inputs, loaded.test_inputs))
    assert not train & test
    assert any("copies are kept in the same part" in note for note in loaded.notes)


def test_what_the_test_part_has_does_not_train(tmp_path: Path) -> None:
    x = levels(255, 60, 4).astype(float)
    labels = np.arange(60) % 2
    x[:5] = x[40:45]
    labels[0] = 1 - labels[40]  # no copy: it disagrees
    loaded = load(saved(tmp_path, x_train=x[:40], y_train=labels[:40], x_test=x[40:], y_test=labels[40:]))
    assert (len(loaded.train_inputs), len(loaded.test_inputs)) == (36, 20)
    said = " ".join(loaded.notes)
    assert "4 rows left out of training or validation" in said and "have equal inputs but different labels" in said


def test_missing_values_are_noted(tmp_path: Path) -> None:
    x = levels(255, 40, 4).astype(float)
    x[3:5, 1] = np.nan
    loaded = load(saved(tmp_path, x=x, y=LABELS))
    assert "x: 2 values missing (nan); replaced by the column's mean" in loaded.notes


# Any shape, and tokens


@pytest.mark.parametrize("shape", [(12, 5), (12, 1, 40), (3, 4, 5, 6), (2, 3, 4, 5, 6)])
def test_numbers_of_any_shape_keep_it(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=(40, *shape)).astype(np.float32)
    loaded = load(saved(tmp_path, x_train=x[:30], y_train=LABELS[:30], x_test=x[30:], y_test=LABELS[30:]))
    assert (loaded.shape, loaded.kind, loaded.outline.kind) == (shape, "numbers", "numbers")
    np.testing.assert_array_equal(loaded.test_inputs, x[30:])


@pytest.mark.parametrize("shape", [(40, 7), (40,), (40, 4, 5, 3)])
def test_numbers_are_read_as_stored_on_request(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """By default whole numbers in the shape of images are images, and three channels move to the front."""
    x = levels(255, *shape)
    loaded = load(saved(tmp_path, x_train=x, y_train=LABELS, x_test=-x, y_test=LABELS), inputs="numbers")
    assert loaded.kind == "numbers" and not any("read as" in note for note in loaded.notes)
    np.testing.assert_array_equal(loaded.test_inputs, -x.reshape(40, *(shape[1:] or (1,))))


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64, np.uint64])
@pytest.mark.parametrize("shape", [(40,), (40, 6), (40, 6, 5)])
def test_tokens_of_any_integer_type_and_shape(tmp_path: Path, kind: Any, shape: tuple[int, ...]) -> None:
    x, top = levels(90, *shape).astype(kind), levels(99, *shape).astype(kind)
    loaded = load(saved(tmp_path, x_train=x, y_train=LABELS, x_test=top, y_test=LABELS), inputs="tokens")
    assert loaded.is_tokens and not loaded.is_image
    assert loaded.outline[5:] == ("tokens", 100)  # over all parts
    assert loaded.shape == (shape[1:] or (1,))
    np.testing.assert_array_equal(loaded.test_inputs, top.reshape(40, *loaded.shape))


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (levels(9, 40, 6) - 1, "x: whole numbers from -1 to 8; tokens are indices, from 0 to 2,147,483,647 at most"),
        (levels(9, 40, 6) + 2**31, "x: whole numbers from 2,147,483,648 to"),
        (levels(9, 40, 6) / 1, "x: float64; tokens have an integer type"),
        (levels(1, 40, 6) > 0, "x: bool; tokens have an integer type"),
    ],
)
def test_what_can_be_no_token_is_refused(tmp_path: Path, x: np.ndarray, reason: str) -> None:
    with pytest.raises(InputError, match=re.escape(reason)):
        load(saved(tmp_path, x=x, y=LABELS), inputs="tokens")


def test_copies_of_token_rows_stay_in_one_part(tmp_path: Path) -> None:
    x = levels(50, 60, 4)
    x[:5] = x[40:45]
    y = np.arange(60) % 2
    loaded = load(saved(tmp_path, x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:]), inputs="tokens")
    assert len(loaded.train_inputs) == 35
    assert any("5 rows left out of training or validation" in note for note in loaded.notes)


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (np.eye(3)[LABELS] + np.eye(3)[2], "float64 of shape (40, 3): multi-label targets are not supported"),
        (levels(9, 40, 3), "int64 of shape (40, 3): several targets per example, or a sequence of them, are not"),
        (levels(9, 40, 3, 2) / 7, "float64 of shape (40, 3, 2): several targets per example, or a sequence of them"),
        (levels(9, 40, 3).astype(str), "several targets per example"),
    ],
)
def test_several_targets_are_refused_by_name(tmp_path: Path, targets: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        load(saved(tmp_path, x=levels(9, 40, 4), y=targets))
