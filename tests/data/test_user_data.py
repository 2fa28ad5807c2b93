"""A person's own data: how it is cut, and what folders of images, .npz files and tables become."""

from __future__ import annotations

import gzip
import io
import random
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dnntrain import data
from dnntrain.data import DataLocation, Dataset
from dnntrain.data.user_data import TEST, TRAIN, VALIDATION, read_targets, split_rows
from dnntrain.errors import InputError

SAMPLES = Path(matplotlib.get_data_path()) / "sample_data"
SCALED = "images of 8 × 8 pixels are scaled to 32 × 32; --image-size gives another size"
"""The note on the images of `make_folder`."""


def load(path: Path, **options: Any) -> Dataset:
    return data.load_dataset(str(path), DataLocation(path.parent / "home"), **options)


def refused(path: Path, **options: Any) -> str:
    """The message of the InputError that loading raises; it names the file or folder."""
    with pytest.raises(InputError) as caught:
        load(path, **options)
    assert str(path) in str(caught.value)
    return str(caught.value)


def outcome(path: Path) -> str:
    """The message of the InputError that loading raises, if any."""
    try:
        load(path)
    except InputError as error:
        return str(error)
    return ""


# The cut

ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from([TRAIN, TRAIN, VALIDATION, TEST])), min_size=5, max_size=80
)


@given(ROWS, st.floats(0.05, 0.9))
@settings(max_examples=100, deadline=None)
def test_a_row_is_in_one_part_only(rows: list[tuple[int, int]], share: float) -> None:
    targets, given = (np.array(column) for column in zip(*rows, strict=True))
    try:
        parts = split_rows(targets, given, share, "here")
    except InputError:
        return
    assert sorted([*parts.train, *parts.test]) == list(range(len(rows)))
    own = parts.train[len(parts.train) - parts.n_validation :]
    assert list(own) == list(np.flatnonzero(given == VALIDATION))
    assert set(np.flatnonzero(given == TEST)) in (set(parts.test), set())


@given(st.lists(st.integers(0, 3), min_size=10, max_size=300), st.floats(0.1, 0.9))
@settings(max_examples=100, deadline=None)
def test_every_tail_is_stratified(labels: list[int], share: float) -> None:
    targets = np.array(labels)
    parts = split_rows(targets, None, share, "here")
    order = np.concatenate([parts.train, parts.test])
    counts = np.bincount(targets)
    for tail in (len(parts.test), 5, len(labels) // 2):
        found = np.bincount(targets[order[-tail:]], minlength=len(counts))
        assert (abs(found - counts * tail / len(labels)) <= 1 + len(counts) * counts / len(labels)).all()


def test_the_cut_is_the_same_for_everybody() -> None:
    parts = split_rows(np.arange(20) % 2, None, 0.25, "here")
    assert parts.test.tolist() == [14, 7, 8, 1, 2]
    numbers = split_rows(np.arange(20, dtype=np.float32), None, 0.25, "here")
    assert len(numbers.test) == 5 and numbers.train.tolist() != sorted(numbers.train)


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        ([3, 1, 3, 1], "auto", ("1", "3")),
        ([2.0, 10.0, 2.0], "auto", ("2", "10")),
        ([True, False], "auto", ("False", "True")),
        (["b", "a"], "auto", ("a", "b")),
        ([0.5, 1.5, 0.5], "auto", ()),
        (range(21), "auto", ()),
        ([0.5, 1.5, 0.5], "classification", ("0.5", "1.5")),
        ([3, 1], "regression", ()),
    ],
)
def test_targets(values: list[Any], task: Any, classes: tuple[str, ...]) -> None:
    targets, found = read_targets(np.array(values), task, "here")
    assert found == classes
    assert targets.dtype == (np.int64 if classes else np.float64)
    assert len(set(zip(values, targets.tolist(), strict=True))) == len(set(values)) == len(set(targets.tolist()))


@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([1, 1], "auto"),
        (["a", "b"], "regression"),
        ([1.0, np.nan], "auto"),
        ([1.0, np.inf], "regression"),
        ([1e300, 1.5], "auto"),
        ([str(number) for number in range(30)], "auto"),
    ],
)
def test_targets_that_fit_no_task(values: list[Any], task: Any) -> None:
    with pytest.raises(InputError, match=r"^here: "):
        read_targets(np.array(values), task, "here")


# Folders of images


def picture(number: int, size: int = 8, mode: str = "RGB") -> Image.Image:
    """An image that no other number has."""
    levels = np.random.default_rng(number).integers(0, 256, (size, size, 3), np.uint8)
    return Image.fromarray(levels).convert(mode)


def make_folder(root: Path, classes: dict[str, int], suffix: str = ".png", first: int = 0, mode: str = "RGB") -> Path:
    for name, count in classes.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            picture(sum(map(ord, str(root / name))) * 1000 + number, mode=mode).save(root / name / f"{number}{suffix}")
    return root


def rows(inputs: np.ndarray) -> list[bytes]:
    return [row.tobytes() for row in inputs]


def test_folder(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "pets", {"cat": 30, "dog": 20, "dog/puppies": 10})
    loaded = load(root, image_size=8)
    assert (loaded.name, loaded.classes, loaded.n_validation, loaded.notes) == ("pets", ("cat", "dog"), 0, ())
    assert loaded.train_inputs.shape == (48, 3, 8, 8) and loaded.test_inputs.shape == (12, 3, 8, 8)
    assert np.bincount(loaded.test_targets).tolist() == [6, 6]
    assert np.bincount(loaded.train_targets[-10:]).tolist() == [5, 5]
    assert not set(rows(loaded.train_inputs)) & set(rows(loaded.test_inputs))
    of_cats = {np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes() for path in (root / "cat").iterdir()}
    everything = zip(rows(loaded.train_inputs), loaded.train_targets, strict=True)
    assert all((row in of_cats) == (label == 0) for row, label in everything)


def test_folder_does_not_depend_on_the_order_of_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(tmp_path / "pets", {"cat": 9, "dog": 9})
    before = load(root)
    for name in ("rglob", "iterdir"):
        listed = getattr(Path, name)
        monkeypatch.setattr(
            Path, name, lambda *args, listed=listed: random.sample(found := list(listed(*args)), len(found))
        )
    after = data.find_source(str(root)).read(DataLocation(tmp_path / "elsewhere"))
    np.testing.assert_array_equal(before.train_inputs, after.train_inputs)
    assert before.fingerprint == after.fingerprint


def test_folder_fingerprint_knows_the_classes(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "pets", {"cat": 9, "dog": 9})
    before = load(root)
    assert load(root).fingerprint == before.fingerprint  # from what is kept decoded
    (root / "cat" / "0.png").rename(root / "dog" / "moved.png")
    after = load(root)
    assert after.fingerprint != before.fingerprint
    assert sum(np.bincount(np.r_[after.train_targets, after.test_targets]) * [0, 1]) == 10


def test_folder_with_parts(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    for part, count in (("train", 10), ("Valid", 4), ("test", 6)):
        make_folder(root / part, {"cat": count, "dog": count})
    loaded = load(root)
    assert [len(loaded.train_inputs), loaded.n_validation, len(loaded.test_inputs)] == [28, 8, 12]
    again = make_folder(tmp_path / "rest" / "train", {"cat": 10, "dog": 10}).parent
    make_folder(again / "val", {"cat": 4, "dog": 4})
    held_out = load(again, test=0.1)
    assert [len(held_out.train_inputs), held_out.n_validation, len(held_out.test_inputs)] == [26, 8, 2]


def test_folder_with_a_class_called_train(tmp_path: Path) -> None:
    assert load(make_folder(tmp_path / "traffic", {"bus": 5, "train": 5})).classes == ("bus", "train")


def test_folder_leaves_out_copies(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    make_folder(root / "train", {"cat": 9, "dog": 9})
    make_folder(root / "test", {"cat": 3, "dog": 3})
    first = (root / "train" / "cat" / "0.png").read_bytes()
    (root / "train" / "dog" / "copy.png").write_bytes(first)
    (root / "test" / "dog" / "leak.png").write_bytes((root / "train" / "dog" / "5.png").read_bytes())
    loaded = load(root)
    assert loaded.notes == (
        "1 image left out, exact copies of others: train/dog/copy.png",
        "1 image left out, exact copies of others in test/ or val/: train/dog/5.png",
        "1 copy has a different class than the image that stays: train/dog/copy.png = train/cat/0.png",
        SCALED,
    )
    assert len(loaded.train_inputs) == 17 and len(loaded.test_inputs) == 7
    assert not set(rows(loaded.train_inputs)) & set(rows(loaded.test_inputs))


def test_folder_formats(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "many", {"a": 3, "b": 3})
    for number, suffix in enumerate((".jpg", ".JPEG", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm"), 10):
        make_folder(root, {"a": 1, "b": 1}, suffix, first=number)
    assert len(load(root, test=0.5).train_inputs) == 11
    (root / "a" / "notes.txt").write_text("x")
    (root / "a" / ".hidden.png").write_text("x")
    (root / ".cache").mkdir()
    picture(1).save(root / "stray.png")
    assert load(root).notes == ("2 files left out, not an image in a class's folder: a/notes.txt, stray.png", SCALED)


def only_image(tmp_path: Path, image: Image.Image, name: str = "x.png", size: int = 2, **options: Any) -> np.ndarray:
    """The levels of one image among gray ones."""
    root = make_folder(tmp_path / "one", {"a": 3, "b": 3}, mode="L")
    image.save(root / "a" / name, **options)
    source = data.find_source(str(root), {"image_size": size})
    row = [path.name for path in source.files(DataLocation())].index(name)
    from dnntrain.data.image_folder import find_images
    from dnntrain.data.images import Decoder

    paths = [item.path for item in find_images(root)[0]]
    images, found, *_ = Decoder(size, gray=False).decode(paths, np.full(len(paths), True), root)
    assert not found[row].problem, found[row]
    return images[row]


def test_transparent_is_white(tmp_path: Path) -> None:
    assert (only_image(tmp_path, Image.new("RGBA", (4, 4), (255, 0, 0, 0))) == 255).all()
    half = only_image(tmp_path, Image.new("LA", (4, 4), (0, 127)))
    assert (half == 128).all()
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    assert (only_image(tmp_path, palette, transparency=1) == 255).all()
    assert (only_image(tmp_path, palette) == 9).all()


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    levels = np.array([[0, 257], [257 * 100, 65535]], np.uint16)
    for name in ("x.png", "x.tif"):
        assert only_image(tmp_path, Image.fromarray(levels), name)[0].tolist() == [[0, 1], [100, 255]]


def test_upright_and_first_frame(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 0], [255, 255]], np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    assert only_image(tmp_path, image, exif=exif)[0].tolist() == [[255, 0], [255, 0]]
    frames = [Image.new("L", (2, 2), level) for level in (10, 200)]
    assert (only_image(tmp_path, frames[0], "x.gif", save_all=True, append_images=frames[1:]) == 10).all()


@pytest.mark.parametrize(("mode", "color", "shape"), [
    ("L", "auto", (5, 5)), ("RGB", "auto", (3, 5, 5)), ("RGB", "gray", (5, 5)), ("L", "color", (3, 5, 5)),
])  # fmt: skip
def test_gray_or_color(tmp_path: Path, mode: str, color: str, shape: tuple[int, ...]) -> None:
    root = make_folder(tmp_path / "x", {"a": 5, "b": 5}, mode=mode)
    assert load(root, color=color, image_size=5).shape == shape


@pytest.mark.skipif(not (SAMPLES / "grace_hopper.jpg").exists(), reason="matplotlib's samples are not installed")
def test_a_photo_is_squeezed_smoothly(tmp_path: Path) -> None:
    with Image.open(SAMPLES / "grace_hopper.jpg") as photo:
        found = only_image(tmp_path, photo.copy(), "x.jpg", size=32, quality=95)
        expected = np.asarray(photo.resize((32, 32), Image.Resampling.BILINEAR), int).transpose(2, 0, 1)
    assert abs(found - expected).mean() < 2


def broken_files(root: Path) -> list[str]:
    whole = io.BytesIO()
    picture(1, 64).save(whole, "PNG")
    broken = {
        "cut.png": whole.getvalue()[:2000],
        "bomb.pgm": b"P5\n40000 10000\n255\n",
        "empty.png": b"",
        "foreign.jpg": b"<html>not found</html>",
        "flipped.png": whole.getvalue()[:40] + b"\xff" * 20 + whole.getvalue()[60:],
        "program.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
    }
    for name, content in broken.items():
        (root / name).write_bytes(content)
    return list(broken)


def test_unreadable_images(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "pets", {"cat": 9, "dog": 9})
    broken = broken_files(root / "cat")
    note, scaled = load(root).notes
    assert scaled == SCALED
    assert note.startswith(
        f"{len(broken)} images left out, unreadable: cat/bomb.pgm (Image size (400000000 pixels) exceeds"
    )
    message = refused(root, max_corrupt=2)
    assert "6 unreadable images, --max-corrupt is 2" in message and "cat/foreign.jpg: not an image" in message


@pytest.mark.parametrize(("layout", "reason"), {
    "nothing": ({}, "no folder in it"),
    "no classes": ({".": 3}, "no folder in it"),
    "one class": ({"cat": 9}, "fewer than two classes (cat)"),
    "an empty class": ({"cat": 9, "dog": 9, "owl": 0}, "owl: no image in it"),
    "too few": ({"cat": 9, "dog": 2}, "dog: 2 training images of this class are left; needs at least 3"),
    "only in test": ({"train/cat": 9, "train/dog": 9, "test/cat": 3, "test/owl": 3}, "owl: 0 training images"),
    "no train": ({"test/cat": 9, "test/dog": 9}, "has test/, but no train/"),
    "test without classes": ({"train/cat": 9, "train/dog": 9, "test": 9}, "test: no folder in it"),
}.values())  # fmt: skip
def test_folders_that_are_refused(tmp_path: Path, layout: dict[str, int], reason: str) -> None:
    (tmp_path / "pets").mkdir()
    assert reason in refused(make_folder(tmp_path / "pets", layout))


def test_no_folder(tmp_path: Path) -> None:
    reads = data.find_source("pets/").reads
    assert reads("pets/cats") and reads("pets.d/") and not reads("pets") and not reads("pets/table.txt")
    assert data.find_source("pets/").find(DataLocation()) == []
    assert "no such folder" in refused(tmp_path / "pets")
    (tmp_path / "file").write_text("x")
    assert "is a file" in refused(tmp_path / "file")


def test_many_images_are_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("dnntrain.data.images.PROGRESS_THRESHOLD", 5)
    root = make_folder(tmp_path / "pets", {"cat": 5, "dog": 5})
    load(root)
    assert capsys.readouterr().err == f"reading 10 images of {root}\n"
    load(root)
    assert capsys.readouterr().err == ""  # kept decoded


# .npz files


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def numbered(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


@pytest.mark.parametrize(("keys"), [
    "x_train y_train x_test y_test", "X_train Y_train X_test Y_test",
    "train_images train_labels test_images test_labels", "trainX trainY testX testY",
    "data_train target_train data_test target_test",
])  # fmt: skip
def test_npz_with_parts(tmp_path: Path, keys: str) -> None:
    labels = np.arange(30) % 3
    images = numbered(36, 4, 5)
    arrays = (images[:30], labels, images[30:], labels[:6])
    loaded = load(save(tmp_path / "it.npz", **dict(zip(keys.split(), arrays, strict=True))))
    assert (loaded.name, loaded.classes, loaded.shape) == ("it.npz", ("0", "1", "2"), (4, 5))
    np.testing.assert_array_equal(loaded.test_inputs, arrays[2])
    assert sorted(rows(loaded.train_inputs)) == sorted(rows(arrays[0]))
    assert np.bincount(loaded.train_targets[-6:]).tolist() == [2, 2, 2]


@pytest.mark.parametrize("keys", ["x y", "X y", "images labels", "data target", "features targets"])
def test_npz_without_parts(tmp_path: Path, keys: str) -> None:
    x, y = keys.split()
    loaded = load(save(tmp_path / "it.npz", **{x: numbered(30, 7, dtype=np.float64), y: np.arange(30) % 3}), test=0.3)
    assert len(loaded.test_inputs) == 9 and loaded.train_inputs.dtype == np.float64
    assert not set(rows(loaded.train_inputs)) & set(rows(loaded.test_inputs))


def test_npz_own_validation_and_other_arrays(tmp_path: Path) -> None:
    x, y = numbered(30, 7), np.arange(30) % 3
    path = save(tmp_path / "it.npz", x_train=x[:20], y_train=y[:20], x_valid=x[20:], y_valid=y[20:], groups=y)
    loaded = load(path)
    assert loaded.n_validation == 10 and len(loaded.test_inputs) == 4
    np.testing.assert_array_equal(loaded.train_inputs[-10:], x[20:])
    assert loaded.notes == ("1 array left out, its name means neither inputs nor targets: groups",)


@pytest.mark.parametrize(("inputs", "shape", "dtype"), [
    (numbered(12, 4, 5, 3), (3, 4, 5), np.uint8),
    (numbered(12, 3, 4, 5), (3, 4, 5), np.uint8),
    (numbered(12, 4, 5, 1), (4, 5), np.uint8),
    (numbered(12, 1, 4, 5), (4, 5), np.uint8),
    (numbered(12, 4, 5, dtype=np.int64), (4, 5), np.uint8),
    (numbered(12, 9), (9,), np.float32),
    (numbered(12, 9, dtype=np.int32), (9,), np.float64),
    (numbered(12, 9, dtype=np.int16) - 300, (9,), np.float32),
    (numbered(12), (1,), np.float32),
    (numbered(12, 9, 1, dtype=np.float16), (9, 1), np.float32),
    (numbered(12, 4, 5, 3, dtype=np.float64), (3, 4, 5), np.float64),
    (np.where(numbered(12, 4) > 100, np.nan, 1.0), (4,), np.float64),
    (numbered(12, 4) > 100, (4,), np.float32),
])  # fmt: skip
def test_npz_inputs(tmp_path: Path, inputs: np.ndarray, shape: tuple[int, ...], dtype: Any) -> None:
    loaded = load(save(tmp_path / "it.npz", x=inputs, y=np.arange(12) % 2))
    assert (loaded.shape, loaded.train_inputs.dtype) == (shape, dtype)
    assert loaded.train_inputs.flags.c_contiguous


@pytest.mark.parametrize(("targets", "classes"), [
    (np.arange(40) % 4 + 5, ("5", "6", "7", "8")),
    (np.arange(40)[:, None] % 2, ("0", "1")),
    (np.eye(4, dtype=np.float32)[np.arange(40) % 4], ("0", "1", "2", "3")),
    (np.array(["yes", "no"] * 20), ("no", "yes")),
    (np.array([b"yes", b"no"] * 20), ("no", "yes")),
    (np.arange(40) % 2 == 0, ("False", "True")),
    (np.arange(40) / 7, ()),
    (np.arange(40), ()),
])  # fmt: skip
def test_npz_targets(tmp_path: Path, targets: np.ndarray, classes: tuple[str, ...]) -> None:
    assert load(save(tmp_path / "it.npz", x=numbered(40, 2), y=targets)).classes == classes


X, Y = numbered(12, 4), np.arange(12) % 2
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "no array x_train (or x); it has no arrays"),
    "misspelt": ({"x_trian": X, "y_train": Y}, "no array x_train (or x); did you mean 'x_trian'?"),
    "unknown": ({"a": X, "b": Y}, "known: a, b"),
    "half a part": ({"x": X, "y": Y, "x_test": X}, "no array y_test"),
    "twice": ({"x": X, "y": Y, "x_train": X}, "x and x_train mean the same"),
    "objects": ({"x": X, "y": np.array(["a", None] * 6, object)}, "array.astype(str)"),
    "text": ({"x": X.astype(str), "y": Y}, "x: <U3; must be numbers"),
    "infinite": ({"x": np.where(X > 100, np.inf, 1.0), "y": Y}, "x: a value is infinite"),
    "too large": ({"x": X * 1e300, "y": Y}, "too large for float32"),
    "no features": ({"x": X[:, :0], "y": Y}, "x: empty"),
    "counts": ({"x": X, "y": Y[:5]}, "[12] inputs, but [5] targets"),
    "shapes": ({"x": X, "y": Y, "x_test": X[:, :3], "y_test": Y}, "x, x_test: examples of shapes (4,), (3,)"),
    "one number": ({"x": X, "y": 3}, "y: examples of shapes None"),
    "two targets": ({"x": X, "y": X}, "must be one number or class"),
    "complex": ({"x": X, "y": Y + 1j}, "complex128"),
    "text and numbers": ({"x": X, "y": Y, "x_test": X, "y_test": Y.astype(str)}, "text and numbers"),
    "alpha": ({"x": numbered(12, 4, 5, 4), "y": Y}, "images of shape (4, 5, 4)"),
    "missing target": ({"x": X, "y": np.where(Y, np.nan, 1.0)}, "y: 6 of 12 values are missing"),
    "one class": ({"x": X, "y": Y * 0}, "fewer than two classes (0)"),
    "latin": ({"x": X, "y": np.array([b"\xe9", b"a"] * 6)}, "not UTF-8"),
}


@pytest.mark.parametrize(("arrays", "reason"), REFUSED.values(), ids=REFUSED)
def test_npz_that_is_refused(tmp_path: Path, arrays: dict[str, Any], reason: str) -> None:
    assert reason in refused(save(tmp_path / "it.npz", **arrays))


def test_npz_that_is_no_npz(tmp_path: Path) -> None:
    path = tmp_path / "it.npz"
    assert "no such file" in refused(path)
    for content in (b"", b"foreign", b"\x80\x04K\x01."):
        path.write_bytes(content)
        assert "damaged, or not an .npz file" in refused(path)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("x", b"no array")
        packed.writestr("y.npy", np.lib.format.magic(1, 0) + b"\x05\x00{'a'}")
    assert "damaged, or not an .npz file" in refused(path)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("x", b"no array")
        packed.writestr("y", b"no array")
    assert "x: examples of shapes None" in refused(path)


def test_npz_bomb(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "it.npz", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("x.npy", "y.npy"):
            packed.writestr(name, b"\0" * 1000)
        packed.filelist[0].file_size = 1 << 31  # as if it were so large: writing it would take long
    assert "x.npy would unpack to more than 200 times its size" in refused(tmp_path / "it.npz")


def test_damaged_npz(tmp_path: Path) -> None:
    path = tmp_path / "it.npz"
    np.savez_compressed(path, x=X, y=Y)
    whole, generator = path.read_bytes(), random.Random(0)
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(generator.choice([1, 3])):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        path.write_bytes(bytes(damaged[: generator.choice([None, len(whole) // 2, -5])]))
        assert str(path) in (outcome(path) or str(path))


# Tables

PEOPLE = "name,age,sex,city,fare,lives\n" + "".join(
    f"P{number},{'' if number % 5 == 0 else number},{'fm'[number % 2]},{'ABC'[number % 3]},{number / 2},{number % 2}\n"
    for number in range(40)
)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_table(tmp_path: Path) -> None:
    loaded = load(write(tmp_path / "people.csv", PEOPLE), target="lives", drop_columns="name")
    assert (loaded.name, loaded.classes, loaded.shape, loaded.notes) == ("people.csv", ("0", "1"), (8,), ())
    everything = np.concatenate([loaded.train_inputs, loaded.test_inputs])
    everything = everything[np.argsort(everything[:, -1])]  # by fare
    ages = np.where(np.arange(40) % 5 == 0, np.nan, np.arange(40))
    np.testing.assert_array_equal(everything[:, 0], ages.astype(np.float32))
    np.testing.assert_array_equal(everything[:, 1], np.isnan(ages))
    np.testing.assert_array_equal(everything[:, 2:4].argmax(1), np.arange(40) % 2)
    np.testing.assert_array_equal(everything[:, 4:7], np.eye(3)[np.arange(40) % 3])
    assert np.bincount(loaded.test_targets).tolist() == [4, 4]


@pytest.mark.parametrize(("name", "change"), [
    ("a.csv", lambda text: text),
    ("a.tsv", lambda text: text.replace(",", "\t")),
    ("a.csv", lambda text: text.replace(",", ";")),
    ("a.csv", lambda text: text.replace(",", "\t")),
    ("a.csv", lambda text: text.replace(",", " , ").replace("\n", "\r\n")),
    ("a.csv", lambda text: b"\xef\xbb\xbf" + text.encode()),
    ("a.csv.gz", lambda text: gzip.compress(text.encode())),
    ("a.csv", lambda text: "\n" + text.replace("\n", "\n\n")),
    ("a.csv", lambda text: text.replace(",,", ",?,")),
    ("a.csv", lambda text: text.replace(",,", ",NA,")),
])  # fmt: skip
def test_tables_that_say_the_same(tmp_path: Path, name: str, change: Callable[[str], str | bytes]) -> None:
    expected = load(write(tmp_path / "people.csv", PEOPLE), target="lives", drop_columns="name")
    loaded = load(write(tmp_path / name, change(PEOPLE)), target="lives", drop_columns="name")
    np.testing.assert_array_equal(loaded.train_inputs, expected.train_inputs)
    np.testing.assert_array_equal(loaded.test_targets, expected.test_targets)


def test_table_regression_and_rows_without_target(tmp_path: Path) -> None:
    path = write(tmp_path / "people.csv", PEOPLE)
    loaded = load(path, target="age", drop_columns="name")
    assert loaded.classes == () and loaded.train_targets.dtype == np.float64
    assert loaded.notes[0] == "8 rows left out, without a value of age; number: 1, 6, 11, 16, 21 and 3 more"
    assert load(path, target="lives", task="regression").classes == ()
    assert load(path, target="city").classes == ("A", "B", "C")


def test_training_rows_alone_decide_the_encoding(tmp_path: Path) -> None:
    n = 50
    path = tmp_path / "t.csv"
    write(path, "i,c,y\n" + "".join(f"{i},a,{i % 2}\n" for i in range(n)))
    tested = load(path, target="y").test_inputs[:, 0].astype(int)
    category = {i: "ab"[i % 3 > 0] for i in range(n)} | {tested[0]: "new", tested[1]: ""}
    write(path, "i,c,y\n" + "".join(f"{i},{category[i]},{i % 2}\n" for i in range(n)))
    loaded = load(path, target="y")
    assert loaded.shape == (3,)  # i, c = a, c = b: nothing for 'new', and no value of c is missing in training
    assert loaded.test_inputs[:2, 1:].tolist() == [[0, 0], [0, 0]]


def test_table_leaves_out_columns(tmp_path: Path) -> None:
    lines = [f"{i},id{i},{i},7,,{i % 2},{i % 2 == 0}" for i in range(150)]
    loaded = load(write(tmp_path / "t.csv", "\n".join([",id,x,same,gone,y,other", *lines])), target="y")
    assert loaded.shape == (2,)
    assert loaded.notes == (
        "1 column left out, without a name; number: 1",
        "2 columns left out, the same in every training row: same, gone",
        "1 column left out, text of over 100 different values: id",
    )


def test_rare_classes_are_noted(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "x,y\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(20)) + "30,c\n")
    assert load(path, target="y").notes == (
        "classes with fewer than 3 examples: c (1)",
        "class 'c' has no test example",
        "always answering 'a' would be right for 50.0 % of the test examples",
    )


TABLES: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "empty": ("", {"target": "y"}, "empty"),
    "blank": ("\n\n", {"target": "y"}, "empty"),
    "no rows": ("x,y\n", {"target": "y"}, "a header, but no rows"),
    "one column": ("y\n1\n", {"target": "y"}, "only one column, y"),
    "no target": ("x,y\n1,2\n", {}, "--target COLUMN, one of x, y"),
    "unknown target": (
        "colour,y\n1,2\n",
        {"target": "color"},
        "--target color: no such column; did you mean 'colour'?",
    ),
    "two targets": (
        "x,y,z\n1,2,3\n",
        {"target": "y,z"},
        "--target y,z: several targets are not supported; name one column",
    ),
    "unknown drop": ("x,y\n1,2\n", {"target": "y", "drop_columns": "x,z"}, "--drop-columns z: no such column"),
    "target dropped": (
        "x,y\n1,2\n",
        {"target": "y", "drop_columns": "y"},
        "--drop-columns y: the column to be predicted",
    ),
    "nothing left": ("x,y\n1,2\n3,1\n2,1\n1,2\n", {"target": "y", "drop_columns": "x"}, "no column is left"),
    "same names": ("x,y, x \n1,2,3\n", {"target": "y"}, "more than one column is called x"),
    "long line": ("x,y\n1,2\n\n1,2,3\n", {"target": "y"}, "line 4: 3 fields, but the header has 2"),
    "short line": ("x,z,y\n1,2,3\n1,2\n", {"target": "y"}, "line 3: 2 fields, but the header has 3"),
    "open quote": ('x,z,y\n1,"2,3\n1,2,3\n', {"target": "y"}, "line 3: 2 fields"),
    "latin": ("x,y\n1,2\n1,é\n".encode("latin-1"), {"target": "y"}, "line 3 is not UTF-8 (byte 0xe9)"),
    "utf-16": ("x,y\n1,2\n".encode("utf-16"), {"target": "y"}, "line 1 is not UTF-8 (byte 0xff)"),
    "picture": (b"\x89PNG\r\n\x1a\n", {"target": "y"}, "not UTF-8"),
    "gzip cut off": (gzip.compress(b"x,y\n")[:-9], {"target": "y"}, "damaged or truncated gzip"),
    "infinite": ("x,y\n1,2\ninf,1\n2,1\n1,2\n", {"target": "y"}, "column 'x': row 2 is infinite"),
    "infinite target": ("x,y\n1,2\n1,inf\n2,1\n1,2\n", {"target": "y"}, "column 'y': 1 of 4 values are missing or inf"),
    "one class": ("x,y\n1,a\n2,a\n", {"target": "y"}, "column 'y': fewer than two classes (a)"),
    "no value": ("x,y\n1,\n2,\n", {"target": "y"}, "column 'y': fewer than two classes ()"),
    "text to regress": ("x,y\n1,a\n2,b\n", {"target": "y", "task": "regression"}, "column 'y': text"),
    "too few": ("x,y\n1,a\n2,b\n", {"target": "y"}, "2 examples to train with, 0 to test"),
}


@pytest.mark.parametrize(("text", "options", "reason"), TABLES.values(), ids=TABLES)
def test_tables_that_are_refused(tmp_path: Path, text: str | bytes, options: dict[str, Any], reason: str) -> None:
    assert reason in refused(write(tmp_path / "t.csv", text), **options)


def test_no_table(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "t.csv", target="y")
    (tmp_path / "folder.csv").mkdir()
    assert "is a folder" in refused(tmp_path / "folder.csv", target="y")


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'dnntrain[parquet]'" in refused(write(tmp_path / "t.parquet", b"PAR1"), target="y")


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pandas as pd

    path = tmp_path / "t.parquet"
    text = pd.Series(["a", None, "b", "a"] * 10, dtype="string")
    frame = pd.DataFrame({"n": pd.array([1, None, 3, 4] * 10, "Int64"), "c": text, "k": text.astype("category")})
    frame.assign(y=pd.array([True, False] * 20, "boolean"), day=pd.Timestamp("2020-01-01")).to_parquet(path)
    loaded = load(path, target="y")
    assert (loaded.classes, loaded.shape) == (("False", "True"), (8,))
    assert loaded.notes == (
        "1 column left out, the same in every training row: day",
        "36 rows are exact copies of others; with only 4 different inputs, copies are in training and test",
    )
    assert "damaged, or not a Parquet file" in refused(write(path, b"PAR1 and no more"), target="y")


@pytest.mark.skipif(not (SAMPLES / "msft.csv").exists(), reason="matplotlib's samples are not installed")
def test_a_table_that_others_made() -> None:
    loaded = data.load_dataset(str(SAMPLES / "msft.csv"), target="Close", drop_columns="Date")
    assert loaded.outline.task == "regression" and loaded.shape == (5,)
