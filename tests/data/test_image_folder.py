"""Folders of images: levels of any depth, images that are not square, copies of pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dnntrain import data
from dnntrain.data import DataLocation, Dataset
from dnntrain.errors import InputError


def load(root: Path, **options: Any) -> Dataset:
    return data.load_dataset(str(root), DataLocation(root.parent / "home"), **options)


def folder_of(root: Path, images: list[np.ndarray], suffix: str = ".png") -> Path:
    """A folder with these images, in turn of class a and b."""
    for number, levels in enumerate(images):
        path = root / "ab"[number % 2] / f"{number}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels).save(path)
    return root


def noise(most: int, kind: Any, count: int = 12, shape: tuple[int, ...] = (6, 6)) -> list[np.ndarray]:
    """Different images of random levels; one has the highest."""
    images = np.random.default_rng(0).integers(0, most + 1, (count, *shape)).astype(kind)
    images[0, 0] = most
    return list(images)


def everything(dataset: Dataset) -> np.ndarray:
    return np.concatenate([dataset.train_inputs, dataset.test_inputs])


@pytest.mark.parametrize(
    ("most", "kind", "full", "note"),
    [
        (255, np.uint8, 255, None),
        (1, np.uint8, 1, "levels up to 1, read as 1-bit images, 0 to 1 scaled to 0 to 255"),
        (4095, np.uint16, 4095, "images of more than 8 bits, levels up to 4,095, read as 12-bit images, "
                                "0 to 4,095 scaled to 0 to 255"),
        (60_000, np.uint16, 65_535, "images of more than 8 bits, levels up to 60,000, read as 16-bit images, "
                                    "0 to 65,535 scaled to 0 to 255"),
    ],
)  # fmt: skip
def test_levels_are_scaled_by_the_depth_they_have(
    tmp_path: Path, most: int, kind: Any, full: int, note: str | None
) -> None:
    images = noise(most, kind)
    loaded = load(folder_of(tmp_path / "x", images), image_size=6)
    assert loaded.notes == ((note,) if note else ())
    expected = np.sort((np.stack(images) * (255 / full)).round().ravel())
    np.testing.assert_array_equal(np.sort(everything(loaded).ravel()), expected)


def test_levels_of_more_than_16_bits_are_refused(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "x", noise(70_000, np.int32), ".tif")
    with pytest.raises(InputError, match=r"levels from \d+ to [\d,]+; must be from 0 to 65,535"):
        load(root, max_corrupt=0)


@pytest.mark.parametrize(
    ("fit", "note"),
    [
        ("stretch", "12 of 13 images are not square: stretched to 4 × 4 (--fit crop or pad keeps the proportions)"),
        ("crop", "12 of 13 images are not square: cropped at the center to 4 × 4"),
        ("pad", "12 of 13 images are not square: padded with black bars to 4 × 4"),
    ],
)  # fmt: skip
def test_images_that_are_not_square(tmp_path: Path, fit: str, note: str) -> None:
    wide = noise(100, np.uint8, 12, (4, 8))
    for image in wide:
        image[:, 2:6] += 100  # the middle is light, both sides are dark
    loaded = load(folder_of(tmp_path / "x", [*wide, noise(255, np.uint8, 1, (4, 4))[0]]), image_size=4, fit=fit)
    assert loaded.notes == (note,)
    found = [tuple(image.tobytes()) for image in everything(loaded)]
    for image in wide:
        if fit == "crop":
            assert tuple(image[:, 2:6].tobytes()) in found
        if fit == "pad":
            bars = [rows for rows in found if set(rows[:4]) == set(rows[-4:]) == {0}]
            assert len(bars) == 12


def test_square_images_of_another_size_are_noted(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "x", [*noise(255, np.uint8, 12, (24, 24)), *noise(255, np.uint8, 12, (40, 40))])
    other = "images of 24 × 24 to 40 × 40 pixels are scaled to 32 × 32; --image-size gives another size"
    assert load(root).notes == (other,)
    assert load(root, image_size=24).notes[0].startswith("images of 40 × 40 pixels are scaled to 24 × 24")


def test_ways_to_fit_are_kept_apart(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "x", noise(255, np.uint8, 12, (4, 8)))
    first = [load(root, image_size=4, fit=fit) for fit in ("stretch", "crop", "pad")]
    again = [load(root, image_size=4, fit=fit) for fit in ("stretch", "crop", "pad")]
    assert len({everything(loaded).tobytes() for loaded in first}) == 3
    for before, after in zip(first, again, strict=True):
        np.testing.assert_array_equal(everything(before), everything(after))


def test_the_same_pixels_in_another_file_are_a_copy(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "x", noise(255, np.uint8))
    with Image.open(root / "a" / "0.png") as image:
        image.save(root / "a" / "copy.bmp")
        image.save(root / "b" / "other.tif")
    loaded = load(root, image_size=6)
    assert len(everything(loaded)) == 12
    assert loaded.notes == (
        "2 images left out, exact copies of others: a/copy.bmp, b/other.tif",
        "1 copy has a different class than the image that stays: b/other.tif = a/0.png",
    )
