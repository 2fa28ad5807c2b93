"""Images that are scaled after they were read: as Pillow scales them, with a note, and new images in the same way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dnntrain.config.spec import RunSpec
from dnntrain.data import DataLocation
from dnntrain.data.npz import Npz
from dnntrain.errors import InputError


def written(folder: Path, shape: tuple[int, ...], dtype: type = np.uint8) -> Path:
    """An .npz file of ten examples of two classes."""
    examples = np.random.default_rng(0).integers(0, 256, (10, *shape)).astype(dtype)
    np.savez(
        folder / "a.npz", x_train=examples, y_train=np.arange(10) % 2, x_test=255 - examples, y_test=np.arange(10) % 2
    )
    return folder / "a.npz"


@pytest.mark.parametrize(
    ("shape", "given", "mode", "note"),
    [
        ((32, 32, 3), "28x28", "L", "32 × 32 color to 28 × 28 gray"),
        ((20, 30), "3x8x12", "RGB", "20 × 30 gray to 8 × 12 color"),
    ],
)
def test_images_are_scaled_as_pillow_does(
    shape: tuple[int, ...], given: str, mode: str, note: str, tmp_path: Path
) -> None:
    path, home = written(tmp_path, shape), DataLocation(tmp_path / "home")
    original, source = Npz(path=path).load(home), Npz(path=path, image_shape=given)
    dataset = source.load(home)
    assert "x".join(map(str, dataset.shape)) == given and source.outline(home) == dataset.outline
    assert f"images scaled from {note}" in dataset.notes
    size = (dataset.shape[-1], dataset.shape[-2])
    levels = original.train_inputs[3] if len(shape) == 2 else original.train_inputs[3].transpose(1, 2, 0)
    expected = np.asarray(Image.fromarray(levels).convert(mode).resize(size, Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(dataset.train_inputs[3], expected if mode == "L" else expected.transpose(2, 0, 1))
    assert dataset.preprocessing is not None and dataset.preprocessing.content()["shape"] == list(dataset.shape)


def test_what_is_no_image_is_not_scaled(tmp_path: Path) -> None:
    path = written(tmp_path, (6,), np.float32)
    with pytest.raises(InputError, match=r"image_shape: the examples of a\.npz are numbers, not images"):
        Npz(path=path, image_shape="28x28").load(DataLocation(tmp_path / "home"))


@pytest.mark.parametrize("given", ["28", "28x", "0x28", "2x28x28", "9000x9000"])
def test_a_shape_that_cannot_be_read_is_refused(given: str) -> None:
    with pytest.raises(InputError, match=r"image_shape.*is no shape of images, such as 28x28"):
        RunSpec.parse({"image_shape": given})
